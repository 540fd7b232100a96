"""What the credentials do not allow is an error that names the subject, at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from jetmill.bus.jetstream.append import Appender, AppendOptions
from jetmill.bus.jetstream.follow import Follow
from jetmill.bus.jetstream.link import Frame, Link
from jetmill.bus.jetstream.pull import Delivery, Pull, PullOptions
from jetmill.bus.jetstream.read import Reader
from jetmill.errors import BusError, PermissionDeniedError
from support.nats import NatsServer
from support.wait import eventually, soon

pytestmark = pytest.mark.integration
CONFIG = """
accounts {
  app {
    jetstream: enabled
    users: [
      {user: "admin", password: "p"}
      {user: "worker", password: "p", permissions: {
        publish: {allow: ["s.ok.>", "$JS.API.CONSUMER.MSG.NEXT.s.c", "$JS.API.STREAM.INFO.s", "$JS.ACK.s.c.>"]}
        subscribe: {allow: ["_INBOX_w.>"]}
      }}
      {user: "deaf", password: "p", permissions: {publish: {allow: [">"]}, subscribe: {deny: [">"]}}}
    ]
  }
}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with NatsServer.start(tmp_path_factory.mktemp("permission"), config=CONFIG) as server:
        yield server


@pytest.fixture
async def admin(server: NatsServer, connect: Any) -> Link:
    link: Link = await connect(server, user="admin", password="p")
    js = link.client.jetstream()
    await js.add_stream(name="s", subjects=["s.>"], allow_atomic=True, allow_direct=True)
    await js.purge_stream("s")
    await js.add_consumer("s", durable_name="c", ack_policy="explicit", filter_subject="s.ok.>")
    return link


@pytest.fixture
async def worker(server: NatsServer, admin: Link, connect: Any) -> Link:
    link: Link = await connect(server, user="worker", password="p", inbox_prefix="_INBOX_w")
    return link


async def test_a_denied_request_names_its_subject(worker: Link) -> None:
    with pytest.raises(PermissionDeniedError) as caught:
        await soon(worker.request("Some.Other.Subject", timeout_seconds=60))
    assert caught.value.subject == "Some.Other.Subject"
    assert "Some.Other.Subject" in str(caught.value)


async def test_only_the_denied_one_of_many_appends_fails(worker: Link) -> None:
    for options in (AppendOptions(batch_threshold=2), AppendOptions(atomic=False)):
        appender = Appender(worker, options)
        subjects = [f"s.ok.{number}" for number in range(20)]
        for at in (3, 21):  # inside a batch, and as its commit
            subjects.insert(at, "s.secret.x" if at == 3 else "s.secret.y")
        verdicts = await soon(
            asyncio.gather(*(appender.append(subject, b"x") for subject in subjects), return_exceptions=True)
        )
        denied = [verdict for verdict in verdicts if not isinstance(verdict, int)]
        assert [error.subject for error in denied if isinstance(error, PermissionDeniedError)] == [
            "s.secret.x",
            "s.secret.y",
        ]
        assert len(denied) == 2


async def test_a_denied_publish_that_nobody_waits_for_is_told(worker: Link) -> None:
    told: list[PermissionDeniedError] = []
    worker.on_denied(told.append)
    worker.publish("t.forbidden")
    await eventually(lambda: told)
    assert told[0].subject == "t.forbidden"


async def test_a_denied_subscription_is_told(worker: Link) -> None:
    told: list[PermissionDeniedError] = []
    worker.on_denied(told.append)
    got: list[Frame] = []
    worker.subscribe("t.secret", got.append)
    await eventually(lambda: told)
    assert told[0].subject == "t.secret"
    assert worker.connected


async def test_who_may_not_listen_to_answers_is_told_at_the_request(server: NatsServer, connect: Any) -> None:
    link: Link = await connect(server, user="deaf", password="p")
    for _ in range(2):
        with pytest.raises(PermissionDeniedError) as caught:
            await soon(link.request("$JS.API.INFO", timeout_seconds=60))
        assert caught.value.subject.startswith("_INBOX.")


async def test_a_worker_needs_no_more_than_pull_ack_and_append(admin: Link, worker: Link) -> None:
    got: list[Delivery] = []
    pull = Pull(worker, "s", "c", got.append)
    pull.want(3)
    await soon(asyncio.gather(*(Appender(worker).append(f"s.ok.{number}", b"x", expected=0) for number in range(3))))
    await eventually(lambda: len(got) == 3)
    for delivery in got:
        await soon(delivery.ack_sync())
    pull.stop()


async def test_a_denied_pull_is_told_and_tried_on_without_haste(worker: Link) -> None:
    errors: list[BusError] = []
    options = PullOptions(backoff_seconds=0.02, backoff_max_seconds=0.2)
    pull = Pull(worker, "s", "other", lambda _: None, on_error=errors.append, options=options)
    loop = asyncio.get_running_loop()
    began = loop.time()
    pull.want(1)
    await eventually(lambda: len(errors) >= 4)
    assert loop.time() - began > 0.5 * 0.02 * (1 + 2 + 4)
    assert isinstance(errors[0], PermissionDeniedError)
    assert errors[0].subject == "$JS.API.CONSUMER.MSG.NEXT.s.other"
    pull.stop()


async def test_a_denied_read_names_its_subject(worker: Link) -> None:
    reader = Reader(worker)
    assert await reader.last_seq("s") >= 0
    with pytest.raises(PermissionDeniedError) as caught:
        await soon(reader.get_last("s", "s.ok.1"))
    assert caught.value.subject == "$JS.API.STREAM.MSG.GET.s"
    with pytest.raises(PermissionDeniedError) as caught:
        await soon(reader.direct_batch("s", start_seq=1, subject_filter=">", batch=1))
    assert caught.value.subject == "$JS.API.DIRECT.GET.s"


async def test_a_denied_follow_is_an_error(worker: Link) -> None:
    with pytest.raises(PermissionDeniedError):
        await soon(anext(aiter(Follow(worker, "s", ["s.>"]))))
