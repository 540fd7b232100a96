"""Secrets, read when a request is signed: what a Secret says now is what signs, a few seconds later at the most.

They are kept nowhere but in this process's memory, for those seconds; errors name the Secret and never show it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections.abc import Awaitable, Callable, Mapping

from jetmill.errors import InputError, JetmillError
from jetmill.protocol.record import SecretKey
from jetmill_operator.cluster.errors import ClusterError
from jetmill_operator.cluster.ports import SECRET, Body, Cluster
from jetmill_operator.dispatch.signature import parse_secrets

KEPT_SECONDS = 5.0
"""At 500 deliveries a second nobody should ask the API server 500 times."""

ReadSecret = Callable[[str, str], Awaitable[Mapping[str, bytes] | None]]
"""What a Secret of a namespace holds; None: there is none. ClusterError."""


class SecretError(JetmillError):
    """There is nothing to sign with; nothing is sent unsigned in its stead."""


class Secrets:
    """The Secrets of all namespaces."""

    def __init__(self, read: ReadSecret, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._kept: dict[tuple[str, str], tuple[float, Mapping[str, bytes]]] = {}
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}

    async def find(self, namespace: str, wanted: SecretKey) -> list[bytes]:
        """The secrets under a key; SecretError that says what is missing."""
        held = await self._find(namespace, wanted.name)
        data = held.get(wanted.key)
        if data is None:
            raise SecretError(
                f"there is no key {wanted.key} in Secret {wanted.name}", cure="add it, or name another key"
            )
        try:
            return parse_secrets(data)
        except InputError as err:
            raise SecretError(f"key {wanted.key} of Secret {wanted.name}: {err.message}", cure=err.cure) from err

    async def _find(self, namespace: str, name: str) -> Mapping[str, bytes]:
        place = (namespace, name)
        async with self._locks.setdefault(place, asyncio.Lock()):
            kept = self._kept.get(place)
            if kept is not None and self._clock() - kept[0] < KEPT_SECONDS:
                return kept[1]
            self._kept.pop(place, None)
            try:
                held = await self._read(namespace, name)
            except ClusterError as err:
                raise SecretError(f"Secret {name} cannot be read: {err.message}", cure=err.cure) from err
            if held is None:
                raise SecretError(f"there is no Secret {name} in namespace {namespace}", cure="create it")
            self._kept[place] = (self._clock(), held)
            return held


def read_from(cluster: Cluster | None) -> ReadSecret:
    """Read the Secrets of a cluster, where there is one."""

    async def read(namespace: str, name: str) -> Mapping[str, bytes] | None:
        body = None if cluster is None else await cluster.get(SECRET, namespace, name)
        return None if body is None else _decode(body)

    return read


def _decode(body: Body) -> Mapping[str, bytes]:
    held: dict[str, bytes] = {}
    for key, text in (body.get("data") or {}).items():
        try:
            held[key] = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            continue  # an API server lets none in
    return held
