"""Following a topic over server-sent events: a connection that breaks is taken up where it stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import msgspec

from jetmill.errors import NoAnswerError
from jetmill.http.call import Caller

_RETRY_SECONDS = 0.5


class MissedError(NoAnswerError):
    """The gateway said that something was left out, up to `seq`; or, without it, that the stream ended."""

    def __init__(self, message: str, *, cure: str, seq: int | None = None, slow: bool = False) -> None:
        super().__init__(message, cure=cure)
        self.seq = seq
        self.slow = slow
        """It was only read too slowly: what was left out is still there."""


async def follow_topic(caller: Caller, topic: str, *, after: int | None) -> AsyncGenerator[dict[str, Any]]:
    """The items of a topic after a sequence (None: from now on), without an end. MissedError."""
    last_id = ""
    while True:
        params: dict[str, Any] = {"topic": topic, "after": None if last_id else after}
        try:
            async with caller.stream(
                "stream/sse", params=params, headers={"Last-Event-ID": last_id} if last_id else {}
            ) as events:
                async for event, data, said in events:
                    last_id = said or last_id
                    for item in _read_frame(event, data):
                        yield item
        except NoAnswerError as err:
            if isinstance(err, MissedError):
                raise
        await asyncio.sleep(_RETRY_SECONDS)


def _read_frame(event: str, data: str) -> list[dict[str, Any]]:
    if event not in ("events", "gap", "ended"):
        return []
    frame: Mapping[str, Any] = msgspec.json.decode(data)
    if event == "events":
        return list(frame["items"])
    if event == "gap":
        seq, reason = frame.get("seq"), frame.get("reason")
        span = f"after {frame.get('after')} up to {seq}"
        cure = "read the list, begin anew"
        raise MissedError(f"what came {span} was left out: {reason}", cure=cure, seq=seq, slow=reason == "slow")
    raise MissedError(f"the stream ended: {frame.get('detail')}", cure="look at your rights")
