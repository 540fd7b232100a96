"""The gateway against its own description: whatever schemathesis makes of it, sent with a token that may do everything.

Every operation gets its boundary values and some random ones (in CI four times as many); answers have to be those that
are described, and never a 500. What is not asked here: streams, which do not end, and the end of the session that asks.
Reads and writes are two tests, for two processes: this takes longer than any other test of the gateway.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jetmill.client.client import Client
from jetmill_operator.cluster.local import LocalCluster
from support.gateway import RunningGateway, TableReviewer, serve
from support.nats import NatsServer

pytestmark = [pytest.mark.integration, pytest.mark.slow]
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "ignored_auth",
    "unsupported_method",
    "allow_header_conformance",
)
FLAGS = (
    "--phases=examples,coverage,fuzzing",
    f"--max-examples={12 if os.environ.get('CI') else 3}",
    "--seed=1",
    "--workers=1",  # in threads it meets a defect of CPython 3.11 (ast.parse)
    "--exclude-path=/api/v1/stream/sse",
    "--exclude-path=/api/v1/session",
    "--suppress-health-check=all",
    "--generation-database=none",  # nothing is left for the next run
    "--warnings=off",
    "--no-color",
    "--continue-on-failure",
)
SETTINGS = ["checks.enabled = false", *(f"checks.{one}.enabled = true" for one in CHECKS)]
OF_READS = "phases.fuzzing.checks.negative_data_rejection.enabled = false"
"""By chance it gives `false` for a text, and wants it refused: but all that a query holds is text. The coverage phase,
in which nothing is left to chance, goes beyond the bounds of each parameter, and wants refusals.
"""


@pytest.fixture
async def gateway(nats: NatsServer, reviewer: TableReviewer) -> AsyncIterator[RunningGateway]:
    limits: dict[str, Any] = {"rate_per_second": 100_000.0, "rate_burst": 100_000}
    async with serve(nats.url, reviewer, cluster=LocalCluster(), namespaces=("shop",), **limits) as running:
        running.parts.failures = running.parts.limiter  # strangers are no matter of this test
        yield running


@pytest.mark.timeout(600)
@pytest.mark.parametrize("operations", ["--include-method=GET", "--exclude-method=GET"], ids=["reads", "writes"])
async def test_it_answers_as_it_is_described(
    gateway: RunningGateway, sdk: Client, tmp_path: Path, pytestconfig: pytest.Config, operations: str
) -> None:
    # Its client looks for proxies in the whole environment with each request: it is given little. The tables of Unicode
    # are those that Hypothesis keeps for other tests: making them takes seconds.
    environ = {"PATH": os.environ["PATH"], "HYPOTHESIS_STORAGE_DIRECTORY": str(pytestconfig.rootpath / ".hypothesis")}
    settings = [*SETTINGS, OF_READS] if operations.startswith("--include") else SETTINGS
    (tmp_path / "schemathesis.toml").write_text("\n".join(settings))
    await sdk.enqueue("mail", {"to": "ada"}, id="a-job")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "schemathesis.cli",
        "run",
        f"{gateway.url}/api/v1/openapi.json",
        "--header=Authorization: Bearer token-of-admin",
        operations,
        *FLAGS,
        cwd=tmp_path,  # it leaves its examples there
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()[-20_000:]
