"""What crashes is started again, later each time."""

from __future__ import annotations

import pytest

from jetmill_operator.dev.process import Backoff, decide_pause_seconds, explain_end


def test_pauses_grow_and_end_at_half_a_minute():
    assert [decide_pause_seconds(crashes) for crashes in (0, 1, 2, 3, 7, 1_000)] == [0, 0.5, 1, 2, 30, 30]


def test_what_lived_for_a_while_did_not_crash_in_a_row():
    backoff = Backoff()
    assert [backoff.note_end(lived_seconds=1) for _ in range(3)] == [0.5, 1, 2]
    assert backoff.note_end(lived_seconds=11) == 0.5
    assert 0 < backoff.seconds <= 0.5


@pytest.mark.parametrize(
    ("status", "text"),
    [(3, "ended with status 3"), (-9, "was ended by SIGKILL"), (-60, "was ended by signal 60")],
)
def test_how_a_process_ended_is_said(status, text):
    assert explain_end(status) == text
