"""From where a client stopped to now: out of the ring, or out of NATS, then live, without a seam.

Each round gives what was flushed meanwhile, as fast as the client takes it; when the ring reaches back to where it
stands, the rest is given and the client joins the feed in the same turn of the loop.
"""

from __future__ import annotations

import asyncio

from jetmill.errors import NoAnswerError
from jetmill_operator.gateway.stream.feed import Feed, cut_frames
from jetmill_operator.gateway.stream.frame import MAX_ITEMS, Frame, Key
from jetmill_operator.gateway.stream.outbox import Gap, Outbox
from jetmill_operator.gateway.stream.source import closing
from jetmill_operator.gateway.stream.topic import Topic

_PATIENCE_SECONDS = 5.0


async def replay(feed: Feed, topic: Topic, outbox: Outbox, *, after: int) -> None:
    """Give a topic's events after a sequence, then join the feed. BusError: it broke off; subscribe again."""
    key = Key(feed.namespace, str(topic))
    after = await _skip_what_is_gone(feed, topic, outbox, after=after)
    while not outbox.code:
        items = feed.recall(key.topic, after=after)
        if items is not None and len(items) > MAX_ITEMS:  # as much as the client takes, not all into memory
            part = items[:MAX_ITEMS]
            await outbox.room()
            for frame in cut_frames(key, part, after=after, seq=part[-1].seq):
                _put(outbox, frame)
            after = part[-1].seq
            continue
        if items is not None:
            for frame in cut_frames(key, items, after=after, seq=feed.seq):
                _put(outbox, frame)
            feed.join(key.topic, outbox)
            return
        if feed.seq - after > feed.options.replay:  # the client takes less than what comes
            outbox.note_gap(Gap(key, after=after, seq=feed.seq, reason="slow"))
            after = feed.seq
            continue
        until = feed.seq
        async with feed.replays:
            await _give_history(feed, topic, outbox, after=after, until=until)
        after = until


async def _skip_what_is_gone(feed: Feed, topic: Topic, outbox: Outbox, *, after: int) -> int:
    """Say a gap where history cannot tell everything since `after`; where to go on from."""
    if feed.floor <= after <= feed.seq:
        return after
    key = Key(feed.namespace, str(topic))
    if after > feed.seq:  # of another stream, or told by a gateway that is a moment ahead of us
        if after <= await feed.source.last_seq():
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await feed.reached(after)
            except TimeoutError as err:
                raise NoAnswerError(f"{key.topic}: this gateway is too far behind {after}") from err
            return after
        outbox.note_gap(Gap(key, after=after, seq=feed.seq, reason="reset"))
        return feed.seq
    nearest = max(feed.seq - feed.options.replay, await feed.source.floor(topic))
    if after >= nearest:
        return after
    nearest = min(nearest, feed.seq)
    outbox.note_gap(Gap(key, after=after, seq=nearest, reason="history"))
    return nearest


async def _give_history(feed: Feed, topic: Topic, outbox: Outbox, *, after: int, until: int) -> None:
    key = Key(feed.namespace, str(topic))
    async with closing(feed.source.history(topic, after=after, until=until)) as lists:
        async for items in lists:
            for frame in cut_frames(key, items, after=after, seq=items[-1].seq if items else after):
                await outbox.room()
                _put(outbox, frame)
                after = frame.seq or after


def _put(outbox: Outbox, frame: Frame) -> None:
    """What the client was waited for with is never dropped."""
    frame.kept = True
    outbox.put(frame)
