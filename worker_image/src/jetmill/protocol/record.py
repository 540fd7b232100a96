"""What is written down: records of the ledger, and what rides in them.

A record repeats what the next step needs, so that nobody has to read the chain to go on. What never changes within
an enqueueing (the payload and the call's options) stands in the record that began it; the others point to it
by `payload_seq`. A hint's body is a record with the payload put back in, so a worker needs no read.

Times are whole microseconds since the Unix epoch. Fields that are not set are not written. Readers ignore fields
that they do not know and refuse versions that they do not know: an older worker reads a newer record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from jetmill.protocol.state import CLAIMED, FINAL, OPEN, WAITING, Reason, State

VERSION = 1
"""Written as `v` into every message, always: msgspec's tag is never left out, as a field with a default would be."""
Band = Literal["high", "normal", "low"]
Label = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")]
"""What goes into subjects; checked where it is decoded, so that a garbled record reaches none."""
Count = Annotated[int, msgspec.Meta(ge=0)]
Ordinal = Annotated[int, msgspec.Meta(ge=1)]

if TYPE_CHECKING:
    RawOrNone = msgspec.Raw | None
else:
    # msgspec decodes a union with Raw as if Raw were not there; a bare Raw with None as default does what is meant
    RawOrNone = msgspec.Raw


