"""Events over REST: published as whoever asks, read again, searched; what subscriptions gave up is looked after."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from jetmill.bus.ports import Bus
from jetmill.client.client import Client
from support.gateway import RunningGateway
from support.wait import eventually

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]
PATH = "/api/v1/events"


@pytest.fixture
def bus(one_bus: Bus) -> Bus:
    return one_bus


@pytest.fixture
def gateway(one_gateway: RunningGateway) -> RunningGateway:
    return one_gateway


@pytest_asyncio.fixture(loop_scope="module")
async def editor(gateway: RunningGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client("token-of-editor") as client:
        yield client


def fresh(name: str = "doc") -> str:
    """A type that no other test publishes."""
    return f"{name}-{secrets.token_hex(4)}"


async def read(client: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    response = await client.get(PATH, params=query)
    assert response.status_code == 200, response.text
    return dict(response.json())


def numbers(page: dict[str, Any]) -> list[int]:
    return [item["event"]["data"]["n"] for item in page["items"]]


async def read_all(client: httpx.AsyncClient, **query: Any) -> list[int]:
    """Every page."""
    found: list[int] = []
    while True:
        page = await read(client, **query)
        found += numbers(page)
        if "nextCursor" not in page:
            return found
        query["cursor"] = page["nextCursor"]


async def publish(sdk: Client, event_type: str, *wanted: int, **attributes: Any) -> None:
    for number in wanted:
        await sdk.publish(event_type, {"n": number}, **attributes)


async def test_what_is_published_says_who_did_it_and_is_found_at_once(editor: httpx.AsyncClient) -> None:
    kind = fresh()
    sent = {"type": f"{kind}.created", "data": {"n": 1}, "subject": "T-1", "extensions": {"tenant": "a"}}
    response = await editor.post(PATH, json=sent)
    assert response.status_code == 201
    body = response.json()
    [item] = (await read(editor, type=f"{kind}.*"))["items"]
    assert item["seq"] == body["seq"]
    event = item["event"]
    assert (event["id"], event["user"], event["subject"], event["tenant"]) == (body["id"], "editor", "T-1", "a")
    one = await editor.get(f"{PATH}/{body['seq']}")
    assert one.json() == item
    again = await editor.post(PATH, json={**sent, "id": body["id"]})
    assert again.json()["seq"] == body["seq"], "the same id is stored once"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"type": "job.succeeded"}, 422),
        ({"type": "job"}, 422),
        ({"type": "worker.lost"}, 422),
        ({"type": "Doc.Created"}, 422),
        ({"type": "doc.*"}, 422),
        ({"source": "/jetmill/shop/mail"}, 422),
        ({"source": "a b"}, 422),
        ({"extensions": {"Bad": "1"}}, 422),
        ({"data": "x" * 300_000}, 413),
        ({"user": "somebody-else"}, 400),
    ],
)
async def test_what_may_not_be_said_is_refused(editor: httpx.AsyncClient, change: dict[str, Any], status: int) -> None:
    response = await editor.post(PATH, json={"type": fresh(), **change})
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/problem+json")


async def test_events_are_read_newest_first_page_by_page(editor: httpx.AsyncClient, sdk: Client) -> None:
    kind, noise = fresh(), fresh("noise")
    for number in range(1, 8):
        await publish(sdk, f"{kind}.created", number)
        await publish(sdk, noise, number)
    first = await read(editor, type=f"{kind}.*", limit=3)
    assert numbers(first) == [7, 6, 5]
    second = await read(editor, type=f"{kind}.*", limit=3, cursor=first["nextCursor"])
    assert numbers(second) == [4, 3, 2]
    assert await read_all(editor, type=f"{kind}.*", limit=3) == [7, 6, 5, 4, 3, 2, 1]
    assert await read_all(editor, type=f"{kind}.*", limit=3, sort="time") == [1, 2, 3, 4, 5, 6, 7]


async def test_many_events_are_walked_through_in_steps(editor: httpx.AsyncClient, sdk: Client) -> None:
    kind, bus = fresh(), await sdk.connect()
    await publish(sdk, f"{kind}.first", 0)
    answers = [bus.events.publish(f"{kind}.noise", b'{"n":1}', event_id=f"{kind}{n}") for n in range(1_300)]
    await asyncio.gather(*answers)
    await publish(sdk, f"{kind}.last", 9)
    for sort, wanted in (("-time", [9, 0]), ("time", [0, 9])):
        query = {"type": [f"{kind}.first", f"{kind}.last"], "sort": sort}
        assert await read_all(editor, **query) == wanted
    assert await read_all(editor, type=f"{kind}.first") == [0], "one type is picked by the server, however far back"


async def test_all_filters_hold_at_once(editor: httpx.AsyncClient, sdk: Client) -> None:
    kind = fresh()
    await publish(sdk, f"{kind}.a", 1, subject="S-1", user="ada", source="/till/1")
    await publish(sdk, f"{kind}.b", 2, subject="S-1", user="eve", source="/till/1")
    await publish(sdk, f"{kind}.b", 3, subject="S-2", user="eve", source="/till/2")
    await publish(sdk, f"{kind}.c", 400)
    cases: list[tuple[dict[str, Any], list[int]]] = [
        ({}, [400, 3, 2, 1]),
        ({"subject": "S-1"}, [2, 1]),
        ({"user": "eve", "subject": "S-1"}, [2]),
        ({"source": "/till/2"}, [3]),
        ({"text": "TILL/1"}, [2, 1]),
        ({"filter": "event.data.n > 2"}, [400, 3]),
        ({"filter": "event.data.n > 2 && event.user == 'eve'"}, [3]),
        ({"type": [f"{kind}.a", f"{kind}.c"]}, [400, 1]),
        ({"type": f"{kind}.x"}, []),
    ]
    for query, wanted in cases:
        assert numbers(await read(editor, **{"type": f"{kind}.*", **query})) == wanted, query


async def test_times_bound_what_is_read(editor: httpx.AsyncClient, sdk: Client) -> None:
    kind = fresh()
    await publish(sdk, f"{kind}.a", 1)
    await asyncio.to_thread(_pass_a_moment)
    between = datetime.now(UTC).isoformat()
    await asyncio.to_thread(_pass_a_moment)
    await publish(sdk, f"{kind}.a", 2)
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert numbers(await read(editor, type=f"{kind}.*", since=between)) == [2]
    assert numbers(await read(editor, type=f"{kind}.*", until=between)) == [1]
    assert numbers(await read(editor, type=f"{kind}.*", since=later)) == []


def _pass_a_moment() -> None:
    end = datetime.now(UTC) + timedelta(milliseconds=30)
    while datetime.now(UTC) < end:
        pass


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"type": "doc.>"}, "type"),
        ({"type": [f"t{n}" for n in range(30)]}, "type"),
        ({"filter": "event.data >> 1"}, "filter"),
        ({"filter": "nope"}, "filter"),
        ({"limit": 0}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"sort": "size"}, "sort"),
        ({"since": "yesterday"}, "since"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(
    editor: httpx.AsyncClient, query: dict[str, Any], parameter: str
) -> None:
    response = await editor.get(PATH, params=query)
    assert response.status_code == 400
    assert parameter in response.text


async def test_a_bad_filter_says_where(editor: httpx.AsyncClient) -> None:
    response = await editor.get(PATH, params={"filter": "event.data.amount >> 100"})
    assert "line 1, column 20" in response.json()["errors"][0]["detail"]


async def test_an_event_that_is_not_there_is_not_found(editor: httpx.AsyncClient) -> None:
    for seq in ("999999999", "0", "-1", "x", "9" * 400):
        assert (await editor.get(f"{PATH}/{seq}")).status_code == 404


async def test_what_is_no_cloudevent_is_shown_as_such(editor: httpx.AsyncClient, bus: Bus) -> None:
    kind = fresh()
    await bus.events.publish(f"{kind}.odd", b"no json", event_id=kind)
    [item] = (await read(editor, type=f"{kind}.*"))["items"]
    assert item["type"] == f"{kind}.odd"
    assert "event" not in item


async def test_dead_events_are_seen_tried_again_and_given_up(editor: httpx.AsyncClient, sdk: Client) -> None:
    name, kind = fresh("s"), fresh()
    calls: list[int] = []

    async def fail(event: Any) -> None:
        calls.append(event.data["n"])
        raise ValueError("no such thing")

    async def dead() -> list[dict[str, Any]]:
        return list((await editor.get(f"{PATH}/dead", params={"subscription": name})).json()["items"])

    async with await sdk.subscribe(f"{kind}.*", fail, durable=name, start="all", retry=0):
        await publish(sdk, f"{kind}.created", 1)
        [item] = await eventually(dead)
        assert (item["attempts"], item["error"]) == (1, {"type": "ValueError", "message": "no such thing"})
        assert item["event"]["data"] == {"n": 1}
        asked = {"subscription": name, "seq": item["seq"], "action": "retry"}
        assert (await editor.post(f"{PATH}/dead", json=asked)).status_code == 204
        await eventually(lambda: len(calls) == 2)
        await eventually(dead)
    listed = (await editor.get("/api/v1/subscriptions")).json()["items"]
    assert [one["patterns"] for one in listed if one["name"] == name] == [[f"{kind}.*"]]
    asked["action"] = "discard"
    assert (await editor.post(f"{PATH}/dead", json=asked)).status_code == 204
    assert await dead() == []
    assert (await editor.post(f"{PATH}/dead", json=asked)).status_code == 404
    assert (await editor.delete(f"/api/v1/subscriptions/{name}")).status_code == 204
    listed = (await editor.get("/api/v1/subscriptions")).json()["items"]
    assert name not in [one["name"] for one in listed]


async def test_an_event_that_is_published_is_heard_live(editor: httpx.AsyncClient, sdk: Client) -> None:
    kind = fresh()
    heard: list[Any] = []

    async def take(event: Any) -> None:
        heard.append(event)

    async with await sdk.subscribe(f"{kind}.*", take):
        await editor.post(PATH, json={"type": f"{kind}.created", "data": {"n": 1}})
        await eventually(lambda: heard)
    assert heard[0].user == "editor"
