"""The command line on a named bus in memory, which outlives each command's event loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from typer.testing import CliRunner, Result

from factories import make_settings
from jetmill.bus.memory import MemoryWorld, find_world
from jetmill.cli.main import app
from support.bench import Bench, Hand


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
        return self._runner.invoke(app, list(words), env=environ, input=stdin)

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
