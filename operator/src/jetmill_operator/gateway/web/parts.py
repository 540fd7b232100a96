"""What the application is made of: given to the factory, so that tests and `jetmill dev` may give other parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jetmill.bus.ports import Trunk
from jetmill_operator.cluster.ports import Cluster, Kind
from jetmill_operator.gateway.access.authenticate import Authenticator
from jetmill_operator.gateway.access.authorize import Authorizer, KubeAuthorizer, LetAll
from jetmill_operator.gateway.access.ports import Reviewer
from jetmill_operator.gateway.access.rate import Limiter
from jetmill_operator.gateway.access.seal import read_key
from jetmill_operator.gateway.access.session import Sessions
from jetmill_operator.gateway.projection import Projection
from jetmill_operator.gateway.settings import GatewaySettings
from jetmill_operator.gateway.stream.backplane import Backplane
from jetmill_operator.gateway.web.metric import Metrics
from jetmill_operator.gateway.web.served import Namespaces

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

FAILURES_PER_SECOND, FAILURES_BURST = 1.0, 30
"""How often one address may show credentials that are not accepted: each may cost a question to the API server."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a cluster's objects come from besides those who declare them here."""

    find_file: Callable[[Kind, str, str], str | None] = lambda _kind, _namespace, _name: None
    """The file that declares an object; None: none does, or nobody knows."""
    image: str = ""
    """That of Jobs which name none, where they run without pods; "": they have to name one."""


@dataclass(slots=True)
class GatewayParts:
    """One gateway."""

    settings: GatewaySettings
    namespaces: Namespaces
    authenticator: Authenticator
    authorizer: Authorizer
    limiter: Limiter
    failures: Limiter
    metrics: Metrics
    backplane: Backplane
    cluster: Cluster | None = None
    """Holds what is declared; None: this gateway reaches none."""
    ground: Ground = Ground()
    projection: Projection | None = None
    """Every job that there is, for lists; None: not opened yet."""
    collectors: list[Collector] = field(default_factory=list)
    """What else `/metrics` has."""
    checks: dict[str, Callable[[], str | None]] = field(default_factory=dict)
    """What has to be well for `/readyz`, by name; None: it is."""


def build_parts(settings: GatewaySettings, trunk: Trunk, reviewer: Reviewer | None) -> GatewayParts:
    """Put the parts together; ConfigError for a key that cannot be used."""
    sessions = Sessions(read_key(settings.key_file), session_seconds=settings.session_seconds)
    authenticator = Authenticator(reviewer, sessions)
    authorizer = LetAll() if reviewer is None else KubeAuthorizer(reviewer)
    namespaces = Namespaces(trunk, settings.namespaces)
    backplane = Backplane(lambda name: namespaces[name].bus if name in namespaces else None)
    parts = GatewayParts(
        settings=settings,
        namespaces=namespaces,
        authenticator=authenticator,
        authorizer=authorizer,
        limiter=Limiter(per_second=settings.rate_per_second, burst=settings.rate_burst),
        failures=Limiter(per_second=FAILURES_PER_SECOND, burst=FAILURES_BURST),
        metrics=Metrics(trunk, authenticator, authorizer, backplane),
        backplane=backplane,
    )
    parts.checks["nats"] = lambda: None if trunk.connected else "NATS is away"
    return parts


def parts_of(connection: Any) -> GatewayParts:
    """The parts of the application that a connection came to."""
    parts: GatewayParts = connection.app.state.parts
    return parts
