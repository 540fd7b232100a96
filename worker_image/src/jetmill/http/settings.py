"""How an HTTP client reaches its gateway: one frozen value, all faults reported together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jetmill.protocol.name import is_label
from jetmill.variable import Variables, parse_variables, refuse_settings

_VARIABLES: Variables = {
    "url": ("JETMILL_GATEWAY_URL", str, "a URL"),
    "namespace": ("JETMILL_NAMESPACE", str, "a name"),
    "token": ("JETMILL_GATEWAY_TOKEN", str, "a token"),
    "token_file": ("JETMILL_GATEWAY_TOKEN_FILE", str, "a path"),
    "ca_file": ("JETMILL_GATEWAY_CA", str, "a path"),
    "proxy": ("JETMILL_GATEWAY_PROXY", str, "a URL"),
}


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Where the gateway is, and who asks."""

    url: str = "http://127.0.0.1:8420"
    """Its root (`JETMILL_GATEWAY_URL`), with the path below which a proxy serves it."""
    namespace: str = ""
    """The namespace whose Jobs are meant (`JETMILL_NAMESPACE`); empty: the gateway's first."""
    token: str = field(default="", repr=False)
    """A bearer token (`JETMILL_GATEWAY_TOKEN`): `kubectl create token NAME --audience=jetmill`."""
    token_file: str = ""
    """A file that holds one (`JETMILL_GATEWAY_TOKEN_FILE`), read anew as it changes: a projected volume of a pod."""
    ca_file: str = ""
    """A CA bundle, where the system's is not the right one (`JETMILL_GATEWAY_CA`)."""
    proxy: str = ""
    """An HTTP proxy (`JETMILL_GATEWAY_PROXY`); those that the environment names for everybody are not used."""
    patience_seconds: float = 10.0
    """For how long what did not get through is tried again, where that is safe."""

    def __post_init__(self) -> None:
        faults = _find_faults(self)
        if faults:
            raise refuse_settings(faults)


def settings_from_env(environ: Mapping[str, str] | None = None, **given: Any) -> HttpSettings:
    """The settings, what is `given` (and not None) outranking the environment; ConfigError lists every fault."""
    faults: list[str] = []
    values = parse_variables(_VARIABLES, os.environ if environ is None else environ, faults)
    return HttpSettings(**values | {key: value for key, value in given.items() if value is not None})


def _find_faults(settings: HttpSettings) -> list[str]:
    faults = []
    parts = urlsplit(settings.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        faults.append(f"url (JETMILL_GATEWAY_URL): {settings.url!r:.80} is no URL of http:// or https://")
    if settings.namespace and not is_label(settings.namespace):
        faults.append(f"namespace (JETMILL_NAMESPACE): {settings.namespace!r:.80} is no label of a-z, 0-9 and '-'")
    if settings.token and settings.token_file:
        faults.append("token and token_file: more than one way to log in")
    for key in ("token_file", "ca_file"):
        path = getattr(settings, key)
        if path and not Path(path).is_file():
            faults.append(f"{key} ({_VARIABLES[key][0]}): there is no file {path}")
    return faults
