"""The port `Notes`: what every adapter promises."""

from __future__ import annotations

import asyncio

import pytest

from conformance.place import Place
from jetmill.bus.ports import Bus
from jetmill.errors import BusError, InvalidNameError, NotFoundError, RefusedError

pytestmark = pytest.mark.conformance


async def test_nobody_has_left_a_note_at_first(bus: Bus) -> None:
    assert await bus.notes.read("route.hooks") is None


async def test_a_note_is_there_as_it_was_left_with_the_time_of_the_server(bus: Bus, place: Place) -> None:
    before = bus.link.now()
    seq = await bus.notes.write("route.hooks", b"one", expected=0)
    note = await (await place.connect()).notes.read("route.hooks")
    assert note is not None
    assert (note.seq, note.data) == (seq, b"one")
    assert abs(note.time - before) < 60_000_000
    assert await bus.notes.read("route") is None


async def test_who_holds_an_old_sequence_is_refused(bus: Bus) -> None:
    first = await bus.notes.write("hook.orders", b"one", expected=0)
    second = await bus.notes.write("hook.orders", b"two", expected=first)
    for stale in (0, first, second + 1):
        with pytest.raises(RefusedError):
            await bus.notes.write("hook.orders", b"three", expected=stale)
    note = await bus.notes.read("hook.orders")
    assert note is not None
    assert (note.seq, note.data) == (second, b"two")


async def test_of_those_who_write_at_once_one_wins(bus: Bus) -> None:
    answers = await asyncio.gather(
        *(bus.notes.write("hook.orders", b"%d" % number, expected=0) for number in range(8)), return_exceptions=True
    )
    assert sum(isinstance(answer, int) for answer in answers) == 1
    assert sum(isinstance(answer, RefusedError) for answer in answers) == 7


async def test_notes_do_not_move_each_other(bus: Bus) -> None:
    first = await bus.notes.write("hook.orders", b"one", expected=0)
    await bus.notes.write("hook.mails", b"other", expected=0)
    assert await bus.notes.write("hook.orders", b"two", expected=first) > first


async def test_a_note_that_was_removed_was_never_there(bus: Bus) -> None:
    await bus.notes.write("hook.orders", b"one", expected=0)
    await bus.notes.remove("hook.orders")
    await bus.notes.remove("hook.orders")
    assert await bus.notes.read("hook.orders") is None
    await bus.notes.write("hook.orders", b"again", expected=0)


@pytest.mark.parametrize("key", ["", "hook.*", "hook.>", "Hook", "a b", "a..b", ".".join("abcdefghi")])
async def test_a_key_that_would_break_a_subject_is_refused(bus: Bus, key: str) -> None:
    for ask in (bus.notes.read(key), bus.notes.write(key, b"", expected=0), bus.notes.remove(key)):
        with pytest.raises(InvalidNameError):
            await ask


async def test_a_namespace_that_was_not_applied_has_no_notes(raw_bus: Bus) -> None:
    for ask in (raw_bus.notes.read("a"), raw_bus.notes.remove("a")):
        with pytest.raises(NotFoundError):
            await ask
    with pytest.raises(BusError):
        await raw_bus.notes.write("a", b"", expected=0)
