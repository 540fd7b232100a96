"""What the operator logs, counts and can be told stands in its documented tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import jetmill_operator.reconcile
from jetmill_operator.cluster.ports import Key
from jetmill_operator.policy.condition import Backlog, Scaling
from jetmill_operator.reconcile.board import Board, Sighting
from jetmill_operator.reconcile.log import EVENTS
from jetmill_operator.reconcile.metric import Metrics
from jetmill_operator.reconcile.queue import End, Run
from jetmill_operator.reconcile.settings import _VARIABLES

DOCS = Path(__file__).parents[3] / "docs"
SOURCE = Path(jetmill_operator.reconcile.__file__).parent
CALL = re.compile(r"\blog\.(?:debug|info|warning|error|exception)\(\s*\"([a-z_]+)\"")
JOB = Key("Job", "shop", "mail")


def test_every_event_stands_in_the_table_and_nothing_else_does() -> None:
    logged = {name for path in SOURCE.rglob("*.py") for name in CALL.findall(path.read_text())}
    assert logged == EVENTS.keys()


def test_the_documented_events_are_the_codes() -> None:
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| (.*) \|$", (DOCS / "logging.md").read_text(), re.MULTILINE))
    assert {name: rows.get(name) for name in EVENTS} == EVENTS


def test_every_setting_is_documented() -> None:
    text = (DOCS / "operator.md").read_text()
    assert [variable for variable, _, _ in _VARIABLES.values() if f"| `{variable}` |" not in text] == []


def make_metrics() -> Metrics:
    metrics = Metrics()
    metrics.gauges = SimpleNamespace(
        leading=True, connected=True, jobs=3, depth=1, delayed=2, running=1, oldest_seconds=0.5, watch_age_seconds=4.0
    )
    metrics.board = Board(lambda _: None)
    metrics.board.put(JOB, Sighting(Backlog(5, 2, 1), Scaling(3, "Backlog", "m", "t")))
    metrics.count(Run(JOB, End.DONE, 0.1, 0.2))
    metrics.count(Run(JOB, End.FAILED, 0.1, 0.2))
    metrics.count_slots("shop", planned=4, withdrawn=0, missed=1)
    return metrics


def read_samples(metrics: Metrics) -> Iterator[tuple[str, dict[str, str], float]]:
    for family in metrics.collect():
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value


def test_every_metric_is_documented() -> None:
    text = (DOCS / "metrics.md").read_text()
    names = {re.sub(r"_(bucket|sum|count)$", "", name) for name, _, _ in read_samples(make_metrics())}
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []


def test_what_is_counted_is_shown() -> None:
    samples = {(name, *labels.values()): value for name, labels, value in read_samples(make_metrics())}
    assert samples["jetmill_reconcile_total", "Job", "done"] == 1
    assert samples["jetmill_reconcile_total", "Job", "again"] == 0
    assert samples["jetmill_reconcile_duration_seconds_count", "Job"] == 2
    assert samples["jetmill_schedule_slots_total", "shop", "missed"] == 1
    assert samples["jetmill_queue_depth", "shop", "mail", "in_flight"] == 2
    assert samples["jetmill_autoscaler_desired_replicas", "shop", "mail"] == 3
    assert samples["jetmill_leader",] == 1


def test_what_could_not_be_read_is_absent() -> None:
    metrics = make_metrics()
    assert metrics.board is not None
    metrics.board.put(JOB, Sighting(None, None))
    assert not [name for name, labels, _ in read_samples(metrics) if "job" in labels]
