"""Sets of job numbers as bitmaps: 65,536 numbers a piece, each piece one Python integer of at most 8 KiB.

Integers are what CPython does bitwise work on at the speed of memory: to intersect two sets of a million numbers takes
about 30 µs, to count one as long. A piece without members is not kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import compress

PIECE_BITS = 16
PIECE = 1 << PIECE_BITS
_FULL = (1 << PIECE) - 1
_MASK = PIECE - 1
_SPARSE = PIECE >> 5
_HELD = re.compile(rb"[^\0]+")
_PLACES = [[place for place in range(8) if byte >> place & 1] for byte in range(256)]
_TO_FLAGS = bytes.maketrans(b"01", b"\x00\x01")


class Bits:
    """A set of numbers. Operators make new sets; `add` and `remove` change this one."""

    __slots__ = ("pieces",)

    def __init__(self, pieces: dict[int, int] | None = None) -> None:
        self.pieces: dict[int, int] = {} if pieces is None else pieces

    @classmethod
    def of(cls, numbers: Iterable[int]) -> Bits:
        """The set of these numbers."""
        return cls(_collect(numbers))

    @classmethod
    def between(cls, start: int, stop: int) -> Bits:
        """All numbers from `start` to before `stop`."""
        pieces = {}
        for piece in range(start >> PIECE_BITS, ((stop - 1) >> PIECE_BITS) + 1 if stop > start else 0):
            bits = _FULL
            if piece == (stop - 1) >> PIECE_BITS:
                bits &= (1 << (((stop - 1) & _MASK) + 1)) - 1
            if piece == start >> PIECE_BITS:
                bits = bits >> (start & _MASK) << (start & _MASK)
            pieces[piece] = bits
        return cls(pieces)

    def add(self, numbers: Iterable[int]) -> None:
        """Put numbers in."""
        for piece, bits in _collect(numbers).items():
            self.pieces[piece] = self.pieces.get(piece, 0) | bits

    def remove(self, numbers: Iterable[int]) -> None:
        """Take numbers out."""
        self.cut(Bits.of(numbers))

    def cut(self, other: Bits) -> None:
        """Take out what another set has."""
        for piece, bits in other.pieces.items():
            before = self.pieces.get(piece)
            if before is None:
                continue
            left = before & ~bits
            if left:
                self.pieces[piece] = left
            else:
                del self.pieces[piece]

    def put(self, start: int, bits: int) -> None:
        """Put in what a part of a piece holds: bit 0 is number `start`."""
        piece = start >> PIECE_BITS
        self.pieces[piece] = self.pieces.get(piece, 0) | bits << (start & _MASK)

    def window(self, start: int, width: int) -> int:
        """The members among `width` numbers from `start`, within one piece, as bits."""
        return self.pieces.get(start >> PIECE_BITS, 0) >> (start & _MASK) & ((1 << width) - 1)

    def __and__(self, other: Bits) -> Bits:
        small, large = sorted((self.pieces, other.pieces), key=len)
        both = {piece: bits & large.get(piece, 0) for piece, bits in small.items()}
        return Bits({piece: bits for piece, bits in both.items() if bits})

    def __or__(self, other: Bits) -> Bits:
        pieces = dict(self.pieces)
        for piece, bits in other.pieces.items():
            pieces[piece] = pieces.get(piece, 0) | bits
        return Bits(pieces)

    def __sub__(self, other: Bits) -> Bits:
        left = {piece: bits & ~other.pieces.get(piece, 0) for piece, bits in self.pieces.items()}
        return Bits({piece: bits for piece, bits in left.items() if bits})

    def __contains__(self, number: int) -> bool:
        return bool(self.pieces.get(number >> PIECE_BITS, 0) >> (number & _MASK) & 1)

    def __len__(self) -> int:
        return sum(bits.bit_count() for bits in self.pieces.values())

    def __bool__(self) -> bool:
        return bool(self.pieces)

    def __iter__(self) -> Iterator[int]:
        for piece in sorted(self.pieces):
            bits, start = self.pieces[piece], piece << PIECE_BITS
            if bits.bit_count() < _SPARSE:
                yield from spread(bits, start)
            else:
                yield from compress(range(start, start + PIECE), flags(bits))

    def first(self, limit: int) -> list[int]:
        """The smallest `limit` numbers, in order."""
        found: list[int] = []
        for piece in sorted(self.pieces):
            bits, offset = self.pieces[piece], piece << PIECE_BITS
            while bits and len(found) < limit:
                low = bits & -bits
                found.append(offset + low.bit_length() - 1)
                bits ^= low
        return found

    def last(self, limit: int) -> list[int]:
        """The largest `limit` numbers, the largest first."""
        found: list[int] = []
        for piece in sorted(self.pieces, reverse=True):
            bits, offset = self.pieces[piece], piece << PIECE_BITS
            while bits and len(found) < limit:
                high = bits.bit_length() - 1
                found.append(offset + high)
                bits ^= 1 << high
        return found


def flags(bits: int) -> bytes:
    """A byte for each number of a piece up to its last member, 1 for members: what `compress` picks by."""
    return format(bits, "b").encode().translate(_TO_FLAGS)[::-1]


def spread(bits: int, start: int = 0) -> Iterator[int]:
    """The members of a piece, or a part of one, that has few: only bytes that hold some are looked into."""
    data = bits.to_bytes((bits.bit_length() + 7) >> 3, "little")
    for found in _HELD.finditer(data):
        for number, byte in enumerate(found.group(), found.start()):
            for place in _PLACES[byte]:
                yield start + (number << 3) + place


def _collect(numbers: Iterable[int]) -> dict[int, int]:
    buffers: dict[int, bytearray] = {}
    for number in numbers:
        piece, place = number >> PIECE_BITS, number & _MASK
        buffer = buffers.get(piece)
        if buffer is None:
            buffer = buffers[piece] = bytearray(PIECE >> 3)
        buffer[place >> 3] |= 1 << (place & 7)
    return {piece: int.from_bytes(buffer, "little") for piece, buffer in buffers.items()}
