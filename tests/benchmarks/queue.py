"""`make bench`: Jetmill, taskiq-nats and pgqueuer in one run, round by round in turn, so that drift hits all alike.

Each peer's phase runs in a process of its own against a server of its own: nats-server with a new store for each
round, one PostgreSQL (its defaults: fsync on) with an empty queue. Two rows: nats-server with its default sync, and
with `sync_interval: always`. The clock of a drain starts when the worker is connected and about to ask for its first
job (pgqueuer's: when its first job starts), and stops when nothing is left to be run or acknowledged. Prints medians,
ranges and ratios and writes `build/bench/queue.json`. A round of Jetmill counts only if every outcome was read back
from the ledger.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.postgres import run_postgres
from support.nats import NatsServer

ROOT = Path(__file__).parents[2]
Figures = dict[str, dict[str, list[float]]]


def start_nats(folder: Path, *, always: bool) -> AbstractContextManager[NatsServer]:
    """A server with a store of its own."""
    return NatsServer.start(folder, sync_interval="always" if always else None)


def phase(peer: str, mode: str, count: int, url: str) -> dict[str, float]:
    """Run one phase of one peer in a process of its own; what it measured."""
    command = [sys.executable, "-m", f"benchmarks.peer_{peer}", mode, str(count), url]
    done = subprocess.run(command, cwd=ROOT / "tests", capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise SystemExit(f"{peer} {mode}: exit {done.returncode}\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def round_of(peer: str, url: str, jobs: int, starts: int, figures: Figures) -> None:
    """Enqueue, drain and the start latency of one peer, into `figures`."""
    measured: dict[str, float] = {}
    if peer == "jetmill":
        phase(peer, "declare", 0, url)
    measured |= phase(peer, "enqueue", jobs, url)
    measured |= phase(peer, "drain", jobs, url)
    if peer == "jetmill":
        phase(peer, "check", jobs, url)
    measured |= phase(peer, "latency", starts, url)
    for name, value in measured.items():
        figures[name][peer].append(value)


def measure(rounds: int, jobs: int, starts: int, *, always: bool) -> Figures:
    """All rounds of one row."""
    figures: Figures = defaultdict(lambda: defaultdict(list))
    with run_postgres() as dsn:
        phase("pgqueuer", "install", 0, dsn)
        for number in range(1, rounds + 1):
            for peer in ("jetmill", "taskiq", "pgqueuer"):
                print(f"  round {number}/{rounds} {peer}", file=sys.stderr, flush=True)
                if peer == "pgqueuer":
                    round_of(peer, dsn, jobs, starts, figures)
                    continue
                with tempfile.TemporaryDirectory() as folder, start_nats(Path(folder), always=always) as server:
                    round_of(peer, server.url, jobs, starts, figures)
    return figures


NAMES = {"jetmill": "jetmill", "taskiq": "taskiq-nats", "pgqueuer": "pgqueuer"}
UNITS = {"enqueue": "jobs/s", "drain": "jobs/s", "p50_ms": "ms", "p99_ms": "ms"}


def report(title: str, figures: Figures) -> dict[str, dict[str, dict[str, float]]]:
    """Print a row's table; the medians and ratios for the file."""
    rates: dict[str, dict[str, float]] = {}
    ratios: dict[str, dict[str, float]] = {}
    print(f"\n{title}\n{'':10}{'jetmill':>26}{'taskiq-nats':>26}{'pgqueuer':>26}  ratios")
    for name, peers in figures.items():
        medians = {NAMES[peer]: statistics.median(values) for peer, values in peers.items()}
        rates[name] = medians
        ratios[name] = {peer: medians["jetmill"] / value for peer, value in medians.items() if peer != "jetmill"}
        cells = "".join(f"{_cell(peers[peer]):>26}" for peer in NAMES)
        told = "  ".join(f"{value:.2f}x {peer}" for peer, value in ratios[name].items())
        print(f"{name:10}{cells}  {told}  ({UNITS[name]})")
    return {"rates": rates, "ratios": ratios}


def _cell(values: list[float]) -> str:
    digits = 0 if values[0] > 100 else 2
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def main() -> None:
    """Measure both rows and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--starts", type=int, default=250)
    arguments = parser.parse_args()
    sizes = (arguments.rounds, arguments.jobs, arguments.starts)
    result = report("nats-server, default sync", measure(*sizes, always=False))
    durable = report("nats-server, sync_interval: always", measure(*sizes, always=True))
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "queue.json").write_text(json.dumps({**result, "sync_always": durable}, indent=2))
    print(f"\n{folder / 'queue.json'}")


if __name__ == "__main__":
    main()
