"""Fixtures of the fault tests, and the table of faults per phase at the end: a phase never hit fails the session."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from faults.harness import NORMAL_JOBS, Field, keeping
from faults.proxy import Phase
from support.nats import NatsServer

_PROPERTY = "fault"
_WHOLE = ("", "not soak", "not slow and not soak")
"""What `make faults` and `make faults-short` choose: with any of them every phase has to be hit."""


class FaultTable:
    """Adds up what the tests counted, those of other processes as well."""

    def __init__(self, config: pytest.Config) -> None:
        self.counts: Counter[str] = Counter()
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":
            for name, value in report.user_properties:
                if name == _PROPERTY:
                    phase, count = str(value).rsplit("=", 1)
                    self.counts[phase] += int(count)

    def missing(self) -> list[str]:
        """The phases that no fault hit, if all tests were to run."""
        options = self._config.option
        narrowed = options.keyword or getattr(options, "lf", False) or options.maxfail or options.collectonly
        whole = options.markexpr in _WHOLE and any(Path(arg).name in ("faults", "tests") for arg in self._config.args)
        return [] if narrowed or not whole else [phase for phase in Phase if not self.counts[phase]]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if not hasattr(self._config, "workerinput") and self.missing() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.counts:
            return
        terminalreporter.section("faults per phase")
        for phase in Phase:
            terminalreporter.write_line(f"{self.counts[phase]:6}  {phase}")
        for name in self.missing():
            terminalreporter.write_line(f"never hit: {name}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(FaultTable(config), "jetmill-faults")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.faults)


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    """What a test counts into, for the table."""
    counts: Counter[str] = Counter()
    yield counts
    for phase, count in counts.items():
        request.node.user_properties.append((_PROPERTY, f"{phase}={count}"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server that syncs every write, as one that stands alone must."""
    with NatsServer.start(tmp_path / "nats", sync_interval="always") as server:
        yield server


@pytest.fixture
async def field(server: NatsServer, tmp_path: Path, faults: Counter[str]) -> AsyncIterator[Field]:
    """A namespace with the normal Jobs and a keeper; all ends with the test."""
    async with AsyncExitStack() as stack:
        field = Field(server, tmp_path, namespace=f"ns-{secrets.token_hex(3)}", faults=faults)
        stack.push_async_callback(field.close)
        await field.open(NORMAL_JOBS)
        await stack.enter_async_context(keeping(await field.bus()))
        yield field
