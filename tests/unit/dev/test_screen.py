"""What workers say is shown by line, with who said it, whatever it is."""

from __future__ import annotations

import asyncio
import io

import pytest

from jetmill_operator.dev.screen import Screen


async def pump(*chunks: bytes, colour: bool = False) -> list[str]:
    stream, reader = io.StringIO(), asyncio.StreamReader()
    for chunk in chunks:
        reader.feed_data(chunk)
    reader.feed_eof()
    await Screen(stream, colour=colour).pump("mail/1", reader)
    return stream.getvalue().splitlines()


async def test_lines_carry_the_worker_s_name():
    assert await pump(b"one\ntw", b"o\r\nthree") == ["mail/1 │ one", "mail/1 │ two", "mail/1 │ three"]


async def test_bytes_that_are_no_text_are_shown_as_such():
    assert await pump(b"\xff\xfe \xe2\x9c\x93\n") == ["mail/1 │ \\xff\\xfe ✓"]


async def test_a_line_without_an_end_is_shown_in_pieces():
    lines = await pump(b"x" * 200_000)
    assert sum(line.count("x") for line in lines) == 200_000
    assert len(lines) > 1


def test_workers_of_one_job_share_a_colour_that_others_do_not_have():
    stream = io.StringIO()
    screen = Screen(stream, colour=True)
    for name in ("mail/1", "mail/2", "bill/1"):
        screen.show(name, "text")
    colours = [line.partition("m")[0] for line in stream.getvalue().splitlines()]
    assert colours[0] == colours[1] != colours[2]


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_the_environment_outranks_what_the_stream_is(monkeypatch, environment, coloured):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Screen(io.StringIO()).colour is coloured


def test_a_reader_that_left_ends_the_screen_and_nothing_else():
    class Closed(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    screen = Screen(Closed())
    screen.say("nobody hears this")
    screen.say("nor this")


def test_a_terminal_without_unicode_gets_something_readable():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    Screen(stream).say("naïve")
    stream.flush()
    assert raw.getvalue() == b"dev | na\\xefve\n"
