"""Signing a request, pure: Standard Webhooks (HMAC-SHA256, `v1`), or one header with the HMAC of the body alone.

Several secrets all sign: while one is replaced by another, a receiver may know either. See
https://www.standardwebhooks.com and `docs/webhooks.md`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Literal

from jetmill.errors import InputError

PREFIX = "whsec_"


def parse_secrets(data: bytes) -> list[bytes]:
    """The secrets that a value of a Secret holds, one a line: `whsec_` and base64, or the very text. InputError, which
    never shows one.
    """
    try:
        lines = [line.strip() for line in data.decode().splitlines()]
    except UnicodeDecodeError as err:
        raise InputError("the secret is no text", cure="write `whsec_` and 32 random bytes in base64") from err
    found = [_parse_secret(line) for line in lines if line]
    if not found:
        raise InputError("the secret is empty", cure="write `whsec_` and 32 random bytes in base64")
    return found


def _parse_secret(line: str) -> bytes:
    if not line.startswith(PREFIX):
        return line.encode()
    try:
        secret = base64.b64decode(line.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as err:
        raise InputError(f"what follows {PREFIX} is no base64", cure="encode the random bytes in base64") from err
    if not secret:
        raise InputError(f"nothing follows {PREFIX}", cure="write 32 random bytes in base64 behind it")
    return secret


def sign(
    secrets: Sequence[bytes], body: bytes, *, message_id: str, timestamp: int, way: Literal["standard", "plain"]
) -> dict[str, str]:
    """The headers that identify and sign a request; `timestamp` is of the attempt, whole seconds since the epoch."""
    headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    if way == "plain":
        return headers | (
            {"x-signature": ",".join(f"sha256={_digest(one, body).hex()}" for one in secrets)} if secrets else {}
        )
    signed = f"{message_id}.{timestamp}.".encode() + body
    signatures = [f"v1,{base64.b64encode(_digest(one, signed)).decode()}" for one in secrets]
    return headers | ({"webhook-signature": " ".join(signatures)} if signatures else {})


def _digest(secret: bytes, message: bytes) -> bytes:
    return hmac.new(secret, message, hashlib.sha256).digest()
