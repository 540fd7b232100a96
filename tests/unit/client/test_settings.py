"""The settings come from the environment, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from jetmill.client.ambient import configure, current_settings
from jetmill.client.settings import ClientSettings, settings_from_env
from jetmill.errors import ConfigError


def test_our_variable_outranks_the_common_one() -> None:
    both = {"JETMILL_NATS_URL": "nats://ours", "NATS_URL": "nats://theirs"}
    assert settings_from_env(both).url == "nats://ours"
    assert settings_from_env({"NATS_URL": "nats://theirs"}).url == "nats://theirs"
    assert settings_from_env(both, url="tls://given").url == "tls://given"


def test_every_fault_is_in_one_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_from_env(
            {
                "JETMILL_NATS_URL": "http://ada:secret@nats",
                "JETMILL_NAMESPACE": "a.b",
                "JETMILL_PREFIX": "*",
                "JETMILL_NATS_CREDENTIALS": str(tmp_path / "none.creds"),
                "JETMILL_NATS_USER": "ada",
                "JETMILL_NATS_TOKEN": "t",
            }
        )
    said = str(caught.value)
    for variable in (
        "JETMILL_NATS_URL",
        "JETMILL_NAMESPACE",
        "JETMILL_PREFIX",
        "JETMILL_NATS_CREDENTIALS",
        "JETMILL_NATS_PASSWORD",
    ):
        assert variable in said
    assert "more than one way" in said
    assert "secret" not in said


@pytest.mark.parametrize("environ", [{}, {"JETMILL_NATS_URL": "memory://"}])
def test_memory_is_refused_in_a_pod(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="pod"):
        settings_from_env({**environ, "KUBERNETES_SERVICE_HOST": "10.0.0.1"})


def test_a_password_is_never_shown() -> None:
    settings = ClientSettings(url="nats://n", user="ada", password="hunter2")
    assert "hunter2" not in repr(settings)
    assert settings.bus_options().password == "hunter2"


def test_an_unknown_setting_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="namespace"):
        ClientSettings().updated(namspace="a")


def test_configure_outranks_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JETMILL_NATS_URL", "nats://env")
    monkeypatch.setenv("JETMILL_NAMESPACE", "env")
    configure(namespace="given")
    try:
        assert (current_settings().url, current_settings().namespace) == ("nats://env", "given")
    finally:
        configure(url="memory://")
