"""What a worker process is told: one frozen value from flags and environment, all faults reported together.

`settings_from_env` takes what flags gave (None: not given) and looks the rest up in the environment; nothing else reads
it. Where the bus is, is the same question for every process, so `ClientSettings` answers it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from jetmill.client.settings import ClientSettings
from jetmill.client.settings import settings_from_env as connection_from_env
from jetmill.errors import ConfigError
from jetmill.protocol.name import is_label
from jetmill.variable import (
    FLAG,
    NUMBER,
    TITLE,
    WHOLE,
    Variables,
    find_log_faults,
    parse_flag,
    parse_names,
    parse_variables,
    refuse_settings,
)
from jetmill.worker.result import RESULT_MAX_BYTES

MAX_SLOTS = 10_000


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How one worker process runs."""

    connection: ClientSettings = field(default_factory=ClientSettings)
    """Where the bus is (`JETMILL_NATS_URL`, `JETMILL_NAMESPACE`, …)."""
    jobs: tuple[str, ...] = ()
    """The Jobs to serve (`--job`, `JETMILL_JOBS`); none: every Job that is declared in this process."""
    modules: tuple[str, ...] = ()
    """Modules to import for their `@job` declarations (`--import`, `JETMILL_IMPORT`)."""
    entry_points: bool = False
    """Load the entry points of the group `jetmill.jobs` too (`JETMILL_ENTRY_POINTS`)."""
    concurrency: int | None = None
    """Jobs at once in this process (`--concurrency`, `JETMILL_CONCURRENCY`); None: the largest `concurrency` that
    the served Jobs declare, 50 where none does."""
    grace_seconds: float = 30.0
    """How long a worker that was told to stop lets its jobs run on (`JETMILL_GRACE_SECONDS`); then they are
    interrupted, at no attempt."""
    stop_seconds: float = 5.0
    """How long a handler that was told to stop may take to do so (`JETMILL_STOP_SECONDS`); then it is left alone."""
    settle_seconds: float = 10.0
    """How long a worker that ends tries to record its last outcomes while NATS is away (`JETMILL_SETTLE_SECONDS`)."""
    health_host: str = "0.0.0.0"  # noqa: S104 - probes and scrapers come from outside the pod
    """The address of `/livez`, `/readyz` and `/metrics` (`JETMILL_HEALTH_HOST`)."""
    health_port: int | None = None
    """Their port (`--health-port`, `JETMILL_HEALTH_PORT`); 0: a free one; None: not served."""
    pod: str = ""
    """The name of the pod that it runs in (`JETMILL_POD_NAME`, by the downward API), shown in its presence."""
    max_jobs: int | None = None
    """Drain and exit after so many jobs (`JETMILL_MAX_JOBS`)."""
    max_rss_bytes: int | None = None
    """Drain and exit when the process has grown to this (`JETMILL_MAX_RSS_BYTES`)."""
    result_max_bytes: int = RESULT_MAX_BYTES
    """A larger result fails its job as `invalid_result` (`JETMILL_RESULT_MAX_BYTES`)."""
    unknown_handler_seconds: float = 900.0
    """For how long a Job whose handler is not known here is left to other workers before its jobs fail
    (`JETMILL_UNKNOWN_HANDLER_SECONDS`)."""
    log_format: Literal["auto", "json", "console"] = "auto"
    """JSON lines or readable colours (`JETMILL_LOG_FORMAT`); auto: colours on a terminal."""
    log_level: str = "info"
    """debug, info, warning or error (`JETMILL_LOG_LEVEL`)."""
    log_jobs: bool = False
    """Log the start and the end of every job (`JETMILL_LOG_JOBS`); costs about 10 µs a line."""

    def __post_init__(self) -> None:
        faults = _find_faults(self)
        if faults:
            raise refuse_settings(faults)


