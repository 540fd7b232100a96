"""How a client reaches its bus: one frozen value, built once, all faults reported together.

Nothing configured means `memory://`, so that a plain script runs as it stands; in a pod that would silently lose jobs,
so there it is refused.
"""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from jetmill.bus.connect import BusOptions
from jetmill.errors import ConfigError
from jetmill.protocol.name import is_label
from jetmill.protocol.subject import DEFAULT_PREFIX
from jetmill.variable import refuse_settings

_SCHEMES = ("nats", "tls", "ws", "wss", "memory")
_VARIABLES = {
    "url": "JETMILL_NATS_URL",
    "namespace": "JETMILL_NAMESPACE",
    "prefix": "JETMILL_PREFIX",
    "name": "JETMILL_CLIENT_NAME",
    "credentials": "JETMILL_NATS_CREDENTIALS",
    "nkey_seed": "JETMILL_NATS_NKEY",
    "user": "JETMILL_NATS_USER",
    "password": "JETMILL_NATS_PASSWORD",
    "token": "JETMILL_NATS_TOKEN",
    "tls_ca": "JETMILL_NATS_TLS_CA",
    "inbox_prefix": "JETMILL_NATS_INBOX_PREFIX",
}


class MemoryBusWarning(UserWarning):
    """Nothing is configured: jobs live and run in this process, and end with it."""


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Where the bus is, and who asks."""

    url: str = "memory://"
    """`nats://…`, `tls://…`, several parted by commas, or `memory://[name]`."""
    namespace: str = "default"
    """The Kubernetes namespace whose Jobs are meant."""
    prefix: str = DEFAULT_PREFIX
    """The first token of every subject."""
    name: str = ""
    """Who asks, as records show it (`client:<name>`); empty: the host's name."""
    credentials: str | None = None
    """Path of a `.creds` file."""
    nkey_seed: str | None = None
    """Path of an nkey seed file."""
    user: str | None = None
    """User name, with `password`."""
    password: str | None = field(default=None, repr=False)
    """Password of `user`."""
    token: str | None = field(default=None, repr=False)
    """Token, where the server wants one."""
    tls_ca: str | None = None
    """Path of a CA bundle, where the system's is not the right one."""
    inbox_prefix: str = "_INBOX"
    """Where answers come to; of its own for a user who may listen to no others' answers."""
    run_jobs: bool = True
    """On `memory://`: run the jobs in this process as well."""

    def __post_init__(self) -> None:
        faults = _find_faults(self)
        if faults:
            raise refuse_settings(faults)

    @property
    def is_memory(self) -> bool:
        """The bus is in this process."""
        return self.url.startswith("memory://")

    @property
    def actor(self) -> str:
        """Who wrote a record, as the record says it."""
        return f"client:{self.name or socket.gethostname()}"

    def bus_options(self) -> BusOptions:
        """What the bus wants to know."""
        return BusOptions(
            url=self.url,
            namespace=self.namespace,
            prefix=self.prefix,
            name=self.name or f"jetmill on {socket.gethostname()}",
            credentials=self.credentials,
            nkey_seed=self.nkey_seed,
            user=self.user,
            password=self.password,
            token=self.token,
            tls_ca=self.tls_ca,
            inbox_prefix=self.inbox_prefix,
        )

    def updated(self, **changes: Any) -> ClientSettings:
        """The same with some fields changed; None leaves one as it is. ConfigError lists every fault."""
        known = {item.name for item in fields(self)}
        unknown = changes.keys() - known
        if unknown:
            raise ConfigError(
                f"no such setting: {', '.join(sorted(unknown))}", cure=f"known: {', '.join(sorted(known))}"
            )
        return replace(self, **{key: value for key, value in changes.items() if value is not None})


def settings_from_env(environ: Mapping[str, str] | None = None, **given: Any) -> ClientSettings:
    """Build the settings from the environment, what is `given` (and not None) outranking it.

    Raise ConfigError with every fault; in a pod also if no URL is configured. Warn once per process if there is none.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {key: environ[variable] for key, variable in _VARIABLES.items() if environ.get(variable)}
    if "url" not in values and environ.get("NATS_URL"):
        values["url"] = environ["NATS_URL"]
    values |= {key: value for key, value in given.items() if value is not None}
    settings = ClientSettings().updated(**values)
    if settings.is_memory and environ.get("KUBERNETES_SERVICE_HOST"):
        raise ConfigError(
            "in a pod the memory bus would lose jobs", cure="set JETMILL_NATS_URL to the NATS of this cluster"
        )
    if "url" not in values:
        _warn_of_memory()
    return settings


_warned = False


def _warn_of_memory() -> None:
    global _warned  # noqa: PLW0603 - once per process is the point
    if not _warned:
        _warned = True
        warnings.warn(
            "JETMILL_NATS_URL is not set: jobs live in this process (memory://) and end with it",
            MemoryBusWarning,
            stacklevel=3,
        )


def _find_faults(settings: ClientSettings) -> list[str]:
    faults = []
    for part in settings.url.split(","):
        scheme, parted, _rest = part.strip().partition("://")
        if not part.strip() or (parted and scheme not in _SCHEMES):
            faults.append(f"url ({_VARIABLES['url']}): {_masked(part)!r} is no URL of nats://, tls:// or memory://")
    for key in ("namespace", "prefix"):
        value = getattr(settings, key)
        if not is_label(value):
            faults.append(f"{key} ({_VARIABLES[key]}): {value!r:.80} is no label of a-z, 0-9 and '-'")
    for key in ("credentials", "nkey_seed", "tls_ca"):
        path = getattr(settings, key)
        if path is not None and not Path(path).is_file():
            faults.append(f"{key} ({_VARIABLES[key]}): there is no file {path}")
    if (settings.user is None) != (settings.password is None):
        faults.append(f"user and password ({_VARIABLES['user']}, {_VARIABLES['password']}): one without the other")
    ways = [key for key in ("credentials", "nkey_seed", "user", "token") if getattr(settings, key) is not None]
    if len(ways) > 1:
        faults.append(f"{' and '.join(ways)}: more than one way to log in")
    return faults


def _masked(url: str) -> str:
    """Without the password that may stand in it."""
    head, at, tail = url.rpartition("@")
    return f"…@{tail}" if at and head else url
