"""The one handler of every delivery: an attempt is a request, and its log is the attempt's recorded value.

```
 event ─▶ secrets ─▶ its turn (rate) ─▶ signed request ─▶ answer ─▶ 2xx: succeeded
                                                            ├─ 410: failed, the endpoint is disabled
                                                            └─ else: retried by the schedule, then failed
```

What is declared when the attempt begins is what counts: an address or a secret that was changed meanwhile is the new
one. A delivery that is tried again has the same id and body, and a new timestamp and signature.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from jetmill.client.declaration import JobHandler, JobOptions, Registry
from jetmill.errors import CodecError, InputError
from jetmill.protocol.delivery import AttemptLog, LastDelivery
from jetmill.protocol.name import is_delivery
from jetmill.protocol.record import ErrorInfo
from jetmill.protocol.state import Reason
from jetmill.worker.context import current
from jetmill.worker.outcome import Failure, FailureError
from jetmill_operator.dispatch.envelope import build_request
from jetmill_operator.dispatch.event import decode_attributes
from jetmill_operator.dispatch.exchange import Answer, Request, SendError
from jetmill_operator.dispatch.guard import DeniedError
from jetmill_operator.dispatch.hook import Hook, Hooks
from jetmill_operator.dispatch.secret import SecretError, Secrets
from jetmill_operator.policy.delivery import Verdict, decide_wait, judge, parse_retry_after


@dataclass(frozen=True, slots=True)
class _Try:
    """One attempt under way."""

    hook: Hook
    delivery_id: str
    attempt: int
    began: int
    """µs since the epoch."""


Attempts = Counter[tuple[str, str, str]]
"""Attempts of this process by namespace, Webhook and result: delivered or failed."""


class Deliverer:
    """Delivers for one namespace. `share` gives the part of a Webhook's rate that is this dispatcher's."""

    def __init__(
        self,
        hooks: Hooks,
        secrets: Secrets,
        *,
        namespace: str,
        share: Callable[[], float] = lambda: 1.0,
        on_turn: Callable[[Hook], None] = lambda _hook: None,
        attempts: Attempts | None = None,
    ) -> None:
        self._hooks = hooks
        self._secrets = secrets
        self._namespace = namespace
        self._share = share
        self._attempts: Attempts = Counter() if attempts is None else attempts
        self._on_turn = on_turn
        """Hears when the circuit of an endpoint is to open, or the endpoint is to be disabled."""

    async def deliver(self, event: str) -> Any:
        """Send an event once; the handler of the worker, which gives the log or raises FailureError."""
        context = current.get()
        assert context is not None
        hook = await self._hooks.find(context.facts.job)
        if hook is None:
            raise FailureError(_fail("WebhookGone", "the Webhook has gone", final=True))
        tried = _Try(hook, context.id, context.attempt, time.time_ns() // 1000)
        try:
            request = await self._build(tried, event.encode())
        except (SecretError, CodecError) as err:
            raise self._give_up(tried, None, str(err), type(err).__name__, final=isinstance(err, CodecError)) from err
        rate = hook.webhook.rate
        await hook.bucket.take(None if rate is None else rate * self._share())
        try:
            answer = await hook.courier.send(request, timeout_seconds=hook.webhook.timeout_seconds)
        except (SendError, DeniedError, InputError) as err:
            raise self._give_up(tried, request, str(err), type(err).__name__) from err
        return self._conclude(tried, request, answer)

    async def _build(self, tried: _Try, event: bytes) -> Request:
        webhook = tried.hook.webhook
        secrets = [] if webhook.secret is None else await self._secrets.find(self._namespace, webhook.secret)
        return build_request(
            webhook,
            event,
            decode_attributes(event),
            delivery_id=tried.delivery_id,
            timestamp=int(time.time()),
            secrets=secrets,
        )

    def _conclude(self, tried: _Try, request: Request, answer: Answer) -> AttemptLog:
        verdict = judge(answer.status)
        log = _log(tried, request, answer)
        if verdict is Verdict.DELIVERED:
            self._note(tried, log, delivered=True)
            return log
        said = f"it answered {answer.status}"
        log = msgspec.structs.replace(log, error=said)
        self._note(tried, log, delivered=False, verdict=verdict)
        if verdict is Verdict.GONE:
            raise FailureError(_fail("Gone", f"{said}: it wants nothing more", final=True, log=log))
        wait = parse_retry_after(answer.headers, now=datetime.now(UTC))
        if wait is not None and (verdict is Verdict.THROTTLED or answer.status == 503):
            tried.hook.paused_until = max(tried.hook.paused_until, time.monotonic() + wait)
            self._on_turn(tried.hook)
        raise FailureError(_fail("HttpError", said, log=log, wait=self._wait(tried, wait)))

    def _give_up(
        self, tried: _Try, request: Request | None, said: str, kind: str, *, final: bool = False
    ) -> FailureError:
        """The failure of an attempt that got no answer."""
        log = msgspec.structs.replace(_log(tried, request, None), error=said)
        self._note(tried, log, delivered=False)
        return FailureError(_fail(kind, said, final=final, log=log, wait=self._wait(tried, None)))

    def _wait(self, tried: _Try, retry_after_seconds: float | None) -> float:
        delays = tried.hook.webhook.delays
        draw = random.random()
        return decide_wait(delays, attempt=tried.attempt, draw=draw, retry_after_seconds=retry_after_seconds)

    def _note(self, tried: _Try, log: AttemptLog, *, delivered: bool, verdict: Verdict = Verdict.FAILED) -> None:
        hook, now = tried.hook, time.time_ns() // 1000
        self._attempts[self._namespace, hook.name, "delivered" if delivered else "failed"] += 1
        hook.seen.add(
            LastDelivery(id=tried.delivery_id, time=now, delivered=delivered, status=log.status, error=log.error)
        )
        if verdict is Verdict.GONE:
            hook.seen.gone = True
            self._on_turn(hook)
        elif verdict is not Verdict.THROTTLED and hook.window.add(now, delivered=delivered):
            hook.window.clear()
            hook.seen.tripped = True
            self._on_turn(hook)


class Handlers(Registry):
    """Knows the handler of every Job of deliveries, and of no other."""

    def __init__(self, deliverer: Deliverer) -> None:
        super().__init__()
        self._deliverer = deliverer

    def get(self, name: str) -> JobHandler[..., Any] | None:
        """See Registry."""
        if not is_delivery(name):
            return None
        there = self._handlers.get(name)
        if there is None:
            there = self._handlers[name] = JobHandler(self._deliverer.deliver, name=name, options=JobOptions())
        return there


def encode_payload(event: bytes) -> bytes:
    """The payload of a delivery: the event's very bytes, as text."""
    return msgspec.json.encode({"event": event.decode()})


def _log(tried: _Try, request: Request | None, answer: Answer | None) -> AttemptLog:
    webhook = tried.hook.webhook
    hidden = {name.lower() for name in webhook.headers}
    sent = {} if request is None else {key: "…" if key in hidden else text for key, text in request.headers.items()}
    log = AttemptLog(
        time=tried.began,
        method=webhook.method,
        url=webhook.url,
        request_headers=sent,
        latency_seconds=round(time.time_ns() / 1e9 - tried.began / 1e6, 6),
    )
    if answer is None:
        return log
    return msgspec.structs.replace(
        log,
        status=answer.status,
        headers=answer.headers,
        body=answer.body.decode(errors="replace"),
        truncated=answer.truncated,
    )


def _fail(
    kind: str, message: str, *, final: bool = False, log: AttemptLog | None = None, wait: float | None = None
) -> Failure:
    return Failure(
        ErrorInfo(type=kind, message=message),
        reason=Reason.NON_RETRYABLE if final else None,
        final=final,
        retry_after_seconds=wait,
        result=None if log is None else msgspec.json.encode(log),
    )
