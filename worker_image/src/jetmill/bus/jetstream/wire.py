"""The bytes of NATS and JetStream: header blocks, ack subjects, answers and errors.

Pure functions on bytes, so that the link and everything above parse only what they look at. Header names are matched
as sent: the server and this package write them in one spelling.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from jetmill.errors import BusError, NotFoundError, RefusedError

HEADER_LINE = b"NATS/1.0\r\n"
WRONG_LAST_SEQUENCE = (10071, 10164)
_NO_STREAM = 10059
NO_STREAM_CURE = "is the namespace set up and the Job declared? That is done by the operator, or by `jetmill dev`"


class AckToken(NamedTuple):
    """What a `$JS.ACK.…` subject tells of its delivery."""

    stream: str
    consumer: str
    num_delivered: int
    stream_seq: int
    consumer_seq: int
    timestamp_us: int
    num_pending: int


class ApiError(msgspec.Struct):
    """The `error` member of a JetStream answer."""

    code: int = 0
    err_code: int = 0
    description: str = ""


class _ServerTime(msgspec.Struct):
    time: str | None = None


class _Clock(msgspec.Struct):
    ts: str | None = None
    server: _ServerTime | None = None


class _Answer(msgspec.Struct):
    error: ApiError | None = None


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_clock_decoder = msgspec.json.Decoder(_Clock)
_answer_decoder = msgspec.json.Decoder(_Answer)


def build_headers(headers: Mapping[str, str]) -> bytes:
    """The lines of a header block, without its first and its empty last line; values must hold no line breaks."""
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode()


def check_subject(subject: str) -> str:
    """Return a subject that cannot break the protocol; BusError for an empty one, white space or control characters."""
    if not subject or " " in subject or not subject.isprintable():
        raise BusError(f"{subject!r} is no subject")
    return subject


def build_frame(subject: str, reply: str, headers: bytes | None, payload: bytes) -> bytes:
    """A PUB or HPUB frame; `headers` as `build_headers` makes them."""
    check_subject(subject)
    if headers is None:
        return b"PUB %b %b %d\r\n%b\r\n" % (subject.encode(), reply.encode(), len(payload), payload)
    head_size = len(headers) + 12
    return b"HPUB %b %b %d %d\r\nNATS/1.0\r\n%b\r\n%b\r\n" % (
        subject.encode(),
        reply.encode(),
        head_size,
        head_size + len(payload),
        headers,
        payload,
    )


def build_request(subject: str, reply: bytes, token: int, *, headers: bytes | None, payload: bytes) -> bytes:
    """A PUB or HPUB frame whose answer is to come to `reply` and the token after it: `build_frame` for the hot path."""
    check_subject(subject)
    if headers is None:
        return b"PUB %b %b%d %d\r\n%b\r\n" % (subject.encode(), reply, token, len(payload), payload)
    head_size = len(headers) + 12
    return b"HPUB %b %b%d %d %d\r\nNATS/1.0\r\n%b\r\n%b\r\n" % (
        subject.encode(),
        reply,
        token,
        head_size,
        head_size + len(payload),
        headers,
        payload,
    )


def build_member(subject: str, mark: bytes, number: int, *, headers: bytes | None, payload: bytes, limit: int) -> bytes:
    """The HPUB frame of a batch's `number`-th member, written at once: `mark` is its headers up to that number.

    Raises BusError for one over `limit` bytes.
    """
    check_subject(subject)
    headers = headers or b""
    head_size = len(mark) + len(str(number)) + 14 + len(headers)  # the first line, the number's end, the empty line
    size = head_size + len(payload)
    if size > limit:
        raise make_too_big(subject, len(payload), limit)
    return b"HPUB %b %d %d\r\nNATS/1.0\r\n%b%d\r\n%b\r\n%b\r\n" % (
        subject.encode(),
        head_size,
        size,
        mark,
        number,
        headers,
        payload,
    )


def parse_header(head: bytes | None, name: str) -> str | None:
    """The first value of a header in a raw block."""
    if head is None:
        return None
    mark = b"\r\n" + name.encode() + b":"
    at = head.find(mark)
    if at < 0:
        return None
    at += len(mark)
    return head[at : head.find(b"\r\n", at)].strip().decode()


def parse_status(head: bytes | None) -> int:
    """The status of a raw block, 0 without one."""
    if head is None or head[8:9] != b" ":
        return 0
    digits = head[9:12]
    return int(digits) if digits.isdigit() else 0


def parse_description(head: bytes | None) -> str:
    """The words after the status."""
    if head is None:
        return ""
    return head[12 : head.find(b"\r\n")].strip().decode()


def split_ack_subject(reply: bytes) -> list[bytes]:
    """The tokens of a `$JS.ACK` subject of 9, or of 11 and more (domain and account hash after `ACK`, left out here).

    Raises BusError for anything else. In order: `$JS`, `ACK`, then the fields of AckToken.
    """
    tokens = reply.split(b".")
    if len(tokens) >= 11:
        del tokens[2:4]
    if len(tokens) < 9 or tokens[1] != b"ACK":
        raise BusError(f"not an ack subject: {reply!r}")
    return tokens


def parse_ack_token(reply: bytes) -> AckToken:
    """Read a `$JS.ACK` subject; raises BusError for anything else."""
    tokens = split_ack_subject(reply)
    return AckToken(
        tokens[2].decode(),
        tokens[3].decode(),
        int(tokens[4]),
        int(tokens[5]),
        int(tokens[6]),
        int(tokens[7]) // 1000,
        int(tokens[8]),
    )


def make_error(error: ApiError, subject: str) -> BusError:
    """The exception for a JetStream error."""
    text = f"{subject}: {error.description} ({error.err_code or error.code})"
    if error.err_code in WRONG_LAST_SEQUENCE:
        return RefusedError(text, code=error.err_code)
    if error.code == 404:
        cure = NO_STREAM_CURE if error.err_code == _NO_STREAM else ""
        return NotFoundError(text, code=error.err_code or 404, cure=cure)
    return BusError(text, code=error.err_code or error.code)


def raise_for_error(payload: bytes, subject: str) -> None:
    """Raise what a JetStream API answer refuses with; BusError too for an answer that is not JSON."""
    try:
        error = _answer_decoder.decode(payload).error
    except msgspec.MsgspecError as err:
        raise BusError(f"{subject}: the answer is not JSON") from err
    if error is not None:
        raise make_error(error, subject)


def make_too_big(subject: str, size: int, limit: int) -> BusError:
    """The exception for a message that the server would not take, with the code that JetStream has for it."""
    return BusError(f"{subject}: {size} bytes and headers are over the server's limit of {limit}", code=10054)


def parse_time_us(text: str) -> int:
    """µs since the epoch of an RFC 3339 time, nanoseconds cut off; ValueError."""
    return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND


def parse_server_time_us(payload: bytes) -> int:
    """The server's time in an answer that tells it as `ts` or `server.time`; ValueError, MsgspecError."""
    clock = _clock_decoder.decode(payload)
    text = clock.ts or (clock.server.time if clock.server is not None else None)
    if text is None:
        raise ValueError("no time in the answer")
    return parse_time_us(text)
