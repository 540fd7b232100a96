"""Who rides on whom, and whom an event concerns."""

from __future__ import annotations

from typing import Any

import pytest

from jetmill_operator.cluster.ports import DEPLOYMENT, JOB, POD, SCHEDULED_JOB, SERVICE_ACCOUNT, Key, Kind
from jetmill_operator.reconcile.index import JobIndex
from jetmill_operator.reconcile.route import route
from jetmill_operator.resources.deployment import Rider
from jetmill_operator.resources.plan import Carrier
from support.declare import make_body


def key(name: str, kind: Kind = JOB) -> Key:
    return Key(kind.name, "shop", name)


def ride(name: str, carrier: str, **fields: Any) -> Any:
    return make_body(name, worker={"from": {"name": carrier}}, **fields)


def make_index(*bodies: Any) -> JobIndex:
    index = JobIndex()
    index.fill(bodies)
    return index


def test_riders_are_known_by_name_with_their_timeouts() -> None:
    index = make_index(make_body("mail"), ride("b", "mail", timeoutSeconds=900), ride("a", "mail"), make_body("other"))
    assert index.riders_of("shop", "mail") == (Rider("a", 300.0), Rider("b", 900.0))
    assert index.riders_of("elsewhere", "mail") == ()
    assert (len(index), index.namespaces()) == (4, {"shop"})


def test_a_rider_that_is_being_deleted_is_none() -> None:
    leaving = ride("a", "mail", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    assert make_index(make_body("mail"), leaving).riders_of("shop", "mail") == ()


@pytest.mark.parametrize(
    ("body", "carrier"),
    [
        (None, Carrier.MISSING),
        (make_body("mail"), Carrier.PRESENT),
        (ride("mail", "other"), Carrier.RIDES),
        (make_body("mail", metadata={"deletionTimestamp": "x"}), Carrier.MISSING),
    ],
)
def test_a_carrier_is_what_it_is(body, carrier) -> None:
    index = JobIndex()
    index.put("shop", "mail", body)
    assert index.carrier_of("shop", "mail") is carrier


def test_a_job_that_changes_concerns_its_carriers_and_its_riders() -> None:
    index = make_index(make_body("mail"), ride("a", "mail"))
    assert index.put("shop", "b", ride("b", "mail")) == {key("mail")}
    assert index.put("shop", "b", ride("b", "mail")) == set()
    assert index.put("shop", "b", ride("b", "other")) == {key("mail"), key("other")}
    assert index.put("shop", "b", None) == {key("other")}
    assert index.put("shop", "mail", None) == {key("a")}
    assert index.put("shop", "mail", make_body("mail")) == {key("a")}


@pytest.mark.parametrize("spec", [None, "text", {"worker": []}, {"worker": {"from": "x"}}, {"timeoutSeconds": "soon"}])
def test_any_job_can_be_there(spec) -> None:
    body = {**make_body("odd"), "spec": spec}
    assert make_index(body).carrier_of("shop", "odd") is Carrier.PRESENT


def test_a_child_leads_to_its_job_by_label_and_one_that_has_gone_by_name() -> None:
    index = make_index(make_body("mail"), ride("a", "mail"))
    labelled = {"metadata": {"labels": {"jetmill.dev/job": "mail"}}}
    assert route(POD, key("mail-worker-x1", POD), labelled, index) == {key("mail")}
    assert route(POD, key("mail-worker", POD), None, index) == set()
    assert route(SERVICE_ACCOUNT, key("mail-worker", SERVICE_ACCOUNT), None, index) == {key("mail")}
    assert route(DEPLOYMENT, key("mail-worker", DEPLOYMENT), None, index) == {key("mail"), key("a")}
    assert route(DEPLOYMENT, key("nginx", DEPLOYMENT), {"metadata": {}}, index) == set()


def test_a_job_leads_to_itself_and_to_those_that_it_concerns() -> None:
    index = make_index(make_body("mail"))
    assert route(JOB, key("a"), ride("a", "mail"), index) == {key("a"), key("mail")}
    assert route(SCHEDULED_JOB, key("daily", SCHEDULED_JOB), None, index) == {key("daily", SCHEDULED_JOB)}


def test_a_job_that_comes_or_goes_concerns_the_schedules_of_it() -> None:
    index = make_index(make_body("mail"))
    daily = {"metadata": {"uid": "uid-1"}, "spec": {"jobRef": {"name": "mail"}}}
    route(SCHEDULED_JOB, key("daily", SCHEDULED_JOB), daily, index)
    both = {key("mail"), key("daily", SCHEDULED_JOB)}
    assert route(JOB, key("mail"), None, index) == both
    assert not index.has("shop", "mail")
    assert route(JOB, key("mail"), make_body("mail"), index) == both
    assert index.has("shop", "mail")
    assert index.schedules.all() == [key("daily", SCHEDULED_JOB)]
    route(SCHEDULED_JOB, key("daily", SCHEDULED_JOB), None, index)
    assert route(JOB, key("mail"), None, index) == {key("mail")}
    assert index.schedules.all() == []


@pytest.mark.parametrize("spec", [None, "text", {"jobRef": []}, {"jobRef": {"name": 1}}])
def test_any_schedule_can_be_there(spec) -> None:
    index = make_index()
    odd = {"metadata": {"uid": "uid-1"}, "spec": spec}
    assert route(SCHEDULED_JOB, key("odd", SCHEDULED_JOB), odd, index) == {key("odd", SCHEDULED_JOB)}
    assert len(index.schedules.all()) == 1
