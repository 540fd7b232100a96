"""Which pods may go in a step down, and what must not be scaled while it could hit somebody else."""

from __future__ import annotations

from typing import Any

from factories import make_presence
from jetmill_operator.policy.crew import PodSeen
from jetmill_operator.policy.removal import (
    LOST_SECONDS,
    Scene,
    Victim,
    find_endangered,
    find_unfit,
    list_lost,
    match_workers,
    note_lost,
    plan_removal,
)


def pod(number: int, **fields: Any) -> PodSeen:
    return PodSeen(f"pod-{number}", f"uid-{number}", **{"ready": True, **fields})


def worker(number: int, **fields: Any) -> Any:
    return make_presence(f"worker-{number}", **{"pod": f"pod-{number}", **fields})


def scene(pods: list[PodSeen], presences: list[Any], **fields: Any) -> Scene:
    return Scene(**{"replicas": len(pods), "pods": pods, "presences": presences, "idle_since": {}, **fields})


def test_a_pod_is_matched_with_the_one_worker_that_names_it() -> None:
    pods = [pod(1), pod(2), pod(3), pod(4, leaving=True), pod(5)]
    presences = [worker(1), worker(2), make_presence("again", pod="pod-2"), worker(3, stopping=True), worker(4)]
    nobody = make_presence("elsewhere")
    assert list(match_workers(pods, [*presences, nobody])) == ["worker-1"]


def test_a_pod_is_lost_after_a_minute_without_readiness_or_presence() -> None:
    pods = [pod(1, ready=False), pod(2, ready=False), pod(3), pod(4, ready=False, leaving=True)]
    silent = note_lost({}, pods, [worker(2)], time=100.0)
    assert silent == {"uid-1": 100.0}
    assert list_lost(silent, time=100.0 + LOST_SECONDS - 1) == frozenset()
    later = note_lost(silent, pods, [], time=100.0 + LOST_SECONDS)
    assert later == {"uid-1": 100.0, "uid-2": 100.0 + LOST_SECONDS}
    assert list_lost(later, time=100.0 + LOST_SECONDS) == {"uid-1"}
    assert note_lost(later, [pod(1)], [], time=200.0) == {}, "it is ready now"


def test_the_missing_go_first_then_the_lost_then_the_drained() -> None:
    pods = [pod(1), pod(2), pod(3, ready=False)]
    presences = [worker(1, draining=True), worker(2)]
    here = scene(pods, presences, replicas=5, lost={"uid-3"})
    asked = {"worker-1"}
    assert plan_removal(here, 1, asked=asked).missing == 1
    two = plan_removal(here, 2, asked=asked)
    assert (two.missing, two.lost, two.drains.undo) == (2, (), ("worker-1",))
    three = plan_removal(here, 3, asked=asked)
    assert (three.missing, three.lost) == (2, (Victim("pod-3", "uid-3"),))
    assert three.drains.ask == ()
    four = plan_removal(here, 4, asked=asked)
    assert four.drains.ask == four.drains.victims == ("worker-1",)
    assert four.name_victims(["worker-1"]) == (Victim("pod-3", "uid-3"), Victim("pod-1", "uid-1", "worker-1"))
    assert four.name_victims([]) == (Victim("pod-3", "uid-3"),)


def test_without_a_surplus_whoever_was_asked_goes_on() -> None:
    here = scene([pod(1), pod(2)], [worker(1, draining=True), worker(2)], replicas=4)
    plan = plan_removal(here, 0, asked={"worker-1"})
    assert (plan.missing, plan.lost, plan.drains.undo, plan.drains.ask) == (0, (), ("worker-1",), ())


def test_a_worker_that_names_no_pod_of_ours_is_never_asked() -> None:
    """Started by hand somewhere, or of an image that does not say it."""
    here = scene([pod(1)], [make_presence("by-hand"), make_presence("old", pod="gone")])
    assert plan_removal(here, 1, asked=()).drains.ask == ()


def test_once_marked_the_victims_alone_are_endangered() -> None:
    pods, victim = [pod(1), pod(2), pod(3)], Victim("pod-2", "uid-2", "worker-2")
    assert find_endangered(pods, [victim], lost=()) == []


def test_a_pod_that_is_not_ready_forbids_it_unless_it_is_lost_or_meant() -> None:
    victim = Victim("pod-2", "uid-2", "worker-2")
    pods = [pod(1), pod(2), pod(3, ready=False)]
    assert find_endangered(pods, [victim], lost=()) == ["pod-3"]
    assert find_endangered(pods, [victim], lost={"uid-3"}) == []
    everybody = [Victim(one.name, one.uid) for one in pods]
    assert find_endangered(pods, everybody, lost=()) == []


def test_a_victim_is_fit_only_as_it_was_when_it_was_chosen() -> None:
    drained, lost = Victim("pod-1", "uid-1", "worker-1"), Victim("pod-2", "uid-2")
    marked = [pod(1, marked=True, cost=-100), pod(2, marked=True, cost=-100, ready=False)]
    assert find_unfit(marked, [drained, lost], [worker(1)]) == {}
    assert find_unfit(marked[1:], [drained], [worker(1)]) == {drained: "has gone by itself"}
    assert find_unfit([pod(1)], [drained], [worker(1)]) == {drained: "has lost its mark"}
    assert find_unfit(marked, [lost], [worker(2)]) == {lost: "has come to life"}
    assert find_unfit([pod(2, marked=True)], [lost], []) == {lost: "has come to life"}
    again = make_presence("again", pod="pod-1")
    assert find_unfit(marked, [drained], [again]) == {drained: "is another worker's"}
    assert find_unfit(marked, [drained], [worker(1), again]) == {drained: "is another worker's"}
    assert find_unfit(marked, [drained], [worker(1, stopping=True)]) == {drained: "is another worker's"}
