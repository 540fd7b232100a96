"""What a worker is told."""

from __future__ import annotations

import pytest

from jetmill.errors import ConfigError
from jetmill.worker.settings import WorkerSettings, settings_from_env


def test_flags_outrank_the_environment() -> None:
    environ = {
        "JETMILL_JOBS": "a, b",
        "JETMILL_IMPORT": "shop.tasks",
        "JETMILL_CONCURRENCY": "9",
        "JETMILL_NATS_URL": "nats://one:4222",
        "JETMILL_NAMESPACE": "shop",
        "JETMILL_LOG_JOBS": "yes",
        "JETMILL_POD_NAME": "mail-worker-7d4",
    }
    settings = settings_from_env(environ, concurrency=3, url="nats://two:4222", grace_seconds=None)
    assert settings.jobs == ("a", "b")
    assert settings.modules == ("shop.tasks",)
    assert settings.pod == "mail-worker-7d4"
    assert (settings.concurrency, settings.log_jobs, settings.grace_seconds) == (3, True, 30.0)
    assert (settings.connection.url, settings.connection.namespace) == ("nats://two:4222", "shop")


def test_all_faults_are_reported_together() -> None:
    environ = {
        "JETMILL_JOBS": "Not_A_Label",
        "JETMILL_CONCURRENCY": "many",
        "JETMILL_GRACE_SECONDS": "-1",
        "JETMILL_HEALTH_PORT": "70000",
        "JETMILL_MAX_JOBS": "0",
        "JETMILL_LOG_FORMAT": "xml",
        "JETMILL_LOG_LEVEL": "loud",
        "JETMILL_LOG_JOBS": "maybe",
        "JETMILL_NATS_URL": "http://x",
        "JETMILL_NAMESPACE": "A.B",
    }
    with pytest.raises(ConfigError) as caught:
        settings_from_env(environ, colour="red")
    for name in (*environ, "colour"):
        assert name in str(caught.value), name


@pytest.mark.parametrize("concurrency", [0, 10_001])
def test_concurrency_has_bounds(concurrency: int) -> None:
    with pytest.raises(ConfigError, match="JETMILL_CONCURRENCY"):
        WorkerSettings(concurrency=concurrency)


def test_in_a_pod_the_memory_bus_is_refused() -> None:
    with pytest.raises(ConfigError, match="lose jobs"):
        settings_from_env({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JETMILL_NATS_URL": "memory://"})
