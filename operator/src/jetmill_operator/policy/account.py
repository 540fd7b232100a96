"""What is said of a decision: in the status, for `kubectl describe` and `jetmill why`. Pure.

The status keeps the last decision that changed something or could not, with its numbers and its time; looks that find
everything as it should be leave it as it is, and so cost no write.
"""

from __future__ import annotations

from dataclasses import replace

from jetmill_operator.policy.condition import Scaling as Said
from jetmill_operator.policy.demand import Scaling
from jetmill_operator.policy.reason import Reason
from jetmill_operator.policy.scaling import Decision, ScalingReason

_CALM = (ScalingReason.STEADY, ScalingReason.UNKNOWN)


def find_limit(decision: Decision, spec: Scaling) -> Reason | None:
    """Why there may not be as many as are needed; None: there may."""
    if not decision.limited:
        return None
    if decision.reason is ScalingReason.UNSCHEDULABLE:
        return Reason.UNSCHEDULABLE
    return Reason.MAX_REPLICAS if decision.replicas >= spec.highest else Reason.PACED


def name_reason(reason: ScalingReason) -> str:
    """The reason as one CamelCase word, as Kubernetes has them."""
    return str(reason).capitalize()


def account_decision(decision: Decision, spec: Scaling, before: Said | None, *, now: str) -> Said:
    """Say what a decision was; what was said `before` stays where it is no news. `now` is RFC 3339."""
    limited, reason = find_limit(decision, spec), name_reason(decision.reason)
    same = before is not None and before.desired == decision.replicas
    if same and before is not None and (before.reason == reason or decision.reason in _CALM):
        return replace(before, active=True, limited=limited)
    return Said(decision.replicas, reason, str(decision), now, limited=limited)


def account_hold(replicas: int, before: Said | None, *, deployment: str, now: str) -> Said:
    """Say that the number is left to somebody else, who keeps setting it."""
    reason = str(Reason.FOREIGN_SCALER)
    message = f"{replicas}: somebody else has set the replicas of Deployment {deployment} twice within five minutes"
    if before is not None and (before.desired, before.reason) == (replicas, reason):
        return replace(before, active=True, limited=Reason.FOREIGN_SCALER)
    return Said(replicas, reason, message, now, limited=Reason.FOREIGN_SCALER)


def account_blind(replicas: int, before: Said | None, *, now: str) -> Said:
    """Say that the queue cannot be read."""
    if before is not None:
        return replace(before, active=False)
    return Said(
        replicas, name_reason(ScalingReason.UNKNOWN), f"{replicas}: the queue could not be read", now, active=False
    )
