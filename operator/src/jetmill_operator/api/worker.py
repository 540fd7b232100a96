"""`spec.worker` of a Job: the processes that run its jobs, and in a cluster their pods."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, model_validator

from jetmill_operator.api.part import (
    RULES,
    Annotations,
    Keyed,
    Label,
    Labels,
    LocalRef,
    ObjectName,
    Part,
    build_refusal,
    build_rule,
)
from jetmill_operator.api.pod import (
    DisruptionBudgetSpec,
    EnvFromSource,
    EnvVar,
    Resources,
    ServiceAccountSpec,
    Toleration,
    Volume,
    VolumeMount,
)

RESERVED_PREFIX = "jetmill.dev/"
RESERVED_LABELS = ("app.kubernetes.io/name", "app.kubernetes.io/managed-by")
"""Labels by which the operator finds its own workers, beside all that begin with RESERVED_PREFIX."""

_TEMPLATE_SECTION = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_PODS: tuple[str, ...] = (
    *("env", "envFrom", "imagePullPolicy", "imagePullSecrets", "resources", "volumes", "volumeMounts"),
    *("serviceAccountName", "serviceAccount", "nodeSelector", "tolerations", "priorityClassName"),
    *("podLabels", "podAnnotations", "disruptionBudget", "podTemplate"),
)
"""Fields that describe pods, of which a Job that rides on another's has none."""


def _refuse_sections(template: dict[str, Any]) -> dict[str, Any]:
    """A pod template has two sections; a field of the pod that stands beside them would be lost."""
    for name, section in template.items():
        if name not in ("metadata", "spec"):
            raise build_refusal(name, "unknown field", "a pod template holds metadata and spec: write it below spec")
        if not isinstance(section, dict):
            raise build_refusal(name, f"{section!r:.60} is no mapping", "write its fields below it, indented")
    return template


PodTemplate = Annotated[
    dict[str, Any],
    AfterValidator(_refuse_sections),
    WithJsonSchema(
        {
            "type": "object",
            "properties": {
                "metadata": {**_TEMPLATE_SECTION, "description": "Labels and annotations of the pods."},
                "spec": {**_TEMPLATE_SECTION, "description": "A PodSpec; the worker's container is named worker."},
            },
        }
    ),
]


class JobRef(Part):
    """A Job of the same namespace."""

    name: Label
    """The Job's name, in the same namespace."""


