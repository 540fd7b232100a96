"""What a watch has lost is told by comparing twice."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from jetmill_operator.cluster.errors import UnavailableError
from jetmill_operator.cluster.ports import JOB, Kind
from jetmill_operator.reconcile.sentinel import DeadWatchError, Finding, Place, Sentinel, compare

ONE, TWO = ("shop", "one"), ("shop", "two")


@pytest.mark.parametrize(
    ("real", "known", "suspects", "expected"),
    [
        pytest.param({ONE: "5"}, {ONE: "5"}, {}, Finding(), id="all is known"),
        pytest.param({ONE: "5"}, {}, {}, Finding(suspects={ONE: "5"}), id="a new one may be on its way"),
        pytest.param({ONE: "5"}, {}, {ONE: "5"}, Finding(missed=(ONE,)), id="twice not known is missed"),
        pytest.param({ONE: "6"}, {ONE: "5"}, {ONE: "6"}, Finding(missed=(ONE,)), id="twice the older one is missed"),
        pytest.param({ONE: "7"}, {ONE: "6"}, {ONE: "6"}, Finding(suspects={ONE: "7"}), id="a busy object is not"),
        pytest.param({}, {ONE: "5"}, {}, Finding(suspects={ONE: None}), id="a deletion may be on its way"),
        pytest.param({}, {ONE: "5"}, {ONE: None}, Finding(lost=(ONE,)), id="twice gone is lost"),
        pytest.param({TWO: "9"}, {ONE: "5"}, {ONE: None}, Finding((ONE,), (), {TWO: "9"}), id="each for itself"),
        pytest.param({ONE: "5"}, {ONE: "6"}, {ONE: "5"}, Finding(), id="a cache that lags behind proves nothing"),
        pytest.param({ONE: "5"}, {ONE: "5"}, {ONE: "5"}, Finding(), id="what came meanwhile is forgotten"),
    ],
)
def test_what_differs_twice_unchanged_is_a_finding(
    real: Mapping[Place, str],
    known: Mapping[Place, str],
    suspects: Mapping[Place, str | None],
    expected: Finding,
) -> None:
    assert compare(real, known, suspects) == expected


class Post:
    """A sentinel whose server and watch are two dicts."""

    def __init__(self) -> None:
        self.real: dict[Place, str] = {}
        self.known: dict[Place, str] = {}
        self.lost: list[Place] = []
        self.away = False
        self.sentinel = Sentinel([JOB], read=self.read, known=lambda _: self.known, on_lost=self.lose)

    async def read(self, _: Kind) -> dict[Place, str]:
        if self.away:
            raise UnavailableError("away")
        return dict(self.real)

    def lose(self, _: Kind, place: Place) -> None:
        self.lost.append(place)
        del self.known[place]


async def test_a_lost_deletion_is_told_once() -> None:
    post = Post()
    post.known = {ONE: "5"}
    for _ in range(4):
        await post.sentinel.look(JOB)
    assert post.lost == [ONE]


async def test_a_dead_watch_ends_it() -> None:
    post = Post()
    post.real = {ONE: "5"}
    await post.sentinel.look(JOB)
    with pytest.raises(DeadWatchError, match="shop/one"):
        await post.sentinel.look(JOB)


async def test_a_server_that_is_away_proves_nothing() -> None:
    post = Post()
    post.known, post.away = {ONE: "5"}, True
    for _ in range(4):
        await post.sentinel.look(JOB)
    assert post.lost == []
