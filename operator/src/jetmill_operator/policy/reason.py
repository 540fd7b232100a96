"""The types of conditions and every reason that one can have: constants, for programs match on them.

They are API, and `docs/conditions.md` is their table: a reason goes nowhere without a line in the changelog.
"""

from __future__ import annotations

from enum import StrEnum


class Type(StrEnum):
    """What a condition is about; `Reconciling` and `Stalled` are there only while they are true (kstatus)."""

    READY = "Ready"
    """The queue takes jobs, and workers run or would be started for them. The one to wait for."""
    RECONCILING = "Reconciling"
    """Not everything is as declared yet, and work on it goes on."""
    STALLED = "Stalled"
    """It cannot become as declared until a person does something; the message says what."""
    QUEUE_READY = "QueueReady"
    """The stream, its consumers and the settings are as declared."""
    WORKERS_AVAILABLE = "WorkersAvailable"
    """Workers run, or none is needed and nothing is known to keep them from running."""
    SCALING_ACTIVE = "ScalingActive"
    """The autoscaler sees the queue and decides."""
    SCALING_LIMITED = "ScalingLimited"
    """More workers are needed than there may be now."""
    SUSPENDED = "Suspended"
    """`spec.suspend` is true: jobs are accepted and wait."""


class Reason(StrEnum):
    """Why a condition is as it is."""

    # Ready, and all is well
    SERVING = "Serving"
    """Workers run."""
    SCALED_TO_ZERO = "ScaledToZero"
    """No job waits, so no worker runs; the next job starts one."""
    STARTING = "Starting"
    """Workers were asked for and are not ready yet."""
    DEGRADED = "Degraded"
    """Workers run, but not as many as were asked for: one of them has a problem."""
    SUSPENDED = "Suspended"
    """`spec.suspend` is true."""
    NOT_SUSPENDED = "NotSuspended"
    """`spec.suspend` is false."""
    APPLIED = "Applied"
    """Everything is as declared."""
    # On the way
    ROLLING_OUT = "RollingOut"
    """Workers are being replaced by those of the newest spec; the old ones drain."""
    LEFTOVER = "Leftover"
    """What an earlier Job of this name left is about to be removed."""
    DELETING = "Deleting"
    """The Job is being deleted: its jobs drain, as `deletionPolicy` says."""
    # What a person has to mend
    INVALID_SPEC = "InvalidSpec"
    """The spec cannot be obeyed; the message names the field and the cure."""
    CONFLICT = "Conflict"
    """An object or a stream of the name that is needed belongs to somebody else; it is never taken by force."""
    CARRIER_MISSING = "CarrierMissing"
    """`worker.from` names a Job that is not there or has no workers of its own."""
    FORBIDDEN = "Forbidden"
    """The operator may not do it: the cluster's RBAC or a policy, or the rights of its user in NATS."""
    CLEANUP_BLOCKED = "CleanupBlocked"
    """The Job is being deleted and its queue cannot be: the annotation `jetmill.dev/release: "true"` lets it go."""
    # The bus and the API
    BUS_UNAVAILABLE = "BusUnavailable"
    """NATS cannot be reached; jobs that are there go on when it is back."""
    BUS_REFUSED = "BusRefused"
    """NATS answers with an error; the message has it."""
    CLUSTER_UNAVAILABLE = "ClusterUnavailable"
    """The API server did not do what it was asked; it is asked again."""
    INTERNAL = "Internal"
    """A defect of Jetmill; the operator's log has the traceback."""
    # Workers
    IMAGE_PULL_FAILED = "ImagePullFailed"
    """The image of the workers cannot be pulled."""
    CRASH_LOOPING = "CrashLooping"
    """Workers end soon after they start, again and again."""
    OUT_OF_MEMORY = "OutOfMemory"
    """Workers are killed for their memory, again and again."""
    START_FAILED = "StartFailed"
    """The container cannot be started at all."""
    REFERENCE_MISSING = "ReferenceMissing"
    """A Secret or ConfigMap that the workers need, or a key of it, is not there."""
    UNSCHEDULABLE = "Unschedulable"
    """No node has room for a worker, or may run it."""
    QUOTA_EXCEEDED = "QuotaExceeded"
    """A quota of the namespace allows no more workers."""
    SERVICE_ACCOUNT_MISSING = "ServiceAccountMissing"
    """The ServiceAccount that the workers run as is not there."""
    POD_FORBIDDEN = "PodForbidden"
    """The cluster's policy refuses the workers' pods."""
    NOT_PROGRESSING = "NotProgressing"
    """New workers have not become ready for ten minutes."""
    # Scaling
    DECIDED = "Decided"
    """The autoscaler sees the queue and decides."""
    NOT_DECIDED = "NotDecided"
    """The autoscaler has not looked yet."""
    METRICS_UNAVAILABLE = "MetricsUnavailable"
    """The queue cannot be read: the number of workers stays as it is."""
    RIDING = "Riding"
    """The Job rides on another Job's workers (`worker.from`), which is scaled in its place."""
    WITHIN_LIMITS = "WithinLimits"
    """As many workers as are needed may be there."""
    MAX_REPLICAS = "MaxReplicas"
    """More are needed than `scaling.maxReplicas` allows."""
    PACED = "Paced"
    """More are needed; they come step by step."""
    FOREIGN_SCALER = "ForeignScaler"
    """Somebody else sets the number of workers again and again (a HorizontalPodAutoscaler, a person): it is left to
    them until they have left it alone for five minutes."""
    # Kinds to come
    NOT_OBEYED = "NotObeyed"
    """This version of Jetmill keeps the object and does not act on it yet."""
