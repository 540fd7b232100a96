"""What is logged: constant names from one documented table, with the job's ids, never payloads."""

from __future__ import annotations

import re
from pathlib import Path

import jetmill.worker
from jetmill.worker.context import JobContext, JobFacts, current
from jetmill.worker.log import EVENTS, add_job

SOURCE = Path(jetmill.worker.__file__).parent
ROOT = Path(__file__).resolve().parents[3]
CALL = re.compile(r"\blog\.(?:debug|info|warning|error|exception)\(\s*\"([a-z_]+)\"")


def logged() -> set[str]:
    return {name for path in SOURCE.rglob("*.py") for name in CALL.findall(path.read_text())}


def test_every_event_stands_in_the_table_and_nothing_else_does() -> None:
    assert logged() == EVENTS.keys()


def test_the_documented_table_is_the_codes() -> None:
    text = (ROOT / "docs/logging.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| (.*) \|$", text, re.MULTILINE))
    assert {name: text for name, text in rows.items() if name in EVENTS} == EVENTS


def test_a_line_within_a_job_carries_its_ids() -> None:
    facts = JobFacts("id-1", "send", 2, "shop", "worker-1", 0, 0, 0, 1.0)
    token = current.set(JobContext(facts, None))  # type: ignore[arg-type]
    try:
        assert add_job(None, "info", {"event": "x"}) == {"event": "x", "job": "send", "job_id": "id-1", "attempt": 2}
    finally:
        current.reset(token)
    assert add_job(None, "info", {"event": "x"}) == {"event": "x"}
