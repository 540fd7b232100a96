"""What a gateway is told, and what it will not be told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jetmill.errors import ConfigError
from jetmill_operator.gateway.settings import is_loopback, settings_from_env

NATS = {"JETMILL_NATS_URL": "nats://n:4222"}
ROOT = Path(__file__).resolve().parents[3]


def test_little_has_to_be_said() -> None:
    settings = settings_from_env(NATS)
    assert (settings.host, settings.port, settings.auth) == ("127.0.0.1", 8420, "kubernetes")
    assert settings.namespaces == ("default",)
    assert settings.audiences == ("jetmill",)


def test_the_environment_says_the_rest_and_flags_outrank_it() -> None:
    environ = NATS | {
        "JETMILL_WATCH_NAMESPACES": "shop, office",
        "JETMILL_GATEWAY_PORT": "9000",
        "JETMILL_GATEWAY_AUDIENCES": "a,b",
        "JETMILL_GATEWAY_ORIGINS": "https://jobs.example.com",
        "JETMILL_GATEWAY_RATE": "2.5",
    }
    settings = settings_from_env(environ, port=9001, auth=None)
    assert settings.namespaces == ("shop", "office")
    assert (settings.port, settings.audiences, settings.rate_per_second) == (9001, ("a", "b"), 2.5)
    assert settings_from_env(NATS | {"JETMILL_NAMESPACE": "shop"}).namespaces == ("shop",)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", ""])
def test_who_asks_nobody_is_reached_by_nobody_else(host: str) -> None:
    with pytest.raises(ConfigError, match="loopback only"):
        settings_from_env(NATS, auth="none", host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_on_loopback_it_may(host: str) -> None:
    assert is_loopback(host)
    assert settings_from_env(NATS, auth="none", host=host).auth == "none"


def test_all_faults_are_reported_together() -> None:
    environ = {
        "JETMILL_WATCH_NAMESPACES": "Shop",
        "JETMILL_GATEWAY_PORT": "http",
        "JETMILL_GATEWAY_AUTH": "basic",
        "JETMILL_GATEWAY_ORIGINS": "jobs.example.com https://a/b",
        "JETMILL_GATEWAY_RATE": "0",
        "JETMILL_GATEWAY_BURST": "0",
        "JETMILL_LOG_LEVEL": "loud",
    }
    with pytest.raises(ConfigError) as caught:
        settings_from_env(environ)
    for part in (
        "JETMILL_NATS_URL",
        "Shop",
        "http",
        "basic",
        "jobs.example.com",
        "https://a/b",
        "RATE",
        "BURST",
        "loud",
    ):
        assert part in caught.value.message


def test_the_guide_names_every_variable() -> None:
    own = (ROOT / "operator/src/jetmill_operator/gateway/settings.py").read_text()
    named = set(re.findall(r"JETMILL_[A-Z_]*[A-Z]", own))
    guide = (ROOT / "docs/gateway.md").read_text()
    assert {name for name in named if f"`{name}`" not in guide} == set()
