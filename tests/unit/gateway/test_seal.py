"""Sessions and tickets: texts that only we can have written, each for its purpose and its time."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmill.errors import ConfigError
from jetmill_operator.gateway.access.identity import Identity
from jetmill_operator.gateway.access.seal import Seal, read_key
from jetmill_operator.gateway.access.session import TICKET_SECONDS, Session, Sessions

KEY = b"k" * 32
ADA = Identity(name="ada", uid="u", groups=("a", "b"), extra={"x": ["1"]})


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(KEY, session_seconds=600, clock=clock)


@given(st.dictionaries(st.text(), st.text() | st.integers(-(2**60), 2**60)))
def test_what_was_sealed_opens_again(value: dict[str, object]) -> None:
    seal = Seal(KEY, purpose="test")
    text = seal.close(value)
    assert seal.open(text, dict) == value
    assert text.isascii()
    assert not set(text) & set(' ;,"\\&=#+/%')


@given(st.text(max_size=200))
def test_what_we_did_not_write_never_opens(text: str) -> None:
    assert Seal(KEY, purpose="test").open(text, dict) is None


@given(st.data())
def test_a_changed_letter_opens_nothing(data: st.DataObject) -> None:
    seal = Seal(KEY, purpose="test")
    text = seal.close({"user": "ada"})
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("ABCxyz019-_.").filter(lambda one: one != text[at]))
    changed = text[:at] + letter + text[at + 1 :]
    assert seal.open(changed, dict) is None


def test_each_purpose_and_each_key_has_its_own_seal() -> None:
    text = Seal(KEY, purpose="ticket").close({"a": 1})
    assert Seal(KEY, purpose="session").open(text, dict) is None
    assert Seal(b"j" * 32, purpose="ticket").open(text, dict) is None


def test_a_session_ends_with_its_time(sessions: Sessions, clock: Clock) -> None:
    session, cookie = sessions.begin(ADA)
    assert sessions.find(cookie) == session
    assert session.identity.groups == ("a", "b")
    clock.now += 599
    assert sessions.find(cookie) is not None
    clock.now += 1
    assert sessions.find(cookie) is None


def test_a_session_ends_with_its_token_if_that_is_sooner(sessions: Sessions, clock: Clock) -> None:
    _, cookie = sessions.begin(Identity(name="ada", expires=clock.now + 30))
    clock.now += 31
    assert sessions.find(cookie) is None


def test_a_session_that_was_ended_counts_no_more(sessions: Sessions) -> None:
    session, cookie = sessions.begin(ADA)
    sessions.end(session)
    assert sessions.find(cookie) is None


def test_another_gateway_with_the_key_knows_the_session_and_one_without_does_not(
    sessions: Sessions, clock: Clock
) -> None:
    session, cookie = sessions.begin(ADA)
    assert Sessions(KEY, session_seconds=600, clock=clock).find(cookie) == session
    assert Sessions(b"j" * 32, session_seconds=600, clock=clock).find(cookie) is None


def test_a_ticket_is_taken_once_and_in_time(sessions: Sessions, clock: Clock) -> None:
    _, text = sessions.issue_ticket(ADA)
    ticket = sessions.redeem_ticket(text)
    assert ticket is not None
    assert ticket.identity == ADA
    assert sessions.redeem_ticket(text) is None
    _, late = sessions.issue_ticket(ADA)
    clock.now += TICKET_SECONDS
    assert sessions.redeem_ticket(late) is None


def test_a_ticket_is_worth_no_more_than_who_asked_for_it(sessions: Sessions, clock: Clock) -> None:
    _, text = sessions.issue_ticket(Identity(name="ada", expires=clock.now + 5))
    clock.now += 6
    assert sessions.redeem_ticket(text) is None


def test_a_session_is_no_ticket_and_a_ticket_no_session(sessions: Sessions) -> None:
    _, cookie = sessions.begin(ADA)
    _, ticket = sessions.issue_ticket(ADA)
    assert sessions.redeem_ticket(cookie) is None
    assert sessions.find(ticket) is None


def test_only_the_sessions_own_text_guards_it(sessions: Sessions) -> None:
    one, other = sessions.begin(ADA)[0], sessions.begin(ADA)[0]
    own = sessions.csrf_of(one)
    assert sessions.check_csrf(one, own, own)
    for cookie, header in ((own, ""), ("", own), ("", ""), (sessions.csrf_of(other),) * 2, ("ä", "ä")):
        assert not sessions.check_csrf(one, cookie, header)


def test_a_session_holds_the_identity_alone() -> None:
    assert set(Session.__struct_fields__) == {"id", "identity", "expires"}


def test_a_key_is_read_from_its_file_and_has_to_be_long_enough(tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(b"x" * 32 + b"\n")
    (tmp_path / "short").write_bytes(b"x" * 31 + b"\n")
    assert read_key(str(tmp_path / "good")) == b"x" * 32
    assert read_key("") != read_key("")
    for name in ("short", "absent"):
        with pytest.raises(ConfigError):
            read_key(str(tmp_path / name))
