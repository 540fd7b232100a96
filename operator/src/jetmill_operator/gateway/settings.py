"""What the gateway process is told: one frozen value from flags and environment, all faults reported together."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

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

PORT = 8420


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """How one gateway process runs."""

    connection: ClientSettings
    """Where NATS is (`JETMILL_NATS_URL`, `JETMILL_PREFIX`, …)."""
    namespaces: tuple[str, ...] = ("default",)
    """The namespaces that are served (`JETMILL_WATCH_NAMESPACES`, parted by commas), the first where a request names
    none; if not given, the one of `JETMILL_NAMESPACE`."""
    accounts: tuple[str, ...] = ()
    """Namespaces with a NATS account of their own (`JETMILL_NATS_ACCOUNTS`), as the operator has them."""
    host: str = "127.0.0.1"
    """The address to listen on (`JETMILL_GATEWAY_HOST`); 0.0.0.0 in a pod."""
    port: int = PORT
    """The port (`JETMILL_GATEWAY_PORT`); 0: a free one."""
    auth: Literal["kubernetes", "none"] = "kubernetes"
    """Who is let in (`JETMILL_GATEWAY_AUTH`): `kubernetes` asks the API server; `none` nobody, on loopback only."""
    audiences: tuple[str, ...] = ("jetmill",)
    """For whom tokens have to be made (`JETMILL_GATEWAY_AUDIENCES`, parted by commas)."""
    kubeconfig: str = ""
    """The kubeconfig (`--kubeconfig`, `KUBECONFIG`); in a pod its ServiceAccount, if not given."""
    key_file: str = ""
    """A file with at least 32 bytes that seal sessions and tickets (`JETMILL_GATEWAY_KEY_FILE`), the same for all
    gateways of an installation; without, each makes its own, and sessions end with it."""
    projection: str = ""
    """A file for the lists (`JETMILL_GATEWAY_PROJECTION`), which this gateway alone uses; without, they are built
    anew at each start."""
    session_seconds: float = 28_800.0
    """How long a browser stays logged in (`JETMILL_GATEWAY_SESSION_SECONDS`), if its token lasts so long."""
    origins: tuple[str, ...] = ()
    """Origins besides its own whose pages may use a session (`JETMILL_GATEWAY_ORIGINS`): `https://jobs.example.com`."""
    proxies: tuple[str, ...] = ()
    """Addresses whose X-Forwarded-For and -Proto are believed (`JETMILL_GATEWAY_PROXIES`)."""
    rate_per_second: float = 50.0
    """Requests a second of one identity, on average (`JETMILL_GATEWAY_RATE`)."""
    rate_burst: int = 200
    """And at once (`JETMILL_GATEWAY_BURST`)."""
    grace_seconds: int = 10
    """For how long requests under way may go on when it is told to stop (`JETMILL_GATEWAY_GRACE_SECONDS`)."""
    log_format: LogFormat = "auto"
    """JSON lines or readable colours (`JETMILL_LOG_FORMAT`); auto: colours on a terminal."""
    log_level: str = "info"
    """debug, info, warning or error (`JETMILL_LOG_LEVEL`)."""

    def __post_init__(self) -> None:
        faults = _find_faults(self)
        if faults:
            raise refuse_settings(faults)


def settings_from_env(environ: Mapping[str, str] | None = None, **given: Any) -> GatewaySettings:
    """The settings, what is `given` (and not None) outranking the environment; ConfigError lists every fault.

    Besides the fields of GatewaySettings, those of ClientSettings may be given.
    """
    environ = os.environ if environ is None else environ
    return gather_settings(
        GatewaySettings,
        _VARIABLES,
        environ,
        given,
        one_namespace=True,
        defaults=lambda connection: {"namespaces": (connection.namespace,)},
    )


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


_VARIABLES: Variables = {
    "namespaces": ("JETMILL_WATCH_NAMESPACES", parse_names, "names"),
    "accounts": ("JETMILL_NATS_ACCOUNTS", parse_names, "names"),
    "host": ("JETMILL_GATEWAY_HOST", str, "an address"),
    "port": ("JETMILL_GATEWAY_PORT", int, WHOLE),
    "auth": ("JETMILL_GATEWAY_AUTH", str, "kubernetes or none"),
    "audiences": ("JETMILL_GATEWAY_AUDIENCES", parse_names, "names"),
    "kubeconfig": ("KUBECONFIG", str, "a path"),
    "key_file": ("JETMILL_GATEWAY_KEY_FILE", str, "a path"),
    "projection": ("JETMILL_GATEWAY_PROJECTION", str, "a path"),
    "session_seconds": ("JETMILL_GATEWAY_SESSION_SECONDS", float, NUMBER),
    "origins": ("JETMILL_GATEWAY_ORIGINS", parse_names, "origins"),
    "proxies": ("JETMILL_GATEWAY_PROXIES", parse_names, "addresses"),
    "rate_per_second": ("JETMILL_GATEWAY_RATE", float, NUMBER),
    "rate_burst": ("JETMILL_GATEWAY_BURST", int, WHOLE),
    "grace_seconds": ("JETMILL_GATEWAY_GRACE_SECONDS", int, WHOLE),
    "log_format": ("JETMILL_LOG_FORMAT", str, "auto, json or console"),
    "log_level": ("JETMILL_LOG_LEVEL", str.lower, "a level"),
}


def _name(key: str) -> str:
    return f"{key} ({_VARIABLES[key][0]})"


def _find_faults(settings: GatewaySettings) -> list[str]:
    faults = _find_access_faults(settings)
    for key, names in (("namespaces", settings.namespaces), ("accounts", settings.accounts)):
        faults += [f"{_name(key)}: {one!r:.80} is no namespace" for one in names if not is_label(one)]
    if not settings.namespaces:
        faults.append(f"{_name('namespaces')}: there is none to serve")
    if settings.accounts and settings.connection.user is None:
        faults.append(f"{_name('accounts')}: without a user (JETMILL_NATS_USER) there is none to log in as")
    if not 0 <= settings.port <= 65_535:
        faults.append(f"{_name('port')}: {settings.port} is no port")
    for key, value in (("session_seconds", settings.session_seconds), ("rate_per_second", settings.rate_per_second)):
        if not 0 < value < float("inf"):
            faults.append(f"{_name(key)}: {value} is not above 0")
    if settings.rate_burst < 1:
        faults.append(f"{_name('rate_burst')}: {settings.rate_burst} is not above 0")
    if settings.grace_seconds < 0:
        faults.append(f"{_name('grace_seconds')}: {settings.grace_seconds} is below 0")
    faults += find_log_faults(settings.log_format, settings.log_level)
    return faults


def _find_access_faults(settings: GatewaySettings) -> list[str]:
    faults = []
    if settings.auth not in ("kubernetes", "none"):
        faults.append(f"{_name('auth')}: {settings.auth!r:.80} is not kubernetes or none")
    if settings.auth == "none" and not is_loopback(settings.host):
        faults.append(f"{_name('auth')}: none lets everybody in, so it is for loopback only, not for {settings.host}")
    if settings.auth == "kubernetes" and not settings.audiences:
        faults.append(f"{_name('audiences')}: without one, tokens made for others would be taken")
    odd = [one for one in settings.origins if not one.startswith(("https://", "http://")) or one.count("/") != 2]
    return [*faults, *(f"{_name('origins')}: {origin!r:.80} is no origin (https://host)" for origin in odd)]
