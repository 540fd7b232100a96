"""Enqueueing many jobs in one call, pipelined.

Two windows of appends are under way at any time; the hints of a window leave as soon as its appends are answered.
Whoever adds a window makes the next one ready while NATS works on this.
What is refused or not answered is set aside and goes the way of a single job afterwards, so that one bad item stops
no good one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence

from jetmill.bus.ports import Bus
from jetmill.errors import BusError, JetmillError, NoAnswerError, RefusedError
from jetmill.ledger.draft import ID_BYTES, Draft, Submission, Submitted, enqueue, prepare, publish_until_answered
from jetmill.ledger.patience import UNHEARD, for_caller
from jetmill.protocol.hint import Hint

WINDOW = 1_000
LATE_TOGETHER = 200


async def submit_many(bus: Bus, submissions: Sequence[Submission], *, by: str) -> list[Submitted | JetmillError]:
    """Enqueue many jobs; one result or error per item, in order. An id that occurs twice in the call is one job."""
    bulk = Bulk(bus, by=by)
    for start in range(0, len(submissions), WINDOW):
        await bulk.add(submissions[start : start + WINDOW])
    return await bulk.finish()


class Bulk:
    """Many jobs on their way: `add` them by the window, then `finish`."""

    def __init__(self, bus: Bus, *, by: str) -> None:
        self._bus = bus
        self._by = by
        self._count = 0
        self._under_way: list[tuple[int, Draft, asyncio.Future[int]]] = []
        self._results: dict[int, Submitted | JetmillError] = {}
        self._first: dict[str, int] = {}
        self._copies: list[tuple[int, int]] = []
        self._late: list[tuple[int, Draft, bool]] = []
        self._hints: list[tuple[int, Hint, asyncio.Future[None]]] = []

    async def add(self, submissions: Sequence[Submission | JetmillError]) -> None:
        """Send some, and take the answers of those that were added before; an error stands for itself."""
        await self._bus.link.room()
        append = self._bus.ledger.append
        sent = [(index, draft, append(draft.id, draft.body, expected=0)) for index, draft in self._drafts(submissions)]
        await asyncio.sleep(0)  # what is buffered leaves before the caller goes on
        await self._collect(self._under_way)
        self._under_way = sent
        await asyncio.sleep(0)

    async def finish(self) -> list[Submitted | JetmillError]:
        """Wait for all that was added; one result or error per item, in order."""
        await self._collect(self._under_way)
        await self._confirm_hints()
        await self._enqueue_late()
        for index, first in self._copies:
            result = self._results[first]
            self._results[index] = (
                Submitted(result.id, result.seq, created=False) if isinstance(result, Submitted) else result
            )
        return [self._results[index] for index in range(self._count)]

    def _drafts(self, submissions: Sequence[Submission | JetmillError]) -> Iterator[tuple[int, Draft]]:
        time = self._bus.link.now()
        start = self._count
        self._count += len(submissions)
        chance = os.urandom(ID_BYTES * len(submissions))  # drawn for this window alone, so that no fork has it twice
        for index, submission in enumerate(submissions, start):
            if isinstance(submission, JetmillError):
                self._results[index] = submission
                continue
            if submission.id is not None and self._first.setdefault(submission.id, index) != index:
                self._copies.append((index, self._first[submission.id]))
                continue
            try:
                at = (index - start) * ID_BYTES
                yield index, prepare(submission, time=time, by=self._by, chance=chance[at : at + ID_BYTES])
            except JetmillError as err:
                self._results[index] = err

    async def _collect(self, sent: list[tuple[int, Draft, asyncio.Future[int]]]) -> None:
        """Take the answers of one window, and put the hints of what was accepted."""
        publish = self._bus.queue.publish
        for index, draft, answer in sent:
            try:
                seq = await answer
            except (RefusedError, NoAnswerError) as err:
                self._late.append((index, draft, isinstance(err, NoAnswerError)))
            except BusError as err:
                if err.code == UNHEARD:
                    self._late.append((index, draft, False))
                else:
                    self._results[index] = err
            else:
                hint = draft.hint(seq)
                self._hints.append((index, hint, publish(hint)))
                self._results[index] = Submitted(draft.id, seq, created=True)

    async def _confirm_hints(self) -> None:
        for index, hint, answer in self._hints:
            try:
                await answer
            except BusError as err:
                await self._put_again(index, hint, err)

    async def _put_again(self, index: int, hint: Hint, err: BusError) -> None:
        """Put a hint until it is answered, if trying again can help."""
        try:
            if not isinstance(err, NoAnswerError) and err.code != UNHEARD:
                raise err
            await publish_until_answered(self._bus, hint)
        except BusError as refusal:
            self._results[index] = refusal

    async def _enqueue_late(self) -> None:
        """What was refused or not answered, some at a time; their patience ends together."""
        backoffs = [for_caller() for _ in range(min(LATE_TOGETHER, len(self._late)))]
        for start in range(0, len(self._late), LATE_TOGETHER):
            some = self._late[start : start + LATE_TOGETHER]
            ends = await asyncio.gather(
                *(
                    enqueue(self._bus, draft, backoff, unanswered=unanswered)
                    for (_, draft, unanswered), backoff in zip(some, backoffs, strict=False)
                ),
                return_exceptions=True,
            )
            for (index, _, _), end in zip(some, ends, strict=True):
                if isinstance(end, BaseException) and not isinstance(end, JetmillError):
                    raise end
                self._results[index] = end
