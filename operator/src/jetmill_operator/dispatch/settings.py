"""What the dispatcher process is told: one frozen value from flags and environment, all faults reported together."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
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
from jetmill_operator.setting import gather_settings

SCHEMES = ("http", "https")


@dataclass(frozen=True, slots=True)
class DispatchSettings:
    """How one dispatcher process runs."""

    connection: ClientSettings
    """Where NATS is (`JETMILL_NATS_URL`, `JETMILL_PREFIX`, …)."""
    namespaces: tuple[str, ...] = ()
    """The namespaces that are served (`JETMILL_WATCH_NAMESPACES`, parted by commas); none: those of the cluster that
    have Jobs or Webhooks."""
    accounts: tuple[str, ...] = ()
    """Namespaces with a NATS account of their own (`JETMILL_NATS_ACCOUNTS`), as the operator has them."""
    kubeconfig: str = ""
    """The kubeconfig (`--kubeconfig`, `KUBECONFIG`); in a pod its ServiceAccount, if not given."""
    schemes: tuple[str, ...] = ("https",)
    """What Webhooks may be sent by (`JETMILL_DISPATCH_SCHEMES`): https, http."""
    ports: tuple[int, ...] = (443, 8443)
    """The ports that they may be sent to (`JETMILL_DISPATCH_PORTS`, parted by commas; `*`: any); none: any."""
    allow: tuple[str, ...] = ()
    """Networks that may be reached although they are private (`JETMILL_DISPATCH_ALLOW`): `10.20.0.0/16,::1/128`."""
    deny: tuple[str, ...] = ()
    """Networks that may not, besides those that nobody may (`JETMILL_DISPATCH_DENY`): those of the cluster, say."""
    health_host: str = "0.0.0.0"  # noqa: S104 - probes and scrapers come from outside the pod
    """The address of `/livez`, `/readyz` and `/metrics` (`JETMILL_HEALTH_HOST`)."""
    health_port: int = 8081
    """Their port (`JETMILL_HEALTH_PORT`); 0: a free one."""
    pod: str = ""
    """The name of the pod that it runs in (`JETMILL_POD_NAME`), shown in its presence."""
    grace_seconds: float = 20.0
    """How long deliveries under way may go on when it is told to stop (`JETMILL_GRACE_SECONDS`)."""
    log_format: LogFormat = "auto"
    """JSON lines or readable colours (`JETMILL_LOG_FORMAT`); auto: colours on a terminal."""
    log_level: str = "info"
    """debug, info, warning or error (`JETMILL_LOG_LEVEL`)."""

    def __post_init__(self) -> None:
        faults = _find_faults(self)
        if faults:
            raise refuse_settings(faults)


def settings_from_env(environ: Mapping[str, str] | None = None, **given: Any) -> DispatchSettings:
    """The settings, what is `given` (and not None) outranking the environment; ConfigError lists every fault.

    Besides the fields of DispatchSettings, those of ClientSettings may be given.
    """
    environ = os.environ if environ is None else environ
    return gather_settings(DispatchSettings, _VARIABLES, environ, given)


def _ports(text: str) -> tuple[int, ...]:
    return () if text.strip() == "*" else tuple(int(part) for part in parse_names(text))


_VARIABLES: Variables = {
    "namespaces": ("JETMILL_WATCH_NAMESPACES", parse_names, "names"),
    "accounts": ("JETMILL_NATS_ACCOUNTS", parse_names, "names"),
    "kubeconfig": ("KUBECONFIG", str, "a path"),
    "schemes": ("JETMILL_DISPATCH_SCHEMES", parse_names, "https, http"),
    "ports": ("JETMILL_DISPATCH_PORTS", _ports, "ports, parted by commas"),
    "allow": ("JETMILL_DISPATCH_ALLOW", parse_names, "networks"),
    "deny": ("JETMILL_DISPATCH_DENY", parse_names, "networks"),
    "health_host": ("JETMILL_HEALTH_HOST", str, "an address"),
    "health_port": ("JETMILL_HEALTH_PORT", int, WHOLE),
    "pod": ("JETMILL_POD_NAME", str, "a name"),
    "grace_seconds": ("JETMILL_GRACE_SECONDS", float, NUMBER),
    "log_format": ("JETMILL_LOG_FORMAT", str, "auto, json or console"),
    "log_level": ("JETMILL_LOG_LEVEL", str.lower, "a level"),
}


def _name(key: str) -> str:
    return f"{key} ({_VARIABLES[key][0]})"


def _find_faults(settings: DispatchSettings) -> list[str]:
    faults = [] if settings.schemes else [f"{_name('schemes')}: there is none to send by"]
    if settings.connection.is_memory:
        faults.append("url (JETMILL_NATS_URL): a dispatcher needs a NATS that others reach, not memory://")
    for key, names in (("namespaces", settings.namespaces), ("accounts", settings.accounts)):
        faults += [f"{_name(key)}: {one!r:.80} is no namespace" for one in names if not is_label(one)]
    if settings.accounts and settings.connection.user is None:
        faults.append(f"{_name('accounts')}: without a user (JETMILL_NATS_USER) there is none to log in as")
    faults += [
        f"{_name('schemes')}: {one!r:.80} is not https or http" for one in settings.schemes if one not in SCHEMES
    ]
    faults += [f"{_name('ports')}: {port} is no port" for port in settings.ports if not 1 <= port <= 65_535]
    for key, networks in (("allow", settings.allow), ("deny", settings.deny)):
        faults += [
            f"{_name(key)}: {one!r:.80} is no network (10.20.0.0/16)" for one in networks if not _is_network(one)
        ]
    if not 0 <= settings.health_port <= 65_535:
        faults.append(f"{_name('health_port')}: {settings.health_port} is no port")
    if not 0 <= settings.grace_seconds < float("inf"):
        faults.append(f"{_name('grace_seconds')}: {settings.grace_seconds} is not 0 or more")
    faults += find_log_faults(settings.log_format, settings.log_level)
    return faults


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
