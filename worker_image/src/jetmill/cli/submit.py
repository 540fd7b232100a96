"""`jetmill job run`: enqueue one job or many, and with --wait see them through."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jetmill.cli.exit import Exit, exit_of
from jetmill.cli.output import Format, build_table, note, show, show_error
from jetmill.cli.parse import parse_labels, parse_moment, parse_span
from jetmill.cli.session import Namespace, NatsUrl, Output, connected, run
from jetmill.errors import InputError, InvalidPayloadError, JetmillError
from jetmill.protocol.name import is_delivery

if TYPE_CHECKING:
    from jetmill.client.client import Client


PayloadText = Annotated[
    str, typer.Option("--payload", "-p", help='JSON object of arguments; @FILE reads a file, "-" stdin')
]
Batch = Annotated[
    Path | None, typer.Option("--batch", help="Enqueue each line of a file of JSON objects", show_default=False)
]
JobId = Annotated[str | None, typer.Option("--id", help="The job's id: again is the same job", show_default=False)]
Priority = Annotated[str, typer.Option("--priority", help="high, normal, low, or an integer")]
Delay = Annotated[str | None, typer.Option("--delay", help="Start later: 30s, 5m, 2h", show_default=False)]
At = Annotated[str | None, typer.Option("--at", help="Start at an ISO time with its zone", show_default=False)]
MaxRetries = Annotated[int | None, typer.Option("--max-retries", min=0, show_default=False)]
AttemptTimeout = Annotated[
    str | None, typer.Option("--attempt-timeout", help="For one attempt: 90s, 10m", show_default=False)
]
Labels = Annotated[list[str] | None, typer.Option("--label", help="NAME=VALUE; may be repeated", show_default=False)]
User = Annotated[str | None, typer.Option("--user", help="On whose behalf", show_default=False)]
Key = Annotated[
    str | None,
    typer.Option("--concurrency-key", help="One job of this key at a time, of whichever Job", show_default=False),
]
Policy = Annotated[
    str | None,
    typer.Option("--concurrency-policy", help="When the key is taken: wait, skip or replace", show_default=False),
]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Wait for the end and show the result")]
Timeout = Annotated[str | None, typer.Option("--timeout", help="Wait at most so long: 30s, 5m", show_default=False)]


def run_job(  # noqa: PLR0917 - a command has as many options as it has
    job: Annotated[str, typer.Argument(help="Name of the Job")],
    payload: PayloadText = "{}",
    batch: Batch = None,
    job_id: JobId = None,
    priority: Priority = "normal",
    delay: Delay = None,
    at: At = None,
    max_retries: MaxRetries = None,
    attempt_timeout: AttemptTimeout = None,
    label: Labels = None,
    user: User = None,
    concurrency_key: Key = None,
    concurrency_policy: Policy = None,
    wait: Wait = False,
    timeout: Timeout = None,
    namespace: Namespace = None,
    nats_url: NatsUrl = None,
    output: Output = Format.TABLE,
) -> None:
    """Enqueue a job; with --wait see it through: exit 0 if it succeeded, 1 if not."""

    async def command() -> Exit:
        if is_delivery(job):
            cure = "publish an event, or `jetmill webhook test`"
            raise InputError(f"{job} holds the deliveries of a Webhook", field="JOB", cure=cure)
        options: dict[str, Any] = {
            "id": job_id,
            "priority": int(priority) if priority.lstrip("+-").isdigit() else priority,
            "delay": None if delay is None else parse_span(delay, option="--delay"),
            "at": None if at is None else parse_moment(at, option="--at"),
            "max_retries": max_retries,
            "timeout": None if attempt_timeout is None else parse_span(attempt_timeout, option="--attempt-timeout"),
            "labels": parse_labels(label or []) or None,
            "user": user,
            "concurrency_key": concurrency_key,
            "concurrency_policy": concurrency_policy,
        }
        seconds = None if timeout is None else parse_span(timeout, option="--timeout").total_seconds()
        given = {key: value for key, value in options.items() if value is not None}
        async with connected(namespace, nats_url) as client:
            if batch is None:
                return await _run_one(client, job, payload, given, wait=wait, seconds=seconds, output=output)
            return await _run_batch(client, job, _read_batch(batch), given, wait=wait, seconds=seconds, output=output)

    code = run(command)
    if code:
        raise typer.Exit(code)


async def _run_one(
    client: Client,
    job: str,
    payload: str,
    options: dict[str, Any],
    *,
    wait: bool,
    seconds: float | None,
    output: Format,
) -> Exit:
    handle = await client.enqueue(job, _read_payload(payload), **options)
    if not wait:
        value = {"id": handle.id, "job": handle.job, "created": handle.created}
        show(value, output, table=handle.id)
        return Exit.OK
    return await _see_through(client, handle.id, seconds=seconds, output=output)


async def _see_through(client: Client, job_id: str, *, seconds: float | None, output: Format) -> Exit:
    from jetmill.cli.trace import wait_with_bar

    await wait_with_bar(client, job_id, seconds=seconds)
    status = await client.status(job_id)
    if status.state == "succeeded":
        result = await client.result(job_id) if output is Format.TABLE else None
        show(status, output, table=json.dumps(result, indent=2, ensure_ascii=False))
        return Exit.OK
    if output is not Format.TABLE:
        show(status, output, table="")
    try:
        await client.result(job_id)
    except JetmillError as err:
        err.cure = err.cure or f"jetmill job status {job_id}"
        show_error(err)
    return Exit.NO


async def _run_batch(
    client: Client,
    job: str,
    calls: list[Any],
    options: dict[str, Any],
    *,
    wait: bool,
    seconds: float | None,
    output: Format,
) -> Exit:
    from jetmill.cli.trace import wait_for_all
    from jetmill.client.option import CallOptions

    if "id" in options:
        raise InvalidPayloadError("--id with --batch: many jobs cannot share an id", field="id")
    answers = await client.enqueue_many(job, calls, options=CallOptions().updated(**options))
    faults = [(number, answer) for number, answer in enumerate(answers, 1) if isinstance(answer, JetmillError)]
    for number, fault in faults[:20]:
        note(f"line {number}: {fault}")
    handles = [answer for answer in answers if not isinstance(answer, JetmillError)]
    code = exit_of(faults[0][1]) if faults else Exit.OK
    if not wait:
        show([handle.id for handle in handles], output, table="\n".join(handle.id for handle in handles))
        return code
    ended = await wait_for_all(client, [handle.id for handle in handles], seconds=seconds)
    states: dict[str, int] = {}
    for one in ended:
        states[one.state] = states.get(one.state, 0) + 1
    show(ended, output, table=build_table(("state", "jobs"), sorted(states.items())))
    return code or (Exit.OK if set(states) <= {"succeeded"} else Exit.NO)


def _read_payload(text: str) -> bytes:
    if text == "-":
        return sys.stdin.buffer.read()
    if text.startswith("@"):
        return _read_file(Path(text[1:]))
    return text.encode("utf-8", "surrogatepass")


def _read_batch(path: Path) -> list[Any]:
    data = sys.stdin.buffer.read() if str(path) == "-" else _read_file(path)
    return [line for line in data.splitlines() if line.strip()]


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        raise InvalidPayloadError(f"cannot read {path}: {err.strerror}", field="payload") from err
