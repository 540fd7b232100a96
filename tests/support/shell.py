"""The command line on a named bus in memory, which outlives each command's event loop."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from typer.main import get_command
from typer.testing import CliRunner

from factories import make_settings
from jetmill.bus.memory import MemoryWorld, find_world
from jetmill.cli.main import app
from support.bench import Bench, Hand


@dataclass(frozen=True)
class Result:
    """What a command printed, and its exit status."""

    exit_code: int
    stdout: str
    stderr: str
    output: str
    """Both, as they came."""


@cache
def _build_command() -> Any:
    """Build the command once: some forty of them, and Typer takes longer for that than they do to run."""
    return get_command(app)


class Shell:
    """Runs commands, and between them what a worker would do."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._runner = CliRunner()

    @property
    def world(self) -> MemoryWorld:
        return find_world(self._name, namespace="shop")

    def run(self, *words: str, stdin: str | None = None) -> Result:
        environ = {
            "JETMILL_NATS_URL": f"memory://{self._name}",
            "JETMILL_NAMESPACE": "shop",
            "COLUMNS": "200",
            "KUBECONFIG": "",
        }
        status = 0
        with self._runner.isolation(input=stdin, env=environ) as streams:
            try:
                _build_command().main(args=list(words), prog_name="jetmill")
            except SystemExit as end:
                status = int(end.code or 0)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
            stdout, stderr, output = (stream.getvalue().decode() for stream in streams)
        return Result(status, stdout, stderr, output)

    def ask(self, *words: str, stdin: str | None = None) -> Any:
        """The answer as JSON, of a command that must succeed."""
        result = self.run(*words, "-o", "json", stdin=stdin)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def declare(self, **fields: Any) -> None:
        async def declare() -> None:
            bus = self.world.connect()
            await bus.admin.apply_namespace()
            await bus.admin.apply_job(make_settings(**fields))
            await bus.link.close()

        asyncio.run(declare())

    def work(self, step: Callable[[Hand], Any]) -> None:
        """Let a worker do something, on a connection of its own."""

        async def work() -> None:
            async def connect() -> Any:
                return self.world.connect()

            bench = Bench(connect, self.world.connect(), lease_seconds=30)
            hand = await bench.hand()
            await step(hand)
            await hand.bus.link.close()
            await bench.bus.link.close()

        asyncio.run(work())
