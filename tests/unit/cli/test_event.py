"""`jetmill event`: what it publishes, what it prints, how it ends."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from jetmill import Registry
from jetmill.client.client import Client
from support.shell import Shell
from support.wait import eventually


def publish(shell: Shell, *words: str) -> str:
    result = shell.run("event", "publish", *words)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def replay(shell: Shell, *words: str) -> list[dict[str, Any]]:
    result = shell.run("event", "replay", *words, "-o", "json")
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def fail(shell: Shell) -> None:
    """Let a subscription give up the events that are there."""

    async def run() -> None:
        bus = shell.world.connect()
        client = Client(bus=bus, registry=Registry())

        async def refuse(event: Any) -> None:
            raise ValueError("no such thing")

        async with await client.subscribe("*", refuse, durable="mails", start="all", retry=0):
            await eventually(client.events.dead)
        await bus.link.close()

    asyncio.run(run())


def test_what_is_published_is_replayed_as_it_was(shell: Shell, tmp_path: Path) -> None:
    made = publish(
        shell, "order.placed", "-d", '{"n": 1}', "--subject", "7", "--user", "ada", "--source", "/till/1",
        "--extension", "tenant=a",
    )  # fmt: skip
    (tmp_path / "data.json").write_text('{"n": 2}')
    publish(shell, "order.paid", "-d", f"@{tmp_path / 'data.json'}", "--id", "e2")
    result = shell.run("event", "publish", "doc.created", "-d", "-", stdin='{"n": 3}')
    assert result.exit_code == 0
    first, second, third = replay(shell)
    assert (first["id"], first["subject"], first["user"], first["source"], first["tenant"], first["data"]) == (
        made, "7", "ada", "/till/1", "a", {"n": 1},
    )  # fmt: skip
    assert (second["id"], second["seq"], third["data"]) == ("e2", 2, {"n": 3})
    assert [event["data"]["n"] for event in replay(shell, "order.*")] == [1, 2]
    assert [event["data"]["n"] for event in replay(shell, "order.paid", "doc.*")] == [2, 3]


def test_a_replay_is_bounded_by_sequences_times_and_a_number(shell: Shell) -> None:
    for number in range(1, 5):
        publish(shell, "order.placed", "-d", str(number))
    assert [event["data"] for event in replay(shell, "--since", "2", "--until", "3")] == [2, 3]
    assert [event["data"] for event in replay(shell, "--since", "1h", "--limit", "2")] == [1, 2]
    assert replay(shell, "--until", "2020-01-01T00:00:00Z") == []
    assert replay(shell, "--since", "2100-01-01T00:00:00Z") == []


def test_people_get_a_line_for_each_event(shell: Shell) -> None:
    publish(shell, "order.placed", "-d", '{"n": 1}', "--subject", "order 7")
    text = shell.run("event", "replay").stdout
    assert len(text.splitlines()) == 1
    for part in ("order.placed", "order 7", '{"n": 1}'):
        assert part in text
    assert "type: order.placed" in shell.run("event", "replay", "-o", "yaml").stdout


def test_a_tail_goes_on_from_where_it_is_told_to(shell: Shell) -> None:
    for number in range(1, 4):
        publish(shell, "order.placed", "-d", str(number))
    result = shell.run("event", "tail", "order.*", "--since", "2", "--limit", "2", "-o", "json")
    assert [json.loads(line)["data"] for line in result.stdout.splitlines()] == [2, 3]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("publish", "Order.Placed"), "event type"),
        (("publish", "order.placed", "-d", "{"), "no JSON"),
        (("publish", "order.placed", "-d", "@/no/such/file"), "cannot read"),
        (("publish", "order.placed", "--extension", "Bad=1"), "attribute"),
        (("replay", "order.>"), "event type"),
        (("replay", "--since", "yesterday"), "--since"),
        (("replay", "--until", "yesterday"), "--until"),
        (("unsubscribe", "A B"), "name"),
    ],
)
def test_what_cannot_be_used_is_said_with_code_2(shell: Shell, words: tuple[str, ...], said: str) -> None:
    result = shell.run("event", *words)
    assert result.exit_code == 2
    assert said in result.stderr


def test_dead_events_are_shown_tried_again_and_given_up(shell: Shell) -> None:
    publish(shell, "order.placed")
    fail(shell)
    text = shell.run("event", "dead").stdout
    for part in ("mails", "order.placed", "ValueError: no such thing"):
        assert part in text
    [dead] = shell.ask("event", "dead", "mails")
    assert (dead["seq"], dead["attempts"]) == (1, 1)
    assert "mails" in shell.run("event", "subscriptions").stdout
    assert shell.run("event", "retry", "mails", "1").exit_code == 0
    assert shell.ask("event", "dead") == []
    [subscription] = shell.ask("event", "subscriptions")
    assert subscription["in_hand"] + subscription["waiting"] == 1
    for verb in ("retry", "discard"):
        result = shell.run("event", verb, "mails", "1")
        assert result.exit_code == 3
        assert "no dead letter" in result.stderr


def test_a_dead_event_can_be_given_up_and_a_subscription_removed(shell: Shell) -> None:
    publish(shell, "order.placed")
    fail(shell)
    assert shell.run("event", "discard", "mails", "1").exit_code == 0
    assert shell.ask("event", "dead") == []
    assert shell.run("event", "unsubscribe", "mails").exit_code == 0
    assert shell.ask("event", "subscriptions") == []
