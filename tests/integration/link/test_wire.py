"""What the bytes mean."""

from __future__ import annotations

import pytest

from jetmill.bus.jetstream import wire
from jetmill.errors import BusError, NotFoundError, RefusedError


def test_an_ack_subject_of_nine_tokens_is_read() -> None:
    token = wire.parse_ack_token(b"$JS.ACK.S.c.2.31.7.1795509356727877867.3")
    assert token == wire.AckToken("S", "c", 2, 31, 7, 1795509356727877, 3)


@pytest.mark.parametrize("tail", [b"", b".random"])
def test_an_ack_subject_with_domain_and_account_is_read(tail: bytes) -> None:
    token = wire.parse_ack_token(b"$JS.ACK.hub.AHASH.S.c.2.31.7.1795509356727877867.3" + tail)
    assert token == wire.AckToken("S", "c", 2, 31, 7, 1795509356727877, 3)


def test_what_is_no_ack_subject_is_refused() -> None:
    with pytest.raises(BusError):
        wire.parse_ack_token(b"_INBOX.abc.1")


def test_headers_come_back_by_name() -> None:
    head = b"NATS/1.0\r\n" + wire.build_headers({"Jm-Seq": "12", "Other": "x: y"}) + b"\r\n"
    assert wire.parse_header(head, "Jm-Seq") == "12"
    assert wire.parse_header(head, "Other") == "x: y"
    assert wire.parse_header(head, "Seq") is None
    assert wire.parse_header(None, "Seq") is None


def test_a_status_line_is_read() -> None:
    head = b"NATS/1.0 409 Consumer Deleted\r\n\r\n"
    assert (wire.parse_status(head), wire.parse_description(head)) == (409, "Consumer Deleted")
    assert wire.parse_status(b"NATS/1.0\r\nA: 1\r\n\r\n") == 0
    assert wire.parse_status(None) == 0


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (wire.ApiError(400, 10071, "wrong last sequence: 3"), RefusedError),
        (wire.ApiError(404, 10059, "stream not found"), NotFoundError),
        (wire.ApiError(503, 10077, "maximum bytes exceeded"), BusError),
    ],
)
def test_errors_of_jetstream_become_ours(error: wire.ApiError, kind: type[BusError]) -> None:
    made = wire.make_error(error, "a.b")
    assert type(made) is kind
    assert made.code == error.err_code
    assert error.description in str(made)


@pytest.mark.parametrize("subject", ["", "a b", "a\r\nPUB x", "a\tb", "a\x00b"])
def test_a_subject_that_would_break_the_protocol_is_refused(subject: str) -> None:
    with pytest.raises(BusError):
        wire.build_frame(subject, "", None, b"")
    with pytest.raises(BusError):
        wire.build_member(subject, b"A: ", 1, headers=None, payload=b"", limit=100)


@pytest.mark.parametrize("number", [1, 9, 10, 1000])
@pytest.mark.parametrize("headers", [None, b"B: 2\r\n"])
def test_a_member_of_a_batch_is_the_frame_of_its_headers_and_has_a_limit(number: int, headers: bytes | None) -> None:
    plain = wire.build_frame("a.b", "", b"A: %d\r\n%b" % (number, headers or b""), b"text")
    line = plain[: plain.index(b"\r\n")].replace(b"a.b  ", b"a.b ")  # build_frame writes the reply, empty or not
    size = int(line.rpartition(b" ")[2])
    member = wire.build_member("a.b", b"A: ", number, headers=headers, payload=b"text", limit=size)
    assert member == line + plain[plain.index(b"\r\n") :]
    with pytest.raises(BusError):
        wire.build_member("a.b", b"A: ", number, headers=headers, payload=b"text", limit=size - 1)


def test_nanoseconds_become_microseconds() -> None:
    assert wire.parse_time_us("2026-11-24T08:35:56.735164173Z") == 1795509356735164
    assert wire.parse_time_us("2026-11-24T08:35:56Z") == 1795509356000000
