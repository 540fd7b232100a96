"""How a process of ours logs: JSON lines on a server, colours on a terminal. An application keeps its own set-up."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping, Sequence
from typing import Any, Literal

import structlog

LogFormat = Literal["auto", "json", "console"]
LEVELS: Sequence[str] = ("debug", "info", "warning", "error")
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(log_format: LogFormat = "auto", level: str = "info", *, add: Sequence[Any] = ()) -> None:
    """Set up structlog for a process of ours; `add` are processors that add to each event."""
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        *add,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
    ]
    if console:
        processors.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), timestamp_key="ts"))
    else:
        processors += [structlog.processors.dict_tracebacks, structlog.processors.EventRenamer("msg"), _render]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _render(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    import msgspec

    return msgspec.json.encode(event, enc_hook=str).decode()
