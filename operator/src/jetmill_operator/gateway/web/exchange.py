"""One request and its answer, as all that handle them know it: who asked, what was decided, how it is told apart."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from jetmill_operator.gateway.access.authenticate import Caller
from jetmill_operator.gateway.access.authorize import Permit
from jetmill_operator.gateway.access.rate import Allowance
from jetmill_operator.gateway.access.right import Right

KEY = "jetmill.exchange"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


@dataclass(slots=True)
class Exchange:
    """Made when the request comes; filled in as more is known."""

    request_id: str
    began: float = field(default_factory=time.monotonic)
    caller: Caller | None = None
    right: Right | None = None
    permit: Permit | None = None
    allowance: Allowance | None = None
    job_id: str = ""
    decision: str = ""
    """allowed or denied; "": nothing was asked."""
    status: int = 0
    refusal: tuple[bytes, dict[str, str]] | None = None
    """The problem (JSON) and headers that a websocket's handshake is refused with; its status in `status`."""
    failed: bool = False
    """A defect of ours was logged already."""

    @property
    def user(self) -> str:
        """Who asked, "" if nobody knows."""
        return "" if self.caller is None else self.caller.identity.name


def begin_exchange(scope: Any) -> Exchange:
    """Begin one, under the id that the client (or the proxy) gave if that is usable."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    text = given.decode("latin-1")
    exchange = Exchange(text if _REQUEST_ID.fullmatch(text) else secrets.token_hex(12))
    scope[KEY] = exchange
    return exchange


def exchange_of(scope: Any) -> Exchange:
    """That of a connection; one of its own where nothing stands in front of the application."""
    found = scope.get(KEY)
    return found if isinstance(found, Exchange) else begin_exchange(scope)
