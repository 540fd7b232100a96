"""`jetmill event`: publish, follow and read events again, and look after those that subscriptions gave up."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jetmill.cli.exit import Exit
from jetmill.cli.output import Format, build_table, show, show_error
from jetmill.cli.parse import parse_labels, parse_since
from jetmill.cli.session import Namespace, NatsUrl, Output, connected, run
from jetmill.errors import InputError, InvalidPayloadError, NotFoundError

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from jetmill.protocol.event import Event

app = typer.Typer(help="Events: those of applications, and those of jobs.", no_args_is_help=True)

Patterns = Annotated[
    list[str] | None, typer.Argument(metavar="[PATTERN]...", help="Types: doc.created, doc.*, *", show_default=False)
]
Since = Annotated[
    str | None, typer.Option("--since", help="From then on: 10m, 2h, an ISO time, or a sequence", show_default=False)
]
Until = Annotated[str | None, typer.Option("--until", help="Up to a time or a sequence", show_default=False)]
Subscription = Annotated[str, typer.Argument(help="Name of the durable subscription")]
Seq = Annotated[int, typer.Argument(help="Sequence of the event", min=1)]


@app.command("publish")
def publish(  # noqa: PLR0917 - a command has as many options as it has
    event_type: Annotated[str, typer.Argument(metavar="TYPE", help="order.placed")],
    data: Annotated[str, typer.Option("--data", "-d", help='JSON; @FILE reads a file, "-" stdin')] = "null",
    subject: Annotated[str | None, typer.Option("--subject", help="What it is about", show_default=False)] = None,
    event_id: Annotated[
        str | None, typer.Option("--id", help="The event's id: again is the same event", show_default=False)
    ] = None,
    source: Annotated[str | None, typer.Option("--source", help="Where it is from", show_default=False)] = None,
    user: Annotated[str | None, typer.Option("--user", help="Who caused it", show_default=False)] = None,
    extension: Annotated[
        list[str] | None, typer.Option("--extension", help="NAME=VALUE; may be repeated", show_default=False)
    ] = None,
    namespace: Namespace = None,
    nats_url: NatsUrl = None,
    output: Output = Format.TABLE,
) -> None:
    """Publish an event; prints its id once it is stored."""

    async def command() -> None:
        value = _read_data(data)
        extensions = parse_labels(extension or []) or None
        async with connected(namespace, nats_url) as client:
            made = await client.publish(
                event_type, value, subject=subject, id=event_id, source=source, user=user, extensions=extensions
            )
        show({"id": made, "type": event_type}, output, table=made)

    run(command)


def _read_data(text: str) -> Any:
    raw = text
    if text == "-":
        raw = sys.stdin.read()
    elif text.startswith("@"):
        try:
            raw = Path(text[1:]).read_text()
        except OSError as err:
            raise InvalidPayloadError(f"--data: cannot read {text[1:]}: {err.strerror}", field="data") from err
    try:
        return json.loads(raw)
    except ValueError as err:
        raise InvalidPayloadError(f"--data: no JSON: {err}", field="data", cure='a text is "quoted"') from err


@app.command("tail")
def tail(
    patterns: Patterns = None,
    since: Since = None,
    limit: Annotated[int, typer.Option("--limit", help="End after so many; 0: never", min=0)] = 0,
    namespace: Namespace = None,
    nats_url: NatsUrl = None,
    output: Output = Format.TABLE,
) -> None:
    """Show events as they come, one a line, until Ctrl-C; `-o json` gives each as one line of JSON."""

    async def command() -> None:
        async with connected(namespace, nats_url) as client:
            shown = 0
            async for event in client.events.follow(patterns or ["*"], start=_read_start(since, else_start="new")):
                _show_line(event, output)
                shown += 1
                if shown == limit:
                    return

    run(command)


@app.command("replay")
def replay(
    patterns: Patterns = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", help="At most so many; 0: all", min=0)] = 0,
    namespace: Namespace = None,
    nats_url: NatsUrl = None,
    output: Output = Format.TABLE,
) -> None:
    """Show the events that are kept again, oldest first."""

    async def command() -> None:
        async with connected(namespace, nats_url) as client:
            end = None if until is None else _read_start(until, else_start="new", option="--until")
            found = client.events.read(patterns or ["*"], start=_read_start(since, else_start="all"), until=end)
            shown = 0
            async for event in found:
                _show_line(event, output)
                shown += 1
                if shown == limit:
                    return

    run(command)


def _read_start(text: str | None, *, else_start: str, option: str = "--since") -> int | str | datetime | timedelta:
    if text is None:
        return else_start
    if text.isdigit():
        return int(text)
    try:
        return parse_since(text) or else_start
    except InputError as err:
        raise InputError(err.message.replace("--since", option), field=option, cure=err.cure) from err


def _show_line(event: Event, output: Format) -> None:
    if output is Format.TABLE:
        moment = "" if event.time is None else event.time.strftime("%H:%M:%S")
        data = json.dumps(event.data, ensure_ascii=False)
        about = event.subject or event.source
        sys.stdout.write(f"{event.seq:>8}  {moment}  {event.type:<24} {about}  {data}\n")
    elif output is Format.JSON:
        sys.stdout.write(json.dumps({"seq": event.seq, **event.document}, ensure_ascii=False) + "\n")
    else:
        import yaml

        sys.stdout.write("---\n" + yaml.safe_dump({"seq": event.seq, **event.document}, sort_keys=False))
    sys.stdout.flush()


@app.command("subscriptions")
def subscriptions(namespace: Namespace = None, nats_url: NatsUrl = None, output: Output = Format.TABLE) -> None:
    """Show the durable subscriptions, and how far they are."""

    async def command() -> None:
        async with connected(namespace, nats_url) as client:
            found = await client.events.subscriptions()
        rows = [(one.name, ", ".join(one.patterns), one.waiting, one.in_hand) for one in found]
        show(found, output, table=build_table(("name", "patterns", "waiting", "in hand"), rows))

    run(command)


@app.command("unsubscribe")
def unsubscribe(name: Subscription, namespace: Namespace = None, nats_url: NatsUrl = None) -> None:
    """Remove a durable subscription with the events that it gave up; who still subscribes makes it again."""

    async def command() -> None:
        async with connected(namespace, nats_url) as client:
            await client.events.unsubscribe(name)

    run(command)


@app.command("dead")
def dead(
    name: Annotated[str | None, typer.Argument(help="Of this subscription alone", show_default=False)] = None,
    namespace: Namespace = None,
    nats_url: NatsUrl = None,
    output: Output = Format.TABLE,
) -> None:
    """Show the events that subscriptions gave up, oldest first, with their last error."""

    async def command() -> None:
        async with connected(namespace, nats_url) as client:
            found = await client.events.dead(name)
        rows = [
            (
                one.subscription,
                one.seq,
                one.attempts,
                "?" if one.event is None else one.event["type"],
                f"{one.error.type}: {one.error.message}"[:80],
            )
            for one in found
        ]
        show(found, output, table=build_table(("subscription", "seq", "attempts", "type", "error"), rows))

    run(command)


@contextlib.contextmanager
def _no_such_event() -> Iterator[None]:
    try:
        yield
    except NotFoundError as err:
        show_error(err)
        raise typer.Exit(Exit.STATE) from err


@app.command("retry")
def retry(name: Subscription, seq: Seq, namespace: Namespace = None, nats_url: NatsUrl = None) -> None:
    """Hand an event that was given up to its subscription once more."""

    async def command() -> None:
        async with connected(namespace, nats_url) as client:
            with _no_such_event():
                await client.events.retry(name, seq)

    run(command)


@app.command("discard")
def discard(name: Subscription, seq: Seq, namespace: Namespace = None, nats_url: NatsUrl = None) -> None:
    """Give an event up for good."""

    async def command() -> None:
        async with connected(namespace, nats_url) as client:
            with _no_such_event():
                await client.events.discard(name, seq)

    run(command)
