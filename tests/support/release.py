"""Helm and kubectl on the cluster for tests, and a release of the chart with pods of images that were loaded there.

Images are `jetmill/operator`, `jetmill/worker`, `jetmill/shop` and `jetmill/events` of the tag JETMILL_TEST_IMAGE_TAG
(`dev`: `make images`, then `docker build -t jetmill/shop:dev examples/shop`, and the like for events), and NATS. On a
cluster that others use at the same time, set JETMILL_TEST_SHARED=1: the operator then watches the test's own namespace
only. JETMILL_TEST_RELEASE names the namespace of a release that is there (that of its Jobs is called the same, with
`-shop`): tests then go on with it, and leave it.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.chart import CHART, ROOT
from support.door import Door
from support.nats import find_free_port

TAG = os.environ.get("JETMILL_TEST_IMAGE_TAG", "dev")
SHARED = os.environ.get("JETMILL_TEST_SHARED", "") not in ("", "0")
STANDING = os.environ.get("JETMILL_TEST_RELEASE", "")
PATIENCE = "150s"


def find_tool(name: str) -> str:
    """A program on the PATH; skips the test without."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name}: install it, and put it on the PATH")
    return found


@dataclass
class Release:
    """One release of the chart, in a namespace of its own, for the jobs of another one."""

    kubeconfig: Path
    folder: Path
    name: str = "jetmill"
    home: str = field(default_factory=lambda: STANDING or f"jm-e2e-{secrets.token_hex(3)}")

    @property
    def shop(self) -> str:
        """The namespace of its Jobs."""
        return f"{self.home}-shop"

    def values(self, **changes: Any) -> dict[str, Any]:
        """Defaults, but for which images there are and which namespaces."""
        return {
            "operator": {"image": {"tag": TAG}},
            "tests": {"image": {"tag": TAG}},
            "namespaces": [{"name": self.shop}],
            **({"watchNamespaces": [self.shop]} if SHARED else {}),
            **changes,
        }

    def install(self, **changes: Any) -> None:
        """Install it, or upgrade it with changed values; returns when its pods are ready."""
        path = self.folder / "values.yaml"
        path.write_text(yaml.safe_dump(self.values(**changes)))
        # Definitions that other tests have applied become the release's own.
        self.helm("upgrade", "--install", "--take-ownership", "--wait", "-f", str(path), self.name, str(CHART))

    def helm(self, *arguments: str) -> str:
        """Run Helm in the release's namespace; its output."""
        patience = () if arguments[0] == "list" else ("--timeout", PATIENCE)
        return self._run(find_tool("helm"), "--namespace", self.home, *arguments, *patience)

    def kubectl(self, *arguments: str, namespace: str | None = None, text: str | None = None) -> str:
        """Run kubectl in a namespace (that of the Jobs); its output."""
        return self._run(find_tool("kubectl"), "--namespace", namespace or self.shop, *arguments, text=text)

    def get(self, what: str, *arguments: str, namespace: str | None = None) -> list[dict[str, Any]]:
        """The objects of a kind, or of several parted by commas."""
        answer = self.kubectl("get", what, "-o", "json", *arguments, namespace=namespace)
        return list(json.loads(answer)["items"])

    def open_shop(self) -> None:
        """Declare the Jobs of examples/shop, and wait until they are ready."""
        text = (ROOT / "examples/shop/jobs.yaml").read_text().replace("jetmill/shop:dev", f"jetmill/shop:{TAG}")
        self.kubectl("apply", "-f", "-", text=text)
        self.kubectl("wait", "--for=condition=Ready", "jmj", "--all", "--timeout=180s")

    @contextmanager
    def forwarded(self, service: str = "") -> Iterator[dict[str, str]]:
        """The environment of a client on this machine, as the notes of the chart say it; for a NATS of its own if none
        is named.
        """
        port = find_free_port()
        service = f"service/{service or f'{self.name}-nats'}"
        command = [find_tool("kubectl"), "-n", self.home, "port-forward", service, f"{port}:4222"]
        secret = json.loads(self.kubectl("get", "secret", f"{self.name}-nats-producer", "-o", "json"))["data"]
        login = {key: base64.b64decode(value).decode() for key, value in secret.items() if key.startswith("JETMILL_")}
        with Door(command, environ=self._environ()):
            yield {**os.environ, **login, "JETMILL_NATS_URL": f"nats://127.0.0.1:{port}"}

    def _environ(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig)}

    def _run(self, *command: str, text: str | None = None) -> str:
        done = subprocess.run(
            command, env=self._environ(), input=text, capture_output=True, text=True, check=False, timeout=600
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
        return done.stdout


def names(found: list[dict[str, Any]]) -> list[str]:
    """Kind and name of each object."""
    return [f"{one['kind']}/{one['metadata']['name']}" for one in found]


def run_cli(environ: dict[str, str], *arguments: str) -> str:
    """Run the command `jetmill` on this machine; its output."""
    done = subprocess.run(
        [sys.executable, "-m", "jetmill", *arguments],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=360,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
