"""What bitmaps cannot say: a number for each job (a time, a sequence), and the jobs with the largest ones.

The values lie in one array by job number. Of every 4,096 the bounds are kept, so that who looks for the largest few,
or for a range, looks into few of these blocks: jobs that were created together are mostly finished together.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from itertools import compress

from jetmill_operator.gateway.projection.bits import PIECE, PIECE_BITS, Bits, flags, spread

BLOCK_BITS = 12
BLOCK = 1 << BLOCK_BITS
_FULL = (1 << BLOCK) - 1
_NEVER = 0
_SPARSE = 200
"""So few members are looked at one by one, wherever they lie."""


class Column:
    """Values by number; 0 where there is none. They only grow, but for a new number."""

    def __init__(self) -> None:
        self._values = array("q")
        self._base = 0
        self._highest: list[int] = []
        self._lowest: list[int | None] = []

    def put(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Set values by number."""
        for number, value in pairs:
            if not self._values:
                self._base = number >> PIECE_BITS << PIECE_BITS
            place = number - self._base
            if place >= len(self._values):
                self._grow(place)
            self._values[place] = value
            block = place >> BLOCK_BITS
            self._highest[block] = max(self._highest[block], value)
            self._lowest[block] = None

    def get(self, number: int) -> int:
        """The value of a number."""
        return self._values[number - self._base]

    def _grow(self, place: int) -> None:
        blocks = (place >> BLOCK_BITS) + 1 - len(self._highest)
        self._values.frombytes(bytes(8 * BLOCK * blocks))
        self._highest.extend([_NEVER] * blocks)
        self._lowest.extend([None] * blocks)

    def settle(self) -> None:
        """Work out all bounds."""
        for block in range(len(self._lowest)):
            self._low(block)

    def drop_before(self, number: int) -> None:
        """Forget whole pieces that lie before a number."""
        gone = (number - self._base) >> PIECE_BITS
        if gone <= 0 or not self._values:
            return
        del self._values[: gone * PIECE]
        del self._highest[: gone * PIECE >> BLOCK_BITS]
        del self._lowest[: gone * PIECE >> BLOCK_BITS]
        self._base += gone * PIECE

    def between(self, start: int | None, stop: int | None) -> Bits:
        """The numbers whose value is at least `start` and below `stop`."""
        low, high = start or 1, (1 << 63) if stop is None else stop
        found = Bits()
        for block, highest in enumerate(self._highest):
            if highest < low or (lowest := self._low(block)) >= high:
                continue
            if lowest >= low and highest < high:
                bits = _FULL
            else:
                values = self._values[block << BLOCK_BITS : (block + 1) << BLOCK_BITS]
                text = "".join(["1" if low <= value < high else "0" for value in reversed(values)])
                bits = int(text, 2)
            if bits:
                found.put(self._base + (block << BLOCK_BITS), bits)
        return found

    def pick(self, members: Bits, limit: int, *, beyond: int | None, largest: bool) -> list[int]:
        """Of the members those with the `limit` largest (or smallest) values, in that order; only values below (above)
        `beyond`.
        """
        if len(few := members.first(_SPARSE + 1)) <= _SPARSE:
            pairs = [(self.get(number), number) for number in few]
            pairs = self._beyond(pairs, beyond, largest=largest)
            return [number for _, number in sorted(pairs, reverse=largest)[:limit]]
        blocks = self._rank(members, largest=largest)
        best: list[tuple[int, int]] = []
        for bound, block in blocks:
            if len(best) >= limit and ((bound < best[-1][0]) if largest else (bound > best[-1][0])):
                break
            if not largest and beyond is not None and self._highest[block] <= beyond:
                continue
            pairs = self._beyond(self._members(members, block), beyond, largest=largest)
            best = sorted(best + pairs, reverse=largest)[:limit]
        return [number for _, number in best]

    def _beyond(self, pairs: list[tuple[int, int]], beyond: int | None, *, largest: bool) -> list[tuple[int, int]]:
        if beyond is None:
            return pairs
        return [pair for pair in pairs if (pair[0] < beyond if largest else pair[0] > beyond)]

    def _rank(self, members: Bits, *, largest: bool) -> list[tuple[int, int]]:
        """The blocks that have members, the one with the most extreme bound first."""
        ranked: list[tuple[int, int]] = []
        for piece in members.pieces:
            first = ((piece << PIECE_BITS) - self._base) >> BLOCK_BITS
            blocks = range(max(first, 0), min(first + (PIECE >> BLOCK_BITS), len(self._highest)))
            ranked.extend((self._highest[block] if largest else self._low(block), block) for block in blocks)
        ranked.sort(reverse=largest)
        return ranked

    def _low(self, block: int) -> int:
        lowest = self._lowest[block]
        if lowest is None:
            values = self._values[block << BLOCK_BITS : (block + 1) << BLOCK_BITS]
            lowest = self._lowest[block] = min(filter(None, values), default=1 << 62)
        return lowest

    def _members(self, members: Bits, block: int) -> list[tuple[int, int]]:
        start = block << BLOCK_BITS
        bits = members.window(self._base + start, BLOCK)
        if bits.bit_count() < _SPARSE:
            return [(self._values[start + place], self._base + start + place) for place in spread(bits)]
        values = self._values[start : start + BLOCK]
        return list(
            compress(zip(values, range(self._base + start, self._base + start + BLOCK), strict=True), flags(bits))
        )
