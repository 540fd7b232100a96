"""A session on the memory bus: what comes, what a client may do, rights, the end. No socket."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories import make_error, make_job_id, make_presence, make_settings
from jetmill.client.client import Client
from jetmill.protocol.state import State
from jetmill_operator.gateway.stream.backplane import FullError
from support.stream import Viewer, Watch, Yard, append, append_to, make_yard, sweep
from support.wait import eventually

# What comes


async def test_the_first_frame_greets(yard: Yard) -> None:
    hello = await yard.watch().wait_for("hello")
    assert hello == {"type": "hello", "version": 1, "namespace": "shop", "heartbeatSeconds": 15.0}


async def test_a_transition_says_what_happened_and_nothing_secret(yard: Yard) -> None:
    watch = yard.watch()
    await watch.subscribe("namespace", id=1)
    job_id = make_job_id()
    first = await append_to(yard.bus, job_id, State.QUEUED, expected=0, payload=msgspec.Raw(b'{"card":"4111"}'))
    await append_to(
        yard.bus, job_id, State.FAILED, expected=first, reason="exhausted", error=make_error(traceback="secret")
    )
    await watch.wait_seen("namespace", lambda seen: len(seen) == 2)
    items = [item for frame in watch.of_type("events") for item in frame["items"]]
    assert [item["state"] for item in items] == ["queued", "failed"]
    assert items[1]["error"] == {"type": "ValueError", "message": "no such thing"}
    assert items[1]["reason"] == "exhausted"
    assert items[0]["time"].endswith("Z")
    text = str(watch.frames)
    assert "4111" not in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("topic", "wanted"),
    [("namespace", [0, 1, 2]), ("jobs:mail", [0, 2]), ("state:failed", [1, 2]), ("jobs:none", []), ("job:one", [1])],
)
async def test_a_topic_gets_its_own_and_no_other(yard: Yard, topic: str, wanted: list[int]) -> None:
    watch = yard.watch()
    await watch.subscribe(topic)
    await watch.subscribe("state:skipped")
    seqs = [
        await append_to(yard.bus, "zero", State.QUEUED, expected=0, job="mail"),
        await append_to(yard.bus, "one", State.FAILED, expected=0, job="report"),
        await append_to(yard.bus, "two", State.FAILED, expected=0, job="mail"),
    ]
    [end] = await append(yard.bus, state=State.SKIPPED)
    await watch.wait_seen("state:skipped", lambda seen: end in seen)
    assert [seq for seq in watch.seen.get(topic, []) if seq < end] == [seqs[place] for place in wanted]


async def test_what_was_before_the_subscription_does_not_come(yard: Yard) -> None:
    await append(yard.bus, 5)
    watch = yard.watch()
    await watch.subscribe("namespace")
    assert (await watch.wait_for("subscribed"))["seq"] == 5
    seqs = await append(yard.bus, 3)
    await watch.wait_seen("namespace", lambda seen: len(seen) == 3)
    watch.check("namespace", seqs)


async def test_events_of_applications_come_by_type_and_below(yard: Yard) -> None:
    watch = yard.watch()
    for topic in ("event:doc.created", "event:doc.*", "event:*"):
        await watch.subscribe(topic)
    await yard.bus.events.publish("doc.created", b'{"id":"1","data":{"n":1}}', event_id="1")
    await yard.bus.events.publish("doc.page.changed", b"no json \xff", event_id="2")
    await yard.bus.events.publish("other", b"[" * 5000, event_id="3")
    await watch.wait_seen("event:*", lambda seen: len(seen) == 3)
    assert watch.seen == {"event:doc.created": [1], "event:doc.*": [1, 2], "event:*": [1, 2, 3]}
    items = [item for frame in watch.of_type("events") if frame["topic"] == "event:*" for item in frame["items"]]
    assert items[0]["event"] == {"id": "1", "data": {"n": 1}}
    assert [item["unreadable"] for item in items[1:]] == [True, True]


async def test_a_jobs_log_comes_from_its_beginning_then_live(yard: Yard) -> None:
    for number in range(3):
        yard.bus.events.trace("job-1", "log", b'{"n":%d}' % number)
    watch = yard.watch()
    await watch.subscribe("log:job-1")
    await watch.wait_seen("log:job-1", lambda seen: len(seen) == 3)
    yard.bus.events.trace("job-1", "log", b'{"n":3}')
    yard.bus.events.trace("job-2", "log", b'{"n":4}')
    yard.bus.events.trace("job-1", "progress", b'{"n":5}')
    await watch.wait_seen("log:job-1", lambda seen: len(seen) == 4)
    late = yard.watch()
    await late.subscribe("log:job-1")
    await late.wait_seen("log:job-1", lambda seen: len(seen) == 4)
    assert late.seen == watch.seen
    assert [item["log"]["n"] for frame in late.of_type("events") for item in frame["items"]] == [0, 1, 2, 3]


async def test_workers_are_a_table_that_comes_whole_at_each_change() -> None:
    yard = await make_yard(poll_seconds=0.001)
    watch = yard.watch()
    await watch.subscribe("workers")
    assert (await watch.wait_for("snapshot"))["items"] == []
    await yard.bus.presence.put(make_presence("worker-1", running=["a"], busy=1), ttl_seconds=60)
    items = (await watch.wait_for("snapshot", 2))["items"]
    assert [(item["worker"], item["busy"], "running" in item) for item in items] == [("worker-1", 1, False)]
    other = yard.watch()
    await other.subscribe("workers")
    assert (await other.wait_for("snapshot"))["items"] == items
    await yard.bus.presence.remove("worker-1")
    assert (await watch.wait_for("snapshot", 3))["items"] == []
    await yard.backplane.close()


async def test_queues_are_a_table_too() -> None:
    yard = await make_yard(poll_seconds=0.001)
    await yard.bus.admin.apply_job(make_settings("mail"))
    watch = yard.watch()
    await watch.subscribe("queues")
    [row] = (await watch.wait_for("snapshot"))["items"]
    assert row == {
        "job": "mail",
        "ready": 0,
        "inFlight": 0,
        "delayed": 0,
        "workers": 0,
        "slots": 0,
        "busy": 0,
        "suspended": False,
    }
    await Client(bus=yard.world.connect()).enqueue("mail", {})
    assert [row["ready"] for row in (await watch.wait_for("snapshot", 2))["items"]] == [1]
    await yard.backplane.close()


async def test_a_broadcast_reaches_every_gateway_and_a_user_every_screen(yard: Yard) -> None:
    other = yard.make_backplane()
    ada, bob, ada_there = yard.watch(), yard.watch(Viewer("bob")), yard.watch(at=other)
    for watch in (ada, bob, ada_there):
        await watch.subscribe("topic:news")
        await watch.subscribe("user")
    client = Client(bus=yard.bus, by="system")
    await client.send_to_user("ada", {"for": "ada"})
    await client.broadcast("news", {"for": "all"})
    await client.broadcast("other", {"for": "nobody"})
    for watch, wanted in ((ada, ["ada", "all"]), (ada_there, ["ada", "all"]), (bob, ["all"])):
        await watch.wait_for("messages", len(wanted))
        items = [item for frame in watch.of_type("messages") for item in frame["items"]]
        assert [item["data"]["for"] for item in items] == wanted
        assert {item["by"] for item in items} == {"system"}
    await other.close()


async def test_nobody_hears_what_is_for_another_user(yard: Yard) -> None:
    watch = yard.watch(Viewer("bob"))
    await watch.subscribe("user:ada", id="x")
    error = await watch.wait_for("error")
    assert (error["code"], error["id"]) == ("forbidden", "x")
    nobody = yard.watch(Viewer(None))
    await nobody.subscribe("user")
    assert (await nobody.wait_for("error"))["code"] == "bad-topic"


# What a client may do


async def test_what_cannot_be_read_is_said_and_after_ten_the_client_goes(yard: Yard) -> None:
    watch = yard.watch()
    texts: list[str | bytes] = ["", "[", '{"op":"x"}', b"\xff"]
    for text in texts:
        await watch.session.feed(text)
    assert (await watch.wait_for("error", 4))["code"] == "bad-frame"
    for _ in range(6):
        await watch.session.feed("nonsense")
    assert watch.session.outbox.code == 4400


@given(
    st.lists(
        st.text()
        | st.binary()
        | st.fixed_dictionaries(
            {
                "op": st.sampled_from(["subscribe", "unsubscribe", "ping"]),
                "topic": st.sampled_from(["namespace", "jobs:mail", "user", "log:a", "workers", "event:*", "topic:x"])
                | st.text(max_size=20),
            },
            optional={
                "namespace": st.sampled_from(["shop", "other"]) | st.text(max_size=5),
                "after": st.integers(-2, 10),
                "snapshot": st.booleans(),
                "id": st.none() | st.integers() | st.text(max_size=5),
            },
        ).map(msgspec.json.encode),
        max_size=15,
    )
)
def test_no_client_breaks_its_session(texts: list[str | bytes]) -> None:
    async def run() -> None:
        yard = await make_yard()
        watch = yard.watch()
        await append(yard.bus, 3)
        for text in texts:
            await watch.session.feed(text)
        await append(yard.bus, 3)
        if not watch.session.outbox.code:
            await watch.say("ping", id="last")
            await eventually(lambda: any(frame.get("id") == "last" for frame in watch.frames))
        await watch.end()
        await yard.backplane.close()

    asyncio.run(run())


async def test_topics_have_a_bound(yard: Yard) -> None:
    watch = yard.watch()
    for number in range(51):
        await watch.subscribe(f"jobs:j{number}")
    assert (await watch.wait_for("error"))["code"] == "too-many-subscriptions"
    await watch.say("unsubscribe", topic="jobs:j0")
    await watch.subscribe("jobs:j51")
    await watch.wait_for("subscribed", 51)


async def test_an_unsubscribed_topic_is_quiet(yard: Yard) -> None:
    watch = yard.watch()
    await watch.subscribe("namespace")
    await watch.subscribe("jobs:send-email")
    await watch.say("unsubscribe", topic="namespace", id=5)
    assert (await watch.wait_for("unsubscribed"))["id"] == 5
    seqs = await append(yard.bus, 3)
    await watch.wait_seen("jobs:send-email", lambda seen: len(seen) == 3)
    assert "namespace" not in watch.seen
    watch.check("jobs:send-email", seqs)


async def test_a_namespace_that_is_not_served_is_said(yard: Yard) -> None:
    watch = yard.watch()
    await watch.subscribe("namespace", namespace="nowhere")
    assert (await watch.wait_for("error"))["code"] == "unknown-namespace"


async def test_a_namespace_without_streams_is_said_and_can_be_tried_again() -> None:
    yard = Yard()
    watch = yard.watch()
    await watch.subscribe("namespace")
    assert (await watch.wait_for("error"))["code"] == "unavailable"
    await yard.bus.admin.apply_namespace()
    await watch.subscribe("namespace")
    seqs = await append(yard.bus, 2)
    await watch.wait_seen("namespace", lambda seen: len(seen) == 2)
    watch.check("namespace", seqs)
    await yard.backplane.close()


# Rights


async def test_without_the_right_there_is_nothing_to_see(yard: Yard) -> None:
    viewer = Viewer()
    viewer.denied = {"shop/namespace"}
    watch = yard.watch(viewer)
    await watch.subscribe("namespace")
    assert (await watch.wait_for("error"))["code"] == "forbidden"
    await watch.subscribe("jobs:send-email")
    await append(yard.bus, 1)
    await watch.wait_seen("jobs:send-email", bool)
    assert "namespace" not in watch.seen


async def test_a_right_that_was_withdrawn_ends_its_topic_within_a_minute(yard: Yard) -> None:
    viewer = Viewer()
    watch = yard.watch(viewer)
    await watch.subscribe("namespace")
    await watch.subscribe("jobs:send-email")
    asked = viewer.asked
    await sweep(watch, later_seconds=59)
    assert viewer.asked == asked
    viewer.denied = {"shop/namespace"}
    await sweep(watch, later_seconds=61)
    ended = await watch.wait_for("ended")
    assert (ended["topic"], ended["code"]) == ("namespace", "forbidden")
    await append(yard.bus, 1)
    await watch.wait_seen("jobs:send-email", bool)
    assert "namespace" not in watch.seen


async def test_credentials_that_end_end_the_session(yard: Yard) -> None:
    expired, revoked = Viewer(), Viewer()
    expired.expires = time.time() + 100
    one, two = yard.watch(expired), yard.watch(revoked)
    await sweep(one, later_seconds=0, wall=expired.expires - 1)
    assert not one.session.outbox.code
    await sweep(one, later_seconds=0, wall=expired.expires)
    revoked.valid = False
    await sweep(two, later_seconds=61)
    await eventually(lambda: two.session.outbox.code)
    assert (one.session.outbox.code, two.session.outbox.code) == (4401, 4401)


async def test_while_the_api_server_is_away_rights_are_believed_a_little_longer(yard: Yard) -> None:
    viewer = Viewer()
    watch = yard.watch(viewer)
    await watch.subscribe("namespace")
    viewer.away = True
    asked = viewer.asked
    await sweep(watch, later_seconds=61)
    await eventually(lambda: viewer.asked > asked)
    await asyncio.sleep(0)
    assert not watch.session.outbox.code
    await watch.subscribe("workers")
    assert (await watch.wait_for("error"))["code"] == "unavailable"
    await sweep(watch, later_seconds=95)
    await eventually(lambda: watch.session.outbox.code == 1013)


# The end


def code_of(watch: Watch) -> int:
    return watch.session.outbox.code


async def test_a_client_that_takes_nothing_is_sent_away(yard: Yard) -> None:
    watch = yard.watch(reading=False)
    loop = asyncio.get_running_loop()
    watch.session.sweep(loop.time() + 59, time.time())
    assert code_of(watch) == 0
    watch.session.sweep(loop.time() + 61, time.time())
    assert code_of(watch) == 4008


async def test_a_gateway_that_goes_says_so_and_takes_no_more(yard: Yard) -> None:
    watch = yard.watch()
    await watch.subscribe("namespace")
    yard.backplane.shut()
    assert watch.session.outbox.code == 1012
    with pytest.raises(FullError):
        yard.watch()
    yard.backplane.end_session(watch.session)
    assert yard.backplane.closed == {1012: 1}
    assert not yard.backplane.sessions


async def test_sessions_have_a_bound() -> None:
    yard = await make_yard(max_sessions=1)
    watch = yard.watch()
    with pytest.raises(FullError):
        yard.watch()
    yard.backplane.end_session(watch.session)
    yard.watch()
    await yard.backplane.close()


async def test_whoever_has_gone_costs_nothing_more(yard: Yard) -> None:
    hub = await yard.backplane.find_hub("shop")
    watch = yard.watch()
    for topic in ("namespace", "log:job-1", "event:*", "workers", "topic:news"):
        await watch.subscribe(topic)
    yard.backplane.end_session(watch.session)
    assert hub.ledger.idle
    assert hub.events.idle
    await hub.end_idle(lambda _: False)
    assert not hub._traces
    await append(yard.bus, 3)
    assert not watch.session.outbox
