"""What the dispatcher is told."""

from __future__ import annotations

import pytest

from jetmill.errors import ConfigError
from jetmill_operator.dispatch.settings import settings_from_env

NATS = {"JETMILL_NATS_URL": "nats://nats:4222"}


def test_by_default_it_sends_over_https_to_its_usual_ports_and_to_no_private_network() -> None:
    settings = settings_from_env(NATS)
    assert (settings.schemes, settings.ports, settings.allow, settings.deny) == (("https",), (443, 8443), (), ())


def test_the_environment_fills_what_flags_do_not() -> None:
    environ = NATS | {
        "JETMILL_WATCH_NAMESPACES": "shop,office",
        "JETMILL_DISPATCH_SCHEMES": "https,http",
        "JETMILL_DISPATCH_PORTS": "443, 8080",
        "JETMILL_DISPATCH_ALLOW": "10.20.0.0/16,::1/128",
        "JETMILL_DISPATCH_DENY": "34.0.0.0/8",
        "JETMILL_HEALTH_PORT": "0",
    }
    settings = settings_from_env(environ, namespaces=("mail",))
    assert settings.namespaces == ("mail",)
    assert settings.schemes == ("https", "http")
    assert settings.ports == (443, 8080)
    assert settings.allow == ("10.20.0.0/16", "::1/128")
    assert settings.deny == ("34.0.0.0/8",)
    assert settings.health_port == 0


def test_any_port_is_said_by_a_star() -> None:
    assert settings_from_env(NATS | {"JETMILL_DISPATCH_PORTS": "*"}).ports == ()


def test_every_fault_is_told_at_once() -> None:
    environ = {
        "JETMILL_WATCH_NAMESPACES": "Shop",
        "JETMILL_DISPATCH_SCHEMES": "ftp",
        "JETMILL_DISPATCH_PORTS": "0",
        "JETMILL_DISPATCH_ALLOW": "10.0.0.1/8",
        "JETMILL_GRACE_SECONDS": "soon",
        "JETMILL_LOG_LEVEL": "loud",
    }
    with pytest.raises(ConfigError) as caught:
        settings_from_env(environ)
    said = caught.value.message
    for word in ("JETMILL_NATS_URL", "'Shop'", "'ftp'", "0 is no port", "'10.0.0.1/8'", "'soon'", "'loud'"):
        assert word in said


def test_memory_is_no_bus_for_it() -> None:
    with pytest.raises(ConfigError, match="needs a NATS that others reach"):
        settings_from_env({"JETMILL_NATS_URL": "memory://"})
