"""Texts that only we can have written: a payload and its HMAC, under a key that every gateway of one installation has.

What is sealed can be read by whoever holds it, and changed by nobody. Each purpose has a key of its own, derived from
the one that is configured, so that a ticket is never a session.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from jetmill.errors import ConfigError

KEY_BYTES = 32
_LONGEST = 8_192
T = TypeVar("T")


class Seal:
    """Seals for one purpose."""

    def __init__(self, key: bytes, *, purpose: str) -> None:
        self._key = hmac.digest(key, b"jetmill gateway " + purpose.encode(), hashlib.sha256)

    def close(self, value: Any) -> str:
        """Seal a value (JSON's types, structs) as a text that fits a cookie and a query."""
        payload = msgspec.json.encode(value)
        return _encode(payload) + "." + _encode(self._sign(payload))

    def open(self, text: str, kind: type[T]) -> T | None:
        """What was sealed; None if it was not sealed by us, for this purpose."""
        if len(text) > _LONGEST or not text.isascii():
            return None
        body, _, _ = text.partition(".")
        try:
            payload = _decode(body)
            # Compared as texts: base64 has several for the same bytes, and one alone is what we wrote.
            if not hmac.compare_digest(text, _encode(payload) + "." + _encode(self._sign(payload))):
                return None
            return msgspec.json.decode(payload, type=kind)
        except (binascii.Error, msgspec.MsgspecError, ValueError):
            return None

    def digest(self, text: str) -> str:
        """A text that only we could make of this one."""
        return _encode(self._sign(text.encode()))

    def _sign(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, payload, hashlib.sha256)


def read_key(path: str) -> bytes:
    """Read the key from a file (at least 32 bytes), or make one of our own if there is no path; ConfigError."""
    if not path:
        return secrets.token_bytes(KEY_BYTES)
    try:
        key = Path(path).read_bytes().strip()
    except OSError as err:
        raise ConfigError(f"the key of sessions cannot be read: {err}", cure="see JETMILL_GATEWAY_KEY_FILE") from err
    if len(key) < KEY_BYTES:
        raise ConfigError(
            f"the key of sessions has {len(key)} bytes", cure=f"at least {KEY_BYTES}: openssl rand -base64 48"
        )
    return key


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
