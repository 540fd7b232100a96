"""How each process of ours comes by its settings: from flags and environment, its connection's among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from jetmill.client.settings import ClientSettings, settings_from_env
from jetmill.errors import ConfigError
from jetmill.variable import TITLE, Variables, parse_variables, refuse_settings

S = TypeVar("S")


def gather_settings(
    kind: Callable[..., S],
    variables: Variables,
    environ: Mapping[str, str],
    given: Mapping[str, Any],
    *,
    one_namespace: bool = False,
    defaults: Callable[[ClientSettings], Mapping[str, Any]] = lambda _: {},
) -> S:
    """Make the settings of a process; ConfigError lists every fault.

    `kind` is their dataclass; what is `given` (and not None) outranks the environment, and may be a field of its
    ClientSettings as well. `defaults` of the connection hold where neither says something. Unless it is for
    `one_namespace`, that of a client is no question, and its variable is not read.
    """
    given = {key: value for key, value in given.items() if value is not None}
    faults: list[str] = []
    own = parse_variables(variables, environ, faults)
    own |= {key: value for key, value in given.items() if key in kind.__dataclass_fields__}  # type: ignore[attr-defined]
    connection = ClientSettings()
    try:
        outer = {key: value for key, value in given.items() if key in ClientSettings.__dataclass_fields__}
        heard = {name: value for name, value in environ.items() if one_namespace or name != "JETMILL_NAMESPACE"}
        if not (outer.get("url") or heard.get("JETMILL_NATS_URL") or heard.get("NATS_URL")):
            faults.append("url (JETMILL_NATS_URL): is not set")
        else:
            connection = settings_from_env(heard, **outer)
    except ConfigError as err:
        faults.append(err.message.removeprefix(TITLE))
    try:
        settings = kind(**{"connection": connection, **defaults(connection), **own})
    except ConfigError as err:
        faults.append(err.message.removeprefix(TITLE))
    else:
        if not faults:
            return settings
    raise refuse_settings(faults)
