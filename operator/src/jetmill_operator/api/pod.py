"""The fields of a worker's pod that a Job can set: a typed subset of Kubernetes' own, with its names.

Only what is asked for often is here, because whole pod schemas make CRDs of hundreds of kilobytes; the rest goes into
`worker.podTemplate`, which is merged over what is built from these.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from jetmill_operator.api.part import (
    RULES,
    Annotations,
    DataKey,
    ObjectName,
    Part,
    QualifiedKeys,
    Quantity,
    Share,
    build_one_of,
    build_refusal,
    build_rule,
    refuse_unless_one,
)

ENV_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"
OWN_VARIABLES = ("JETMILL_JOBS", "JETMILL_NAMESPACE", "JETMILL_POD_NAME")
"""Variables that say which queues a worker serves, and which pod it is: another value would make it serve those of
others, or have another pod taken away in its place."""


class KeyRef(Part):
    """One key of a Secret or a ConfigMap."""

    name: ObjectName
    """The name of the Secret or ConfigMap, in the same namespace."""
    key: DataKey
    """The key in its data."""
    optional: bool | None = None
    """true: the variable is left out if the object or the key is missing; else the pod waits for it."""


class FieldRef(Part):
    """A field of the pod itself."""

    field_path: Annotated[str, Field(min_length=1, max_length=256)]
    """The path, such as metadata.name, status.podIP or spec.nodeName."""


class EnvVarSource(Part):
    """Where the value of a variable comes from."""

    model_config = ConfigDict(json_schema_extra={RULES: [build_one_of("secretKeyRef", "configMapKeyRef", "fieldRef")]})

    secret_key_ref: KeyRef | None = None
    """A key of a Secret."""
    config_map_key_ref: KeyRef | None = None
    """A key of a ConfigMap."""
    field_ref: FieldRef | None = None
    """A field of the pod."""

    @model_validator(mode="after")
    def _from_one(self) -> EnvVarSource:
        refuse_unless_one(self, "secretKeyRef", "configMapKeyRef", "fieldRef")
        return self


class EnvVar(Part):
    """One environment variable of a worker."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                build_rule(
                    "!has(self.value) || !has(self.valueFrom)",
                    "value stands beside valueFrom: keep one of the two",
                    field=".valueFrom",
                ),
                build_rule(
                    " && ".join(f"self.name != '{name}'" for name in OWN_VARIABLES),
                    "the operator sets this variable: leave it out",
                    field=".name",
                ),
            ]
        }
    )

    name: Annotated[str, Field(pattern=ENV_NAME, max_length=256)]
    """The variable's name: letters, digits and '_', not beginning with a digit."""
    value: Annotated[str, Field(max_length=32_768)] | None = None
    """Its value; a text (put quotes around numbers and booleans)."""
    value_from: EnvVarSource | None = None
    """Where its value comes from, instead of a value."""

    @model_validator(mode="after")
    def _has_one_value(self) -> EnvVar:
        if self.value is not None and self.value_from is not None:
            raise build_refusal("valueFrom", "stands beside value", "keep one of the two")
        if self.name in OWN_VARIABLES:
            raise build_refusal("name", f"{self.name} is set by the operator", "leave it out")
        return self


class SourceRef(Part):
    """A whole Secret or ConfigMap."""

    name: ObjectName
    """Its name, in the same namespace."""
    optional: bool | None = None
    """true: nothing is set if it is missing; else the pod waits for it."""


class EnvFromSource(Part):
    """A Secret or ConfigMap of which each key becomes a variable."""

    model_config = ConfigDict(json_schema_extra={RULES: [build_one_of("secretRef", "configMapRef")]})

    prefix: Annotated[str, Field(pattern=ENV_NAME, max_length=256)] | None = None
    """What each key gets in front to make the variable's name."""
    secret_ref: SourceRef | None = None
    """A Secret."""
    config_map_ref: SourceRef | None = None
    """A ConfigMap."""

    @model_validator(mode="after")
    def _from_one(self) -> EnvFromSource:
        refuse_unless_one(self, "secretRef", "configMapRef")
        return self


Quantities = Annotated[dict[str, Quantity], Field(max_length=16), QualifiedKeys()]


