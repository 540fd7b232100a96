"""What the operator process is told: one frozen value from flags and environment, all faults reported together."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jetmill.client.settings import ClientSettings
from jetmill.log import LogFormat
from jetmill.protocol.name import is_label
from jetmill.variable import (
    NUMBER,
    WHOLE,
    Variables,
    find_log_faults,
    parse_names,
    refuse_settings,
)
from jetmill_operator.reconcile.lease import Times
from jetmill_operator.resources.deployment import WorkerLink
from jetmill_operator.setting import gather_settings

_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True)
class SecretCopy:
    """A Secret of the operator's own namespace that workers of another need."""

    namespace: str
    """Where it goes."""
    source: str
    """Its name in the operator's namespace."""
    name: str
    """Its name there."""


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """How one operator process runs."""

    connection: ClientSettings
    """Where NATS is (`JETMILL_NATS_URL`, `JETMILL_PREFIX`, …)."""
    namespaces: tuple[str, ...] = ()
    """The namespaces whose Jobs are reconciled (`JETMILL_WATCH_NAMESPACES`, parted by commas); none: all of them."""
    pod_namespace: str = "default"
    """Where the lease is (`JETMILL_POD_NAMESPACE`); in a pod its ServiceAccount's namespace, if not given."""
    pod_name: str = ""
    """Who holds the lease (`JETMILL_POD_NAME`); the host's name, if not given."""
    lease_name: str = "jetmill-operator"
    """The Lease's name (`JETMILL_LEASE_NAME`)."""
    lease_seconds: int = 15
    """For how long others leave a lease alone that is not renewed (`JETMILL_LEASE_SECONDS`)."""
    renew_seconds: float = 10.0
    """For how long the leader may write after a renewal (`JETMILL_RENEW_SECONDS`)."""
    retry_seconds: float = 2.0
    """How often the lease is renewed, or looked at (`JETMILL_RETRY_SECONDS`)."""
    stream_replicas: int = 1
    """Copies of each stream, 1 to 5 (`JETMILL_STREAM_REPLICAS`); as many as NATS has servers, 3 for most clusters."""
    worker_nats_url: str = ""
    """What workers connect to (`JETMILL_WORKER_NATS_URL`); what the operator connects to, if not given."""
    worker_secret: str = ""
    """The Secret in each Job's namespace with the keys user, password and inboxPrefix (`JETMILL_WORKER_SECRET`)."""
    secrets: tuple[SecretCopy, ...] = ()
    """Secrets that are copied (`JETMILL_SECRET_NAMESPACES`): `shop=jetmill-nats-worker-shop:jetmill-nats-worker,…`."""
    accounts: tuple[str, ...] = ()
    """Namespaces with a NATS account of their own (`JETMILL_NATS_ACCOUNTS`, parted by commas): the operator logs in to
    each as `<user>-<namespace>`, with its one password."""
    kubeconfig: str = ""
    """The kubeconfig (`--kubeconfig`, `KUBECONFIG`); in a pod its ServiceAccount, if not given."""
    health_host: str = "0.0.0.0"  # noqa: S104 - probes and scrapers come from outside the pod
    """The address of `/livez`, `/readyz` and `/metrics` (`JETMILL_HEALTH_HOST`)."""
    health_port: int = 8081
    """Their port (`JETMILL_HEALTH_PORT`); 0: a free one."""
    sentinel_seconds: float = 60.0
    """How often what the watch told is held against a LIST (`JETMILL_SENTINEL_SECONDS`)."""
    log_format: LogFormat = "auto"
    """JSON lines or readable colours (`JETMILL_LOG_FORMAT`); auto: colours on a terminal."""
    log_level: str = "info"
    """debug, info, warning or error (`JETMILL_LOG_LEVEL`)."""
    identity: str = field(init=False, default="")
    """Who holds the lease: the pod, and on a laptop the process."""

    def __post_init__(self) -> None:
        faults = _find_faults(self)
        if faults:
            raise refuse_settings(faults)
        name = self.pod_name or f"{socket.gethostname()}-{os.getpid()}"
        object.__setattr__(self, "identity", name)

    @property
    def times(self) -> Times:
        """How long the lease lasts."""
        return Times(self.lease_seconds, self.renew_seconds, self.retry_seconds)

    @property
    def worker_link(self) -> WorkerLink:
        """How workers reach NATS."""
        return WorkerLink(
            self.worker_nats_url or self.connection.url, prefix=self.connection.prefix, secret=self.worker_secret
        )


