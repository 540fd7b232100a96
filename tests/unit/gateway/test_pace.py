"""How fast a client may send frames."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jetmill_operator.gateway.stream.pace import Pace


def test_a_burst_is_taken_at_once_and_then_the_rate_counts() -> None:
    pace = Pace(2.0, 3)
    assert [pace.take(10.0) for _ in range(4)] == [True, True, True, False]
    assert [pace.take(10.5), pace.take(10.5)] == [True, False]
    assert [pace.take(100.0) for _ in range(4)] == [True, True, True, False]


@given(st.lists(st.floats(0, 60), max_size=200).map(sorted))
def test_never_more_than_the_burst_and_the_rate_together(times: list[float]) -> None:
    pace = Pace(2.0, 5)
    taken = [at for at in times if pace.take(at)]
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            assert last - first + 1 <= 5 + 2.0 * (taken[last] - taken[first]) + 1e-6