class Resources(Part):
    """What a worker's container may use."""

    requests: Quantities | None = None
    """What is set aside for it, by name: cpu in cores or millicores ("500m"), memory in bytes ("256Mi")."""
    limits: Quantities | None = None
    """The most that it may use, by name, as in requests."""


class ConfigMapVolume(Part):
    """A ConfigMap as files."""

    name: ObjectName
    """Its name, in the same namespace."""
    optional: bool | None = None
    """true: the volume is empty if it is missing; else the pod waits for it."""


class SecretVolume(Part):
    """A Secret as files."""

    secret_name: ObjectName
    """Its name, in the same namespace."""
    optional: bool | None = None
    """true: the volume is empty if it is missing; else the pod waits for it."""


class EmptyDirVolume(Part):
    """An empty folder that lives as long as the pod."""

    medium: Literal["", "Memory"] | None = None
    """Memory: kept in memory and counted as such; else on the node's disk."""
    size_limit: Quantity | None = None
    """The most that it may hold, in bytes, such as "1Gi"."""


class ClaimVolume(Part):
    """A PersistentVolumeClaim."""

    claim_name: ObjectName
    """Its name, in the same namespace."""
    read_only: bool | None = None
    """true: it cannot be written to."""


class Volume(Part):
    """A folder that containers of the pod can mount."""

    model_config = ConfigDict(
        json_schema_extra={RULES: [build_one_of("configMap", "secret", "emptyDir", "persistentVolumeClaim")]}
    )

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", max_length=63)]
    """What volumeMounts call it: an RFC 1123 label."""
    config_map: ConfigMapVolume | None = None
    """Files from a ConfigMap."""
    secret: SecretVolume | None = None
    """Files from a Secret."""
    empty_dir: EmptyDirVolume | None = None
    """An empty folder."""
    persistent_volume_claim: ClaimVolume | None = None
    """A volume that outlives the pod."""

    @model_validator(mode="after")
    def _from_one(self) -> Volume:
        refuse_unless_one(self, "configMap", "secret", "emptyDir", "persistentVolumeClaim")
        return self


class VolumeMount(Part):
    """Where a volume is seen in the worker's container."""

    name: Annotated[str, Field(min_length=1, max_length=63)]
    """The name of a volume."""
    mount_path: Annotated[str, Field(pattern=r"^/[^:]*$", max_length=1_024)]
    """The folder in the container: an absolute path without ':'."""
    sub_path: Annotated[str, Field(pattern=r"^[^/]", max_length=1_024)] | None = None
    """The path inside the volume that is mounted, instead of its root; relative, without '..'."""
    read_only: bool | None = None
    """true: it cannot be written to."""


class Toleration(Part):
    """A taint of nodes that does not keep workers away."""

    key: Annotated[str, Field(max_length=317)] | None = None
    """The taint's key; without one (and operator Exists), all taints."""
    operator: Literal["Exists", "Equal"] | None = None
    """Exists: any value; Equal: that value (if not given)."""
    value: Annotated[str, Field(max_length=63)] | None = None
    """The taint's value, with Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Which effect of the taint; all of them if not given."""
    toleration_seconds: Annotated[int, Field(ge=0, le=2_147_483_647)] | None = None
    """With NoExecute: for how long a worker stays on such a node, in seconds; for ever if not given."""


class ServiceAccountSpec(Part):
    """A ServiceAccount made for these workers."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                build_rule(
                    "(has(self.create) && self.create) || !has(self.annotations) || self.annotations.size() == 0",
                    "annotations are for an account that is made here: add `create: true`",
                    field=".annotations",
                )
            ]
        }
    )

    create: bool = False
    """true: a ServiceAccount named like the workers' Deployment is made, and the workers run as it."""
    annotations: Annotations | None = None
    """Annotations of that ServiceAccount, such as the role that a cloud grants it."""

    @model_validator(mode="after")
    def _creates(self) -> ServiceAccountSpec:
        if self.annotations and not self.create:
            raise build_refusal("annotations", "are for an account that is made here", "add `create: true`")
        return self


class DisruptionBudgetSpec(Part):
    """How many workers may be taken at once by drains of nodes."""

    max_unavailable: Share = 1
    """How many workers may be away at once while nodes are drained: a number, or a share such as "25%"."""
