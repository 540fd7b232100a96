"""How answers look."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest

from jetmill.cli.output import Format, age, build_facts, build_table, render, span
from jetmill.cli.parse import parse_span
from jetmill.cli.progress import Bar
from jetmill.errors import InputError


def test_columns_are_aligned_also_for_wide_characters() -> None:
    lines = build_table(("name", "n"), [("日本", 1), ("abcd", 22)]).splitlines()
    assert lines == ["NAME  N", "日本  1", "abcd  22"]


def test_text_from_jobs_cannot_steer_the_terminal() -> None:
    table = build_table(("error",), [("\x1b[31mred\nline\x07",)])
    assert "\x1b" not in table
    assert len(table.splitlines()) == 2
    assert "\x1b" not in build_facts([("error", "\x1b]0;title\x07")])


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.35, "350ms"), (1.5, "1.5s"), (12, "12s"), (300, "5m"), (7200, "2h"), (200_000, "2d")]
)
def test_a_span_is_in_its_largest_unit(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_what_is_to_come_is_in_some_time() -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    assert age(now + timedelta(minutes=5), now=now) == "in 5m"
    assert age(now - timedelta(minutes=5), now=now) == "5m"
    assert age(None) is None


@pytest.mark.parametrize("form", [Format.JSON, Format.YAML])
def test_times_are_iso_for_programs(form: Format) -> None:
    assert "2030-01-01T00:00:00Z" in render({"at": datetime(2030, 1, 1, tzinfo=UTC)}, form, table="")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1h30m", 5400), ("10ms", 0.01), ("1.5s", 1.5), ("2d", 172_800)]
)
def test_spans_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_span(text, option="--delay").total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "soon", "5x", "-5s", "1h 30m", "s", "9" * 30 + "d"])
def test_what_is_no_span_names_its_option(text: str) -> None:
    with pytest.raises(InputError, match="--delay"):
        parse_span(text, option="--delay")


def test_a_bar_says_nothing_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    with Bar(label="job", stream=stream) as bar:
        bar.draw(0.5, "half")
    assert stream.getvalue() == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_is_gone_when_it_is_over() -> None:
    stream = Terminal()
    with Bar(label="job", stream=stream) as bar:
        bar.draw(0.5, "half")
    assert "50% half" in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[K")