def settings_from_env(environ: Mapping[str, str] | None = None, **given: Any) -> OperatorSettings:
    """The settings, what is `given` (and not None) outranking the environment; ConfigError lists every fault.

    Besides the fields of OperatorSettings, those of ClientSettings may be given.
    """
    environ = os.environ if environ is None else environ
    return gather_settings(
        OperatorSettings, _VARIABLES, environ, given, defaults=lambda _: {"pod_namespace": _find_pod_namespace()}
    )


def _find_pod_namespace() -> str:
    try:
        return _ACCOUNT_NAMESPACE.read_text().strip() or "default"
    except OSError:
        return "default"


def _copies(text: str) -> tuple[SecretCopy, ...]:
    found = []
    for part in parse_names(text):
        namespace, parted, names = part.partition("=")
        source, colon, name = names.partition(":")
        if not (parted and colon and namespace and source and name):
            raise ValueError(part)
        found.append(SecretCopy(namespace, source, name))
    return tuple(found)


_VARIABLES: Variables = {
    "namespaces": ("JETMILL_WATCH_NAMESPACES", parse_names, "names"),
    "pod_namespace": ("JETMILL_POD_NAMESPACE", str, "a name"),
    "pod_name": ("JETMILL_POD_NAME", str, "a name"),
    "lease_name": ("JETMILL_LEASE_NAME", str, "a name"),
    "lease_seconds": ("JETMILL_LEASE_SECONDS", int, WHOLE),
    "renew_seconds": ("JETMILL_RENEW_SECONDS", float, NUMBER),
    "retry_seconds": ("JETMILL_RETRY_SECONDS", float, NUMBER),
    "stream_replicas": ("JETMILL_STREAM_REPLICAS", int, WHOLE),
    "worker_nats_url": ("JETMILL_WORKER_NATS_URL", str, "a URL"),
    "worker_secret": ("JETMILL_WORKER_SECRET", str, "a name"),
    "secrets": ("JETMILL_SECRET_NAMESPACES", _copies, "NAMESPACE=SOURCE:NAME, parted by commas"),
    "accounts": ("JETMILL_NATS_ACCOUNTS", parse_names, "names"),
    "kubeconfig": ("KUBECONFIG", str, "a path"),
    "health_host": ("JETMILL_HEALTH_HOST", str, "an address"),
    "health_port": ("JETMILL_HEALTH_PORT", int, WHOLE),
    "sentinel_seconds": ("JETMILL_SENTINEL_SECONDS", float, NUMBER),
    "log_format": ("JETMILL_LOG_FORMAT", str, "auto, json or console"),
    "log_level": ("JETMILL_LOG_LEVEL", str.lower, "a level"),
}


def _find_faults(settings: OperatorSettings) -> list[str]:
    def name(key: str) -> str:
        return f"{key} ({_VARIABLES[key][0]})"

    faults = []
    if settings.connection.is_memory:
        faults.append("url (JETMILL_NATS_URL): an operator needs a NATS that others reach, not memory://")
    labels = {"namespaces": settings.namespaces, "pod_namespace": (settings.pod_namespace,)}
    labels["accounts"] = settings.accounts
    if settings.accounts and settings.connection.user is None:
        faults.append(f"{name('accounts')}: without a user (JETMILL_NATS_USER) there is none to log in as")
    labels["secrets"] = tuple(copy.namespace for copy in settings.secrets)
    for key, names in labels.items():
        faults += [f"{name(key)}: {one!r:.80} is no namespace" for one in names if not is_label(one)]
    if not 0 < settings.retry_seconds < settings.renew_seconds < settings.lease_seconds:
        faults.append(f"{name('lease_seconds')}: it must be longer than the renewal, and that than the retry")
    if not 1 <= settings.stream_replicas <= 5:
        faults.append(f"{name('stream_replicas')}: {settings.stream_replicas} is not between 1 and 5")
    if not 0 <= settings.health_port <= 65_535:
        faults.append(f"{name('health_port')}: {settings.health_port} is no port")
    if not settings.sentinel_seconds > 0:
        faults.append(f"{name('sentinel_seconds')}: {settings.sentinel_seconds} is not above 0")
    faults += find_log_faults(settings.log_format, settings.log_level)
    return faults
