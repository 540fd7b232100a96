"""A gateway for tests: real uvicorn on loopback, real NATS, and who may what by a table instead of an API server."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from litestar import Litestar

from jetmill.bus.connect import BusOptions, connect_trunk
from jetmill.bus.ports import Bus, Trunk
from jetmill.client.settings import ClientSettings
from jetmill.protocol.record import JobSettings
from jetmill_operator.cluster.ports import Cluster
from jetmill_operator.gateway.access.errors import AccessUnavailableError
from jetmill_operator.gateway.access.identity import Identity
from jetmill_operator.gateway.access.ports import Question, Reviewer, Verdict
from jetmill_operator.gateway.access.right import PLURALS
from jetmill_operator.gateway.settings import GatewaySettings
from jetmill_operator.gateway.web.app import make_app
from jetmill_operator.gateway.web.front import Front
from jetmill_operator.gateway.web.parts import GatewayParts, build_parts
from jetmill_operator.gateway.web.projecting import run_projection
from jetmill_operator.gateway.web.server import make_server, open_socket

NAMESPACE = "shop"
OTHER = "office"
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody. Each client would make its own, in 3 ms (40 ms with certificates), which is longer than a request."""


READS = (
    "get jobs/runs",
    "list jobs/runs",
    "watch jobs/runs",
    "list jobs/workers",
    "list jobs/queues",
    "get jobs/logs",
    "watch jobs/events",
    "list jobs/events",
    "list jobs/subscriptions",
    "watch jobs/messages",
    "list webhooks/deliveries",
    "get webhooks/deliveries",
)
WRITES = (
    "create jobs/runs",
    "create jobs/cancel",
    "create jobs/retry",
    "create jobs/discard",
    "create jobs/reschedule",
    "create jobs/messages",
    "create jobs/events",
    "update jobs/subscriptions",
    "delete jobs/subscriptions",
    "create scheduledjobs/trigger",
    "create webhooks/redeliver",
    "create webhooks/recover",
    "create webhooks/test",
    "create webhooks/enable",
)
SECRETS = ("get jobs/payload", "get jobs/result")
DECLARATIONS = tuple(
    f"{verb} {plural}" for plural in PLURALS for verb in ("list", "get", "create", "update", "patch", "delete")
)


@dataclass
class TableReviewer:
    """The port `Reviewer` by tables: tokens to identities, and what each user may."""

    tokens: dict[str, Identity] = field(default_factory=dict)
    grants: set[tuple[str, str, str, str, str]] = field(default_factory=set)
    """User, verb, resource, namespace, Job ("": any)."""
    away: bool = False
    asked: list[str] = field(default_factory=list)

    async def review_token(self, token: str) -> Identity | None:
        self._answer("token")
        return self.tokens.get(token)

    async def review_access(self, identity: Identity, question: Question) -> Verdict:
        right = question.right
        self._answer(f"{identity.name} {right}")
        where = (right.verb, right.resource, question.namespace)
        allowed = {"", question.job}
        return Verdict(any((identity.name, *where, job) in self.grants for job in allowed))

    def allow(self, user: str, *rights: str, namespace: str = NAMESPACE, job: str = "") -> None:
        """Let somebody do what `rights` say: "get jobs/runs"."""
        for right in rights:
            verb, resource = right.split()
            self.grants.add((user, verb, resource, namespace, job))

    def _answer(self, question: str) -> None:
        self.asked.append(question)
        if self.away:
            raise AccessUnavailableError("the Kubernetes API cannot be asked now")


def make_reviewer() -> TableReviewer:
    """A viewer, an editor, somebody of another namespace, one who may only mail, an administrator, and one who may
    nothing; the token of each is `token-of-NAME`.
    """
    reviewer = TableReviewer()
    for name in ("viewer", "editor", "stranger", "mailer", "admin", "nobody"):
        reviewer.tokens[f"token-of-{name}"] = Identity(name=name, groups=("system:authenticated",))
    reviewer.allow("viewer", *READS)
    reviewer.allow("editor", *READS, *WRITES)
    reviewer.allow("stranger", *READS, *WRITES, *SECRETS, namespace=OTHER)
    reviewer.allow("mailer", *READS, *WRITES, *SECRETS, *DECLARATIONS, job="mail")
    for namespace in (NAMESPACE, OTHER):
        reviewer.allow("admin", *READS, *WRITES, *SECRETS, *DECLARATIONS, namespace=namespace)
    return reviewer


@dataclass
class RunningGateway:
    """One that serves."""

    url: str
    parts: GatewayParts

    def client(self, token: str = "", **headers: str) -> httpx.AsyncClient:
        """An HTTP client, as whoever has the token."""
        given = headers | ({"Authorization": f"Bearer {token}"} if token else {})
        return httpx.AsyncClient(base_url=self.url, headers=given, timeout=60.0, trust_env=False, verify=_NO_TLS)


@asynccontextmanager
async def serve(
    nats_url: str,
    reviewer: Reviewer | None = None,
    *,
    trunk: Trunk | None = None,
    cluster: Cluster | None = None,
    more: Any = (),
    **settings: Any,
) -> AsyncIterator[RunningGateway]:
    """Serve on a free port of loopback until the block ends."""
    given = GatewaySettings(
        connection=ClientSettings(url=nats_url), auth="none" if reviewer is None else "kubernetes", port=0
    )
    given = replace(given, **({"namespaces": (NAMESPACE, OTHER)} | settings))
    own = trunk or await connect_trunk(BusOptions(url=nats_url))
    parts = build_parts(given, own, reviewer)
    parts.cluster = cluster
    listener = open_socket(given.host, given.port)
    try:
        app = _build_app(parts, more)
        server = make_server(Front(app, parts), given)
        async with run_projection(parts):
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                yield RunningGateway(f"http://127.0.0.1:{listener.getsockname()[1]}", parts)
            finally:
                parts.backplane.shut()
                server.stop()
                await serving
        if not more:
            _apps.append(app)
    finally:
        listener.close()
        await parts.backplane.close()
        await parts.namespaces.close()
        await own.close()


_apps: list[Litestar] = []
"""Applications whose gateway has ended."""


def _build_app(parts: GatewayParts, more: Any) -> Litestar:
    """An application for these parts, which are all that it keeps: building one takes longer than most tests."""
    if more or not _apps:
        return make_app(parts, more=more)
    app = _apps.pop()
    app.state.parts = parts
    return app


async def declare(bus: Bus, *jobs: str, **settings: Any) -> None:
    """Declare Jobs as the operator would."""
    await bus.admin.apply_namespace()
    for job in jobs:
        await bus.admin.apply_job(JobSettings(job=job, **settings))


def parameters(path: str, values: Mapping[str, str]) -> str:
    """A path template with its parameters filled in."""
    for name, value in values.items():
        path = path.replace(f"{{{name}:str}}", value)
    return path
