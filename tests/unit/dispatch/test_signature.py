"""Signatures as the specification words them, and as its own library reads them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from jetmill.errors import InputError
from jetmill_operator.dispatch.signature import parse_secrets, sign

NEW, OLD = b"n" * 32, b"o" * 32
BODY = '{"type":"order.paid","data":{"name":"Zoë"}}'.encode()


def now() -> int:
    return int(datetime.now(UTC).timestamp())


def encode(secret: bytes) -> str:
    return "whsec_" + base64.b64encode(secret).decode()


def test_the_library_of_the_specification_verifies_what_is_sent() -> None:
    headers = sign([NEW], BODY, message_id="d1", timestamp=now(), way="standard")
    assert Webhook(encode(NEW)).verify(BODY, headers) == {"type": "order.paid", "data": {"name": "Zoë"}}


@pytest.mark.parametrize("known", [NEW, OLD])
def test_while_a_secret_is_replaced_whoever_knows_one_of_them_verifies(known: bytes) -> None:
    secrets = parse_secrets(f"{encode(NEW)}\n{encode(OLD)}\n".encode())
    headers = sign(secrets, BODY, message_id="d1", timestamp=now(), way="standard")
    Webhook(encode(known)).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(encode(b"x" * 32)).verify(BODY, headers)


@pytest.mark.parametrize("change", ["id", "timestamp", "body"])
def test_nothing_that_is_signed_can_be_changed(change: str) -> None:
    headers = sign([NEW], BODY, message_id="d1", timestamp=now(), way="standard")
    body = BODY
    match change:
        case "id":
            headers["webhook-id"] = "d2"
        case "timestamp":
            headers["webhook-timestamp"] = str(now() - 1)
        case _:
            body = BODY.replace(b"paid", b"free")
    with pytest.raises(WebhookVerificationError):
        Webhook(encode(NEW)).verify(body, headers)


def test_the_plain_way_is_the_hmac_of_the_body_in_hexadecimal() -> None:
    headers = sign([b"my secret"], BODY, message_id="d1", timestamp=7, way="plain")
    assert headers == {
        "webhook-id": "d1",
        "webhook-timestamp": "7",
        "x-signature": "sha256=" + hmac.new(b"my secret", BODY, hashlib.sha256).hexdigest(),
    }


@pytest.mark.parametrize("way", ["standard", "plain"])
def test_without_a_secret_a_request_is_identified_and_not_signed(way) -> None:
    headers = sign([], BODY, message_id="d1", timestamp=7, way=way)
    assert headers == {"webhook-id": "d1", "webhook-timestamp": "7"}


def test_a_text_without_the_prefix_is_the_secret_itself() -> None:
    assert parse_secrets(b"correct horse\n\n  battery staple \r\n") == [b"correct horse", b"battery staple"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b" \n ", "empty"),
        (b"whsec_", "nothing follows"),
        (b"whsec_!", "no base64"),
        (b"\xff", "no text"),
    ],
)
def test_a_secret_that_cannot_sign_is_refused_without_being_shown(data: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_secrets(data)


def test_a_refusal_never_shows_the_secret() -> None:
    with pytest.raises(InputError) as caught:
        parse_secrets(b"whsec_not~base64~at~all")
    assert "not~base64" not in str(caught.value)


@given(st.binary(min_size=1, max_size=64), st.binary(max_size=200), st.integers(0, 2**40))
def test_a_signature_is_that_of_id_time_and_body(secret: bytes, body: bytes, timestamp: int) -> None:
    signed = sign([secret], body, message_id="d1", timestamp=timestamp, way="standard")["webhook-signature"]
    wanted = hmac.new(secret, f"d1.{timestamp}.".encode() + body, hashlib.sha256).digest()
    assert signed == "v1," + base64.b64encode(wanted).decode()