def settings_from_env(environ: Mapping[str, str] | None = None, **given: Any) -> WorkerSettings:
    """The settings, what is `given` (and not None) outranking the environment; ConfigError lists every fault.

    Besides the fields of WorkerSettings, those of ClientSettings may be given.
    """
    environ = os.environ if environ is None else environ
    faults: list[str] = []
    values = parse_variables(_VARIABLES, environ, faults)
    given = {key: value for key, value in given.items() if value is not None}
    unknown = given.keys() - WorkerSettings.__dataclass_fields__.keys() - ClientSettings.__dataclass_fields__.keys()
    faults += [f"{name}: no such setting" for name in sorted(unknown)]
    values |= {key: value for key, value in given.items() if key in WorkerSettings.__dataclass_fields__}
    for key in ("jobs", "modules"):
        values[key] = tuple(values.get(key, ()))
    try:
        if "connection" not in values:
            outer = {key: value for key, value in given.items() if key in ClientSettings.__dataclass_fields__}
            values["connection"] = connection_from_env(environ, **outer)
    except ConfigError as err:
        faults.append(err.message.removeprefix(TITLE))
    connection = values.pop("connection", None)
    try:
        settings = WorkerSettings(connection=connection or ClientSettings(), **values)
    except ConfigError as err:
        faults.append(err.message.removeprefix(TITLE))
    else:
        if not faults:
            return settings
    raise refuse_settings(faults)


_VARIABLES: Variables = {
    "jobs": ("JETMILL_JOBS", parse_names, "names"),
    "modules": ("JETMILL_IMPORT", parse_names, "modules"),
    "entry_points": ("JETMILL_ENTRY_POINTS", parse_flag, FLAG),
    "concurrency": ("JETMILL_CONCURRENCY", int, WHOLE),
    "grace_seconds": ("JETMILL_GRACE_SECONDS", float, NUMBER),
    "stop_seconds": ("JETMILL_STOP_SECONDS", float, NUMBER),
    "settle_seconds": ("JETMILL_SETTLE_SECONDS", float, NUMBER),
    "health_host": ("JETMILL_HEALTH_HOST", str, "an address"),
    "health_port": ("JETMILL_HEALTH_PORT", int, WHOLE),
    "pod": ("JETMILL_POD_NAME", str, "a name"),
    "max_jobs": ("JETMILL_MAX_JOBS", int, WHOLE),
    "max_rss_bytes": ("JETMILL_MAX_RSS_BYTES", int, WHOLE),
    "result_max_bytes": ("JETMILL_RESULT_MAX_BYTES", int, WHOLE),
    "unknown_handler_seconds": ("JETMILL_UNKNOWN_HANDLER_SECONDS", float, NUMBER),
    "log_format": ("JETMILL_LOG_FORMAT", str, "auto, json or console"),
    "log_level": ("JETMILL_LOG_LEVEL", str.lower, "a level"),
    "log_jobs": ("JETMILL_LOG_JOBS", parse_flag, FLAG),
}


def _find_faults(settings: WorkerSettings) -> list[str]:
    def name(key: str) -> str:
        return f"{key} ({_VARIABLES[key][0]})"

    faults = [
        f"{name('jobs')}: {job!r:.80} is no label of a-z, 0-9 and '-'" for job in settings.jobs if not is_label(job)
    ]
    if settings.concurrency is not None and not 1 <= settings.concurrency <= MAX_SLOTS:
        faults.append(f"{name('concurrency')}: {settings.concurrency} is not between 1 and {MAX_SLOTS}")
    faults += [
        f"{name(key)}: {getattr(settings, key)} is not 0 or more"
        for key in ("grace_seconds", "stop_seconds", "settle_seconds", "unknown_handler_seconds")
        if not 0 <= getattr(settings, key) < math.inf
    ]
    if settings.health_port is not None and not 0 <= settings.health_port <= 65_535:
        faults.append(f"{name('health_port')}: {settings.health_port} is no port")
    for key in ("max_jobs", "max_rss_bytes", "result_max_bytes"):
        value = getattr(settings, key)
        if value is not None and value < 1:
            faults.append(f"{name(key)}: {value} is not 1 or more")
    faults += find_log_faults(settings.log_format, settings.log_level)
    return faults
