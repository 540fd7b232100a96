"""A delivery that has to be looked up: its claim was refused or not answered, or it has no Jm-Seq (rules 2-4, 9).

```
read ── own lease ────────────────▶ the claim stands
  │     not moved since a claim was sent ─▶ send that claim again: it may yet land, so it is settled first
  └──── else by the table of `jetmill.protocol.decide`
```

Refused means that somebody else got on, so the loop turns only as fast as the job moves; unanswered waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from jetmill.bus.ports import Delivery
from jetmill.errors import BusError, RefusedError
from jetmill.ledger.actor import Actor
from jetmill.ledger.gate import Enter, LookAgain, Skip, ask_gate
from jetmill.ledger.lease import Claim, is_under
from jetmill.ledger.patience import Backoff
from jetmill.ledger.settle import settle
from jetmill.protocol import decide as table
from jetmill.protocol.codec import encode
from jetmill.protocol.outcome import Cancelled
from jetmill.protocol.record import Entry, Record
from jetmill.protocol.state import Reason, State
from jetmill.protocol.step import build_claim, build_conclusion, build_poison, build_skip

MaxRetries = Callable[[Record], int]


class Lookup:
    """One delivery on its way to a claim, or to whatever else its job needs."""

    def __init__(
        self, actor: Actor, delivery: Delivery, *, lease: str, hint: Record | None, max_retries: MaxRetries
    ) -> None:
        self._actor = actor
        self._delivery = delivery
        self._lease = lease
        self._hint = hint
        self._max_retries = max_retries
        self._source = hint
        self._sent: tuple[int, Record] | None = None
        self._backoff = Backoff()

    async def resolve(self, sent: tuple[int, Record] | None) -> Claim | None:
        """Read and decide, until the delivery is a claim or settled; raise CodecError.

        `sent` is a claim that went out and was not answered: the sequence it follows, and its record.
        """
        self._sent = sent
        while True:
            last = await self._actor.read(self._delivery.id)
            if last is not None and is_under(self._lease, last):
                return await self._stand(last)
            if self._sent is not None and last is not None and last.seq == self._sent[0]:
                claimed = await self._send(last, self._sent[1])
                if claimed is not None:
                    return claimed
                continue
            self._sent = None
            done, claimed = await self._act(last)
            if done:
                return claimed

    async def _stand(self, last: Entry) -> Claim | None:
        """The claim had landed; if it was cancelled since, it is concluded without a start."""
        source = self._source
        if source is None:
            source = await self._actor.read_source(last, None, known_seq=None)
        claim = Claim(last, self._delivery, source)
        if last.record.state is State.CANCELLING:
            await settle(self._actor, claim, Cancelled())
            return None
        return claim

    async def _act(self, last: Entry | None) -> tuple[bool, Claim | None]:
        """Do what the table says; (False, …): something moved, read again."""
        actor = self._actor
        claimed = last is not None and last.record.claimed
        present = claimed and last is not None and await actor.is_present(last.record)
        match table.decide(last, held_since=self._delivery.time, owner_present=present):
            case table.Ack():
                self._delivery.ack()
                return True, None
            case table.Wait():
                self._actor.look_again_later(self._delivery)
                return True, None
            case table.PutDelayed(entry):
                await self._delay(entry)
                return True, None
            case table.Bury(entry):
                return await self._conclude(entry, build_poison(entry, time=actor.now(), worker=actor.worker)), None
            case table.Conclude(entry):
                return await self._conclude(entry, build_conclusion(entry, time=actor.now(), worker=actor.worker)), None
            case table.Claim(entry):
                return await self._claim(entry)
            case decision:
                assert_never(decision)

    async def _claim(self, entry: Entry) -> tuple[bool, Claim | None]:
        self._source = await self._actor.read_source(entry, self._hint, known_seq=self._delivery.seq)
        if entry.record.waiting:
            if is_expired(entry.record, self._source, now=max(self._delivery.time, self._actor.now())):
                return await self._skip(entry, Reason.EXPIRED), None
            if entry.record.gate is not None:
                match await ask_gate(self._actor, entry):
                    case Skip():
                        return await self._skip(entry, Reason.OVERLAP), None
                    case LookAgain(due):
                        await self._delay(entry, due=due)
                        return True, None
                    case Enter():
                        pass
        record = make_claim(self._actor, entry, lease=self._lease, limit=self._max_retries(self._source))
        claimed = await self._send(entry, record)
        return claimed is not None, claimed

    async def _send(self, entry: Entry, record: Record) -> Claim | None:
        """Send a claim, maybe again; None: read."""
        assert self._source is not None
        try:
            seq = await self._actor.bus.ledger.append(entry.id, encode(record), expected=entry.seq)
        except RefusedError:
            return None
        except BusError as err:
            self._sent = (entry.seq, record)
            await self._backoff.pause(err)
            return None
        return Claim(Entry(entry.id, seq, record.time, record), self._delivery, self._source)

    async def _conclude(self, entry: Entry, record: Record) -> bool:
        """Append a final record in the job's stead, then acknowledge."""
        written = await self._actor.append(entry, record, self._backoff)
        if written is not None:
            self._delivery.ack()
            if self._actor.on_concluded is not None:
                self._actor.on_concluded(written, self._hint)
        return written is not None

    async def _skip(self, entry: Entry, reason: Reason) -> bool:
        record = build_skip(entry, reason, time=self._actor.now(), worker=self._actor.worker)
        return await self._conclude(entry, record)

    async def _delay(self, entry: Entry, *, due: int | None = None) -> None:
        """Put the delayed hint, confirmed, then acknowledge this one."""
        source = await self._actor.read_source(entry, self._hint, known_seq=self._delivery.seq)
        await self._actor.put_hint(entry, source, due=due)
        self._delivery.ack()


def make_claim(actor: Actor, entry: Entry, *, lease: str, limit: int) -> Record:
    """The `running` record; an attempt that was granted under a higher limit stays granted."""
    granted = entry.record.attempt if entry.record.state is State.RETRYING else entry.record.attempt - 1
    return build_claim(entry, lease=lease, worker=actor.worker, time=actor.now(), max_retries=max(granted, limit))


def is_expired(record: Record, source: Record, *, now: int) -> bool:
    """Tell whether a waiting job's starting deadline has passed; `now` is the server's clock, in hand or measured: what
    waited for a worker for too long is not started either.

    Not asked of a job that had started (`retrying`, interrupted), nor where a person knew better: reopened, or moved
    beyond the deadline.
    """
    start_by = None if source.call is None else source.call.start_by
    if start_by is None or now <= start_by or record.state is State.RETRYING:
        return False
    if record.reason in (Reason.INTERRUPTED, Reason.REOPENED):
        return False
    return not (record.reason is Reason.RESCHEDULED and (record.due or 0) > start_by)