class WorkerSpec(Part):
    """The processes that run the jobs."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                build_rule(
                    "!has(self.from) || !(" + " || ".join(f"has(self.{field})" for field in _PODS) + ")",
                    "from rides on the pods of another Job: beside it only concurrency and executor may stand; "
                    "write the other fields in that Job",
                    field=".from",
                ),
                build_rule(
                    "!has(self.volumeMounts) || has(self.podTemplate) || self.volumeMounts.all(m, "
                    "has(self.volumes) && self.volumes.exists(v, v.name == m.name))",
                    "a mount names no volume of this worker: add it under volumes",
                    field=".volumeMounts",
                ),
                build_rule(
                    "!has(self.serviceAccountName) || !has(self.serviceAccount) || !has(self.serviceAccount.create) "
                    "|| !self.serviceAccount.create",
                    "serviceAccount.create stands beside serviceAccountName: keep one of the two",
                    field=".serviceAccountName",
                ),
                build_rule(
                    f"!has(self.podLabels) || self.podLabels.all(k, !k.startsWith('{RESERVED_PREFIX}')"
                    + "".join(f" && k != '{label}'" for label in RESERVED_LABELS)
                    + ")",
                    "labels of jetmill.dev/, app.kubernetes.io/name and app.kubernetes.io/managed-by are the "
                    "operator's: leave them out",
                    field=".podLabels",
                ),
            ]
        }
    )

    image: Annotated[str, Field(min_length=1, max_length=1_024)] | None = None
    """The container image, in a cluster; `jetmill dev` runs the code of the folder and ignores it."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    """When the image is pulled: Always, IfNotPresent or Never; if not given, Always for the tag latest only."""
    image_pull_secrets: Annotated[list[LocalRef], Field(max_length=16), Keyed("name")] | None = None
    """Secrets with the credentials of the image's registry."""
    from_: Annotated[JobRef | None, Field(alias="from")] = None
    """Instead of an image: the Job on whose workers this one's jobs run too."""
    concurrency: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Jobs at once in one worker, 1 to 10000; if neither this nor the decorator says it, 50."""
    executor: Literal["auto", "async", "thread", "process"] | None = None
    """Where handlers run: auto (as the decorator says, else async functions on the event loop, others on threads),
    async, thread or process."""
    env: Annotated[list[EnvVar], Field(default_factory=list, max_length=256), Keyed("name")]
    """Environment variables of the worker: a list of {name, value} or {name, valueFrom}."""
    env_from: Annotated[list[EnvFromSource], Field(max_length=64)] | None = None
    """Secrets and ConfigMaps of which each key becomes a variable; env outranks them."""
    resources: Resources | None = None
    """What a worker may use of processors and memory."""
    volumes: Annotated[list[Volume], Field(max_length=64), Keyed("name")] | None = None
    """Folders for the worker's container to mount."""
    volume_mounts: Annotated[list[VolumeMount], Field(max_length=64), Keyed("mountPath")] | None = None
    """Where the volumes are seen in the worker's container."""
    service_account_name: ObjectName | None = None
    """The ServiceAccount that the workers run as, with its token mounted; if not given, the default without one."""
    service_account: ServiceAccountSpec | None = None
    """A ServiceAccount made for these workers, instead of one that is there."""
    node_selector: Labels | None = None
    """Labels that a node must have to run these workers."""
    tolerations: Annotated[list[Toleration], Field(max_length=32)] | None = None
    """Taints of nodes that do not keep these workers away."""
    priority_class_name: ObjectName | None = None
    """The PriorityClass of the pods."""
    pod_labels: Labels | None = None
    """Labels of the pods, beside the operator's own."""
    pod_annotations: Annotations | None = None
    """Annotations of the pods."""
    disruption_budget: DisruptionBudgetSpec | None = None
    """How many workers may be taken at once by drains of nodes; if not given, there is no such limit."""
    pod_template: PodTemplate | None = None
    """Anything else of a pod: {metadata, spec}, merged strategically over what the fields above make."""

    @model_validator(mode="after")
    def _rides_without_pods(self) -> WorkerSpec:
        if self.from_ is None:
            return self
        if self.image is not None:
            raise build_refusal("from", "stands beside image", "keep one of the two")
        for name, info in type(self).model_fields.items():
            field = info.alias or name
            if name in self.model_fields_set and field in _PODS:
                raise build_refusal("from", f"rides on the pods of another Job, beside {field}", f"move {field} there")
        return self

    @model_validator(mode="after")
    def _mounts_what_is_there(self) -> WorkerSpec:
        names = {volume.name for volume in self.volumes or ()}
        for index, mount in enumerate(self.volume_mounts or ()):
            if mount.name not in names and self.pod_template is None:
                raise build_refusal(f"volumeMounts.{index}.name", f"no volume {mount.name}", "add it under volumes")
        return self

    @model_validator(mode="after")
    def _runs_as_one(self) -> WorkerSpec:
        if self.service_account_name and self.service_account and self.service_account.create:
            raise build_refusal("serviceAccountName", "stands beside serviceAccount.create", "keep one of the two")
        return self

    @model_validator(mode="after")
    def _keeps_own_labels(self) -> WorkerSpec:
        for label in self.pod_labels or ():
            if label.startswith(RESERVED_PREFIX) or label in RESERVED_LABELS:
                raise build_refusal(f"podLabels.{label}", "is the operator's own label", "leave it out")
        return self
