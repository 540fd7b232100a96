"""What the operator is told: built once, all faults together."""

from __future__ import annotations

import pytest

from jetmill.errors import ConfigError
from jetmill_operator.reconcile.settings import OperatorSettings, SecretCopy, settings_from_env
from jetmill_operator.resources.deployment import WorkerLink

URL = {"JETMILL_NATS_URL": "nats://nats:4222"}


def read(**environ: str) -> OperatorSettings:
    return settings_from_env({**URL, **environ})


def test_a_url_is_all_that_is_needed() -> None:
    settings = read()
    assert settings.namespaces == ()
    assert (settings.times.duration_seconds, settings.times.renew_seconds, settings.times.retry_seconds) == (15, 10, 2)
    assert settings.worker_link == WorkerLink("nats://nats:4222")
    assert settings.identity


def test_everything_can_be_said_by_the_environment() -> None:
    settings = read(
        JETMILL_WATCH_NAMESPACES="shop, lab",
        JETMILL_POD_NAMESPACE="jetmill",
        JETMILL_POD_NAME="operator-0",
        JETMILL_WORKER_NATS_URL="tls://nats.example:4222",
        JETMILL_WORKER_SECRET="nats-worker",
        JETMILL_SECRET_NAMESPACES="shop=nats-shop:nats-worker,lab=nats-lab:nats-worker",
        JETMILL_STREAM_REPLICAS="3",
        JETMILL_PREFIX="acme",
        JETMILL_LOG_LEVEL="DEBUG",
        JETMILL_NAMESPACE="Not A Label",
    )
    assert settings.namespaces == ("shop", "lab")
    assert (settings.pod_namespace, settings.identity) == ("jetmill", "operator-0")
    assert settings.worker_link == WorkerLink("tls://nats.example:4222", prefix="acme", secret="nats-worker")
    assert settings.secrets == (
        SecretCopy("shop", "nats-shop", "nats-worker"),
        SecretCopy("lab", "nats-lab", "nats-worker"),
    )
    assert (settings.stream_replicas, settings.log_level) == (3, "debug")


def test_what_is_given_outranks_the_environment() -> None:
    settings = settings_from_env({**URL, "JETMILL_HEALTH_PORT": "1"}, health_port=2, url="nats://other:4222")
    assert (settings.health_port, settings.connection.url) == (2, "nats://other:4222")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("JETMILL_WATCH_NAMESPACES", "shop,Not_A_Label", "Not_A_Label"),
        ("JETMILL_LEASE_SECONDS", "9", "longer than the renewal"),
        ("JETMILL_LEASE_SECONDS", "long", "a whole number"),
        ("JETMILL_STREAM_REPLICAS", "0", "between 1 and 5"),
        ("JETMILL_HEALTH_PORT", "99999", "no port"),
        ("JETMILL_SECRET_NAMESPACES", "shop", "NAMESPACE=SOURCE:NAME"),
        ("JETMILL_SENTINEL_SECONDS", "0", "above 0"),
        ("JETMILL_LOG_LEVEL", "loud", "loud"),
        ("JETMILL_LOG_FORMAT", "xml", "xml"),
        ("JETMILL_NATS_URL", "redis://x", "no URL"),
        ("JETMILL_NATS_URL", "memory://", "memory://"),
    ],
)
def test_a_fault_names_its_variable(variable, value, said) -> None:
    with pytest.raises(ConfigError) as refused:
        read(**{variable: value})
    assert variable in str(refused.value)
    assert said in str(refused.value)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        settings_from_env({"JETMILL_HEALTH_PORT": "x", "JETMILL_STREAM_REPLICAS": "9"})
    assert all(name in str(refused.value) for name in ("JETMILL_NATS_URL", "JETMILL_HEALTH_PORT", "STREAM_REPLICAS"))
