"""The status of a Webhook, from what was observed: pure.

```
 bad spec or expression · foreign stream ─▶ Ready=False, Stalled=True      a person has to act
 NATS away · no dispatcher yet ───────────▶ Ready=False, Reconciling=True  it goes on by itself
 410 · nothing but failures for days ─────▶ Ready=False, Disabled=True     until it is edited or enabled
 its receiver fails ──────────────────────▶ Ready=True,  Degraded=True     tried again, by its schedule
```
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jetmill.protocol.delivery import EndpointState
from jetmill_operator.policy.condition import Backlog, Json, Truth, make_condition, stamp
from jetmill_operator.policy.endpoint import Phase, find_phase
from jetmill_operator.policy.reason import Reason, Type
from jetmill_operator.policy.worker import Problem

_LONGEST_ERROR = 1_000


@dataclass(frozen=True, slots=True)
class WebhookView:
    """What was observed of a Webhook."""

    generation: int
    now: int
    """µs, by the server's clock."""
    suspended: bool = False
    stalled: Problem | None = None
    """What a person has to mend."""
    queue: Problem | None = None
    """What keeps its queue from being as declared; None: it is."""
    dispatchers: int = 0
    """How many serve it."""
    backlog: Backlog | None = None
    state: EndpointState | None = None
    """How its endpoint fares; None: nobody knows."""

    @property
    def phase(self) -> Phase:
        """What its endpoint is sent."""
        return Phase.CLOSED if self.state is None else find_phase(self.state, self.now)


def build_webhook_status(view: WebhookView, before: Mapping[str, Any], *, now: str) -> Json:
    """Build the status; a condition whose status is as `before` keeps its transition time. `now` is RFC 3339."""
    conditions = [_decide_ready(view), *_decide_progress(view), _decide_degraded(view), _decide_disabled(view)]
    conditions.append(_decide_suspended(view))
    status: Json = {
        "observedGeneration": view.generation,
        "conditions": [stamp(one, before, generation=view.generation, now=now) for one in conditions],
    }
    backlog, state = view.backlog, view.state
    if backlog is not None:
        status["backlog"] = {"ready": backlog.ready, "inFlight": backlog.in_flight, "delayed": backlog.delayed}
    elif "backlog" in before:
        status["backlog"] = dict(before["backlog"])  # nobody knows better
    if state is None:
        names = ("attempts", "lastDelivery", "failingSince", "filterErrors")
        return status | {name: before[name] for name in names if name in before}
    return status | _build_figures(state)


def _build_figures(state: EndpointState) -> Json:
    delivered, failed = sum(one.delivered for one in state.hours), sum(one.failed for one in state.hours)
    attempts: Json = {"delivered": delivered, "failed": failed}
    if delivered + failed:
        attempts["successPercent"] = 100 * delivered // (delivered + failed)
    figures: Json = {"attempts": attempts}
    if state.last is not None:
        last: Json = {"time": format_us(state.last.time), "delivered": state.last.delivered}
        if state.last.status is not None:
            last["status"] = state.last.status
        if state.last.error is not None:
            last["error"] = state.last.error[:_LONGEST_ERROR]
        figures["lastDelivery"] = last
    if state.failing_since is not None:
        figures["failingSince"] = format_us(state.failing_since)
    if state.filter_errors:
        figures["filterErrors"] = state.filter_errors
    return figures


def format_us(time: int) -> str:
    """A time in µs as RFC 3339 writes it, to the second."""
    return datetime.fromtimestamp(time // 1_000_000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _decide_ready(view: WebhookView) -> Json:
    problem = view.stalled or view.queue or _find_dispatcher_problem(view)
    if problem is not None:
        return make_condition(Type.READY, "False", problem.reason, problem.message)
    if view.phase is Phase.DISABLED:
        return make_condition(Type.READY, "False", *_explain_disabled(view))
    if view.suspended:
        message = "deliveries are kept and wait until suspend is false"
        return make_condition(Type.READY, "True", Reason.SUSPENDED, message)
    return make_condition(Type.READY, "True", Reason.DELIVERING, "events are sent as they come")


def _find_dispatcher_problem(view: WebhookView) -> Problem | None:
    if view.dispatchers:
        return None
    return Problem(Reason.NO_DISPATCHER, "no dispatcher serves it: events wait until one does")


def _decide_progress(view: WebhookView) -> list[Json]:
    if view.stalled is not None:
        return [make_condition(Type.STALLED, "True", view.stalled.reason, view.stalled.message)]
    waiting = view.queue or _find_dispatcher_problem(view)
    return [] if waiting is None else [make_condition(Type.RECONCILING, "True", waiting.reason, waiting.message)]


def _decide_degraded(view: WebhookView) -> Json:
    kind = Type.DEGRADED
    if view.state is None:
        return make_condition(kind, "Unknown", Reason.NO_DISPATCHER, "nobody has said how its receiver fares")
    if view.phase in (Phase.OPEN, Phase.HALF_OPEN):
        message = "most requests failed: for a while none is sent, then one at a time tries"
        return make_condition(kind, "True", Reason.CIRCUIT_OPEN, message)
    if view.state.failing_since is not None:
        return make_condition(kind, "True", Reason.FAILING, "its receiver fails; status.lastDelivery says how")
    return make_condition(kind, "False", Reason.HEALTHY, "its receiver takes what is sent")


def _decide_disabled(view: WebhookView) -> Json:
    if view.phase is Phase.DISABLED:
        return make_condition(Type.DISABLED, "True", *_explain_disabled(view))
    truth: Truth = "False" if view.state is not None else "Unknown"
    return make_condition(Type.DISABLED, truth, Reason.ENABLED, "nothing keeps events from being sent")


def _explain_disabled(view: WebhookView) -> tuple[Reason, str]:
    cure = "edit it, or `jetmill webhook enable`; `jetmill webhook recover` sends what was left out"
    if view.state is not None and view.state.disabled == "gone":
        return Reason.GONE, f"its receiver answered 410, it wants nothing more: {cure}"
    return Reason.FAILING, f"nothing but failures for too long (disableAfterSeconds): {cure}"


def _decide_suspended(view: WebhookView) -> Json:
    reason = Reason.SUSPENDED if view.suspended else Reason.NOT_SUSPENDED
    message = "deliveries are kept and wait" if view.suspended else "deliveries are sent"
    return make_condition(Type.SUSPENDED, "True" if view.suspended else "False", reason, message)
