"""Environment variables as values: what the settings of every process share, so that all fail in the same words.

A process has a table (field → variable, parser, what is wanted); whatever is wrong is collected, and said together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jetmill.errors import ConfigError

Variables = Mapping[str, tuple[str, Callable[[str], Any], str]]
"""Field → its variable, how it is read (ValueError: it cannot be), what is wanted."""
TITLE = "the settings cannot be used: "
CURE = "correct them all, then try again"
FLAG, WHOLE, NUMBER = "true or false", "a whole number", "a number"
_TRUE, _FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off", ""})


def parse_names(text: str) -> tuple[str, ...]:
    """Names parted by commas or blanks."""
    return tuple(part for part in text.replace(",", " ").split() if part)


def parse_flag(text: str) -> bool:
    """Yes or no; ValueError."""
    lowered = text.strip().lower()
    if lowered not in _TRUE | _FALSE:
        raise ValueError(text)
    return lowered in _TRUE


def parse_variables(variables: Variables, environ: Mapping[str, str], faults: list[str]) -> dict[str, Any]:
    """The fields whose variables are set (an empty one is not); what cannot be read is added to `faults`."""
    values: dict[str, Any] = {}
    for key, (variable, parse, wanted) in variables.items():
        text = environ.get(variable)
        if not text:
            continue
        try:
            values[key] = parse(text)
        except ValueError:
            faults.append(f"{key} ({variable}): {text!r:.80} is not {wanted}")
    return values


def find_log_faults(log_format: str, log_level: str) -> list[str]:
    """What is wrong with how a process is to log; the variables are those of every process."""
    from jetmill.log import LEVELS

    faults = []
    if log_format not in ("auto", "json", "console"):
        faults.append(f"log_format (JETMILL_LOG_FORMAT): {log_format!r} is not auto, json or console")
    if log_level not in LEVELS:
        faults.append(f"log_level (JETMILL_LOG_LEVEL): {log_level!r} is not one of {', '.join(LEVELS)}")
    return faults


def refuse_settings(faults: list[str]) -> ConfigError:
    """The error that says all faults."""
    return ConfigError(TITLE + "; ".join(faults), cure=CURE)
