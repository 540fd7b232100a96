"""What is asked of the API server, and what is believed of its answers."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmill_operator.gateway.access.authorize import LetAll, Permit
from jetmill_operator.gateway.access.errors import DeniedError
from jetmill_operator.gateway.access.identity import LOCAL, Identity
from jetmill_operator.gateway.access.origin import Source, find_foreign, find_rebound
from jetmill_operator.gateway.access.ports import Question
from jetmill_operator.gateway.access.review import build_access, read_expiry, read_identity
from jetmill_operator.gateway.access.right import CANCEL, LIST, READ, RIGHTS, Scope

STATUS: dict[str, Any] = {
    "authenticated": True,
    "audiences": ["jetmill"],
    "user": {"username": "ada", "uid": "u1", "groups": ["g"], "extra": {"k": ["v"]}},
}
AUDIENCES = ("jetmill",)


def test_an_identity_is_what_the_api_server_says() -> None:
    found = read_identity(STATUS, audiences=AUDIENCES, expires=5.0)
    assert found == Identity(name="ada", uid="u1", groups=("g",), extra={"k": ["v"]}, expires=5.0)


@pytest.mark.parametrize(
    "change",
    [
        {"authenticated": False},
        {"authenticated": "true"},
        {"audiences": []},
        {"audiences": None},
        {"audiences": ["https://kubernetes.default.svc"]},
        {"user": {}},
        {"user": {"username": ""}},
        {"user": None},
    ],
)
def test_anything_less_is_nobody(change: dict[str, Any]) -> None:
    assert read_identity(STATUS | change, audiences=AUDIENCES, expires=None) is None


def test_a_question_names_what_rbac_knows() -> None:
    identity = Identity(name="ada", uid="u1", groups=("g",), extra={"k": ["v"]})
    assert build_access(identity, Question(CANCEL, "shop", "mail")) == {
        "user": "ada",
        "uid": "u1",
        "groups": ["g"],
        "extra": {"k": ["v"]},
        "resourceAttributes": {
            "group": "jetmill.dev",
            "version": "*",
            "resource": "jobs",
            "subresource": "cancel",
            "verb": "create",
            "namespace": "shop",
            "name": "mail",
        },
    }
    bare = build_access(Identity(name="ada"), Question(LIST, "shop"))
    assert bare.keys() == {"user", "groups", "resourceAttributes"}
    assert "name" not in bare["resourceAttributes"]


def make_token(claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{body}.c2ln"


def test_when_a_token_ends_is_read_from_itself() -> None:
    assert read_expiry(make_token({"exp": 123})) == 123
    assert read_expiry(make_token({"sub": "ada"})) is None


@given(st.text() | st.builds(make_token, st.recursive(st.integers() | st.text(), st.lists)))
def test_a_token_that_is_none_says_nothing(text: str) -> None:
    read_expiry(text)


def test_two_who_may_the_same_have_one_key_whatever_the_order() -> None:
    one, other = Identity(name="ada", groups=("a", "b")), Identity(name="ada", groups=("b", "a"), expires=1.0)
    assert one.key == other.key
    assert hash(one.key) == hash(other.key)
    assert one.key != Identity(name="ada", groups=("a",)).key


async def test_a_denial_says_how_to_look_it_up() -> None:
    permit = Permit(LOCAL, "shop", READ, LetAll())
    assert await permit.open()
    await permit.require(job="mail")
    denial = permit.denial(job="mail")
    assert isinstance(denial, DeniedError)
    assert denial.cure == "kubectl auth can-i get jobs.jetmill.dev --subresource=runs -n shop --as=local"


def test_every_right_is_of_our_own_plurals() -> None:
    for right in RIGHTS:
        assert right.resource.split("/")[0] in ("jobs", "scheduledjobs", "webhooks")
        assert right.verb in ("get", "list", "watch", "create", "update", "patch", "delete")
        assert right.scope in (Scope.NAMESPACE, Scope.NAME, Scope.JOB, Scope.BODY)


@pytest.mark.parametrize(
    ("source", "foreign"),
    [
        (Source(host="h:1"), False),
        (Source(host="h:1", origin="http://h:1"), False),
        (Source(host="h:1", origin="http://H:1"), False),
        (Source(host="h:1", origin="https://h:1", fetch_site="same-origin"), False),
        (Source(host="h:1", fetch_site="none"), False),
        (Source(host="h:1", origin="https://friend.example", fetch_site="cross-site"), False),
        (Source(host="h:1", origin="http://h:2"), True),
        (Source(host="h:1", origin="null"), True),
        (Source(host="h:1", origin="http://h:1.evil.example"), True),
        (Source(host="h:1", fetch_site="cross-site"), True),
        (Source(host="h:1", fetch_site="same-site"), True),
        (Source(host="h:1", origin="http://evil", fetch_site="none"), True),
    ],
)
def test_a_page_of_another_site_is_told_by_its_headers(source: Source, foreign: bool) -> None:
    assert (find_foreign(source, allowed=("https://friend.example",)) is not None) is foreign


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("localhost:8420", True),
        ("127.0.0.1:1", True),
        ("[::1]:8420", True),
        ("LOCALHOST", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
        ("localhost@evil", False),
    ],
)
def test_only_names_of_loopback_mean_a_gateway_there(host: str, ours: bool) -> None:
    assert (find_rebound(host) is None) is ours