class Struct(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The settings that all messages share."""


class PayloadRef(Struct, frozen=True, kw_only=True):
    """A payload or result that lies in the object store."""

    name: str
    """The object's name in the bucket of payloads."""
    bytes: int
    sha256: str


class ErrorInfo(Struct, frozen=True, kw_only=True):
    """What went wrong, for people."""

    type: str
    """The exception's qualified class name."""
    message: str
    traceback: str = ""
    """At most 16 KiB, the end kept."""


class Call(Struct, frozen=True, kw_only=True):
    """What the caller asked for; fixed for one enqueueing, written once."""

    user: str | None = None
    labels: dict[str, str] | None = None
    trace: str | None = None
    """A W3C `traceparent`."""
    max_retries: int | None = None
    timeout_seconds: float | None = None
    start_by: int | None = None
    """µs; not started by then, it is skipped as `expired`."""
    slot: int | None = None
    """µs: the time of the calendar that the job stands for."""

    def is_empty(self) -> bool:
        """Tell whether nothing was asked for, so that it need not be written."""
        return self == _NO_CALL


_NO_CALL = Call()


class Record(Struct, frozen=True, kw_only=True, tag_field="v", tag=VERSION):
    """One link of a job's chain."""

    state: State
    enqueueing: Ordinal
    """Counts from 1; a person's retry begins the next."""
    attempt: Ordinal
    """Counts from 1; the attempt that runs, ran last, or (waiting) will run (`retrying`: that ended)."""
    crashes: Count = 0
    """Takeovers in this enqueueing."""
    job: Label
    band: Band = "normal"
    time: int
    """µs, by the writer's clock; the stream's own timestamp is the one that counts."""
    by: str
    """Who wrote it: `client:…`, `worker:…`, `keeper:…`, `planner:…` or a person's name."""
    lease: str | None = None
    """Of the claim, in `running` and `cancelling`."""
    worker: str | None = None
    """The process that claimed or finished it."""
    due: int | None = None
    """µs; in `scheduled` and `retrying`."""
    reason: Reason | None = None
    max_retries: int | None = None
    """The limit in force at this claim; in `running`."""
    gate: str | None = None
    schedule: str | None = None
    generation: int | None = None
    payload: RawOrNone = None
    payload_ref: PayloadRef | None = None
    call: Call | None = None
    payload_seq: int | None = None
    """The sequence of the record that holds payload and call, where this one does not."""
    result: RawOrNone = None
    result_ref: PayloadRef | None = None
    error: ErrorInfo | None = None

    @property
    def final(self) -> bool:
        """Nothing runs or waits any more."""
        return self.state in FINAL

    @property
    def open(self) -> bool:
        """Somebody still has to do something."""
        return self.state in OPEN

    @property
    def waiting(self) -> bool:
        """Free to be claimed, now or when due."""
        return self.state in WAITING

    @property
    def claimed(self) -> bool:
        """Under somebody's lease."""
        return self.state in CLAIMED


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A record where it lies."""

    id: str
    seq: int
    time: int
    """µs, the stream's timestamp."""
    record: Record


class Holder(Struct, frozen=True, kw_only=True, tag_field="v", tag=VERSION):
    """Who holds a gate; valid while that job is open in that enqueueing."""

    id: Label
    enqueueing: Ordinal


class SecretKey(Struct, frozen=True, kw_only=True):
    """Where a secret is found; what it says is written nowhere."""

    name: str
    """Of a Secret in the same namespace."""
    key: str


class WebhookSettings(Struct, frozen=True, kw_only=True):
    """Which events a Webhook sends where, and how; beside the settings of its deliveries, which are jobs."""

    events: list[str]
    """Types, beginnings (`doc.*`) or all (`*`)."""
    url: str
    method: Literal["POST", "PUT"] = "POST"
    headers: dict[str, str] = {}
    jobs: list[str] = []
    """Of events about jobs only those of these Jobs; none: of all."""
    expression: str | None = None
    """Sent only where this holds of the event."""
    secret: SecretKey | None = None
    """What requests are signed with; None: they are not."""
    signature: Literal["standard", "plain"] = "standard"
    timeout_seconds: float = 30.0
    """From the lookup of the address to the end of the answer."""
    delays: list[float] = []
    """Seconds between an attempt and the next one; after the last the delivery has failed."""
    rate: float | None = None
    """Requests a second, by all dispatchers together."""
    serial: Literal["subject"] | None = None
    """One at a time of the events with the same subject."""
    disable_after_seconds: float = 0.0
    """Nothing is sent any more when all has failed for so long; 0: never."""
    since: int = 0
    """µs: events before are none of its business."""


class TriggerSettings(Struct, frozen=True, kw_only=True):
    """Which events enqueue a job."""

    event: str
    """A type, a beginning (`doc.*`) or all (`*`)."""
    expression: str | None = None
    """Only where this holds of the event."""
    payload: Literal["event", "data"] = "event"
    """The job's payload: {"event": the CloudEvent}, or the event's data as it is."""


class JobSettings(Struct, frozen=True, kw_only=True, tag_field="v", tag=VERSION):
    """One Job as its reconciler declares it, for clients and workers; what is None was not declared."""

    job: Label
    generation: int = 0
    uid: str = ""
    """Of the object that declares it: a Job that was deleted and made again is another; "": nobody's."""
    carrier: Label | None = None
    """The Job whose workers serve this one too; None: it has workers of its own."""
    handler: str | None = None
    command: list[str] | None = None
    concurrency: int | None = None
    executor: Literal["auto", "async", "thread", "process"] | None = None
    timeout_seconds: float | None = None
    lease_seconds: float = 30.0
    max_retries: int | None = None
    initial_delay_seconds: float | None = None
    factor: float | None = None
    max_delay_seconds: float | None = None
    jitter: bool | None = None
    payload_schema: RawOrNone = None
    payload_max_bytes: int = 1_048_576
    succeeded_seconds: float = 86_400.0
    """How long a chain that ended well (or was skipped or cancelled) is kept."""
    failed_seconds: float = 1_209_600.0
    suspend: bool = False
    webhook: WebhookSettings | None = None
    """Set where the jobs are the deliveries of a Webhook."""
    triggers: list[TriggerSettings] = []


class Presence(Struct, frozen=True, kw_only=True, tag_field="v", tag=VERSION):
    """What a worker process says of itself while it lives."""

    worker: str
    jobs: list[str]
    missing: list[str] = []
    """Those of `jobs` whose handler it does not know: it leaves them to others, for a while."""
    slots: int
    running: list[str] = []
    """Ids of the jobs in hand, at most 1,000."""
    busy: int = 0
    """Jobs in hand: being claimed, run or settled."""
    service_seconds: float = 0.0
    """Smoothed run time of a job; 0 before the first has ended."""
    started: int = 0
    host: str = ""
    pid: int = 0
    pod: str = ""
    """The pod's name, which (unlike `pid` and `host`) Kubernetes knows too; "": it is in none."""
    version: str = ""
    draining: bool = False
    """It takes nothing more; with `busy` 0 it has nothing in hand, and so it stays."""
    stopping: bool = False
    """It will end, which nobody can undo; it drains for that."""
