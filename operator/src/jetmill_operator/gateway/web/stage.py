"""What uvicorn serves from the first moment on: until NATS is there, that the process lives and why it is not ready.

A gateway that began to listen only then would be killed by its liveness probe for an outage that is not its own.
"""

from __future__ import annotations

import msgspec

from jetmill_operator.gateway.web.front import SECURITY, Application, Receive, Scope, Send
from jetmill_operator.gateway.web.problem import MEDIA_TYPE, make_problem


class Stage:
    """An ASGI application that gets another one to play later."""

    def __init__(self) -> None:
        self.app: Application | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if self.app is not None:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await _answer(scope["path"], send)
        elif scope["type"] == "websocket":
            await receive()
            await _refuse(scope, send)


async def _refuse(scope: Scope, send: Send) -> None:
    """A handshake is answered as any request is, where the server can: closed, it would be a 403 to the client."""
    if "websocket.http.response" in scope.get("extensions", {}):
        await _answer(scope["path"], send, kind="websocket.http.response")
    else:
        await send({"type": "websocket.close", "code": 1013})


async def _answer(path: str, send: Send, *, kind: str = "http.response") -> None:
    status, media, body = 503, MEDIA_TYPE, b""
    if path == "/livez":
        status, media, body = 200, "text/plain; charset=utf-8", b"ok\n"
    elif path == "/readyz":
        media, body = "text/plain; charset=utf-8", b"nats: it was not reached yet\n"
    else:
        body = msgspec.json.encode(make_problem("bus-unavailable", "NATS was not reached yet"))
    headers = [(b"content-type", media.encode()), (b"content-length", str(len(body)).encode()), *SECURITY]
    if status == 503:
        headers.append((b"retry-after", b"2"))
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})
