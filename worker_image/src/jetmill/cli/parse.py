"""Options as people type them: `90s`, `2h`, ISO times, `name=value`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from jetmill.errors import InputError

_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|)")
_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def parse_span(text: str, *, option: str) -> timedelta:
    """A length of time: `90`, `90s`, `1h30m`; InputError names the option."""
    parts = _SPAN.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise InputError(f"{option}: {text!r} is no length of time", field=option, cure="write 30s, 5m, 1h30m or 2d")
    try:
        return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))
    except OverflowError as err:
        raise InputError(f"{option}: {text!r} is too long", field=option) from err


def parse_moment(text: str, *, option: str) -> datetime:
    """An ISO 8601 time with its zone; InputError names the option."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as err:
        raise InputError(
            f"{option}: {text!r} is no ISO time", field=option, cure="write 2030-01-31T09:00:00+01:00, or …Z"
        ) from err
    if moment.utcoffset() is None:
        raise InputError(f"{option}: {text!r} has no time zone", field=option, cure=f"write {text}Z for UTC")
    return moment


def parse_labels(texts: Iterable[str]) -> dict[str, str]:
    """`name=value`, several; InputError for one without a `=`."""
    labels = {}
    for text in texts:
        name, parted, value = text.partition("=")
        if not parted or not name:
            raise InputError(f"--label: {text!r}", field="--label", cure="write NAME=VALUE")
        labels[name] = value
    return labels


def parse_since(text: str | None) -> datetime | timedelta | None:
    """`--since`: how long ago, or an ISO time."""
    if text is None:
        return None
    if "-" in text or ":" in text:
        return parse_moment(text, option="--since")
    return parse_span(text, option="--since")
