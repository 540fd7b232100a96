"""Options that several commands of the operator's wheel have: written once, they mean the same everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

Kubeconfig = Annotated[
    str | None, typer.Option("--kubeconfig", help="The kubeconfig [KUBECONFIG, in a pod its own]", show_default=False)
]
NatsUrl = Annotated[
    str | None, typer.Option("--nats-url", "-s", help="Where NATS is [JETMILL_NATS_URL]", show_default=False)
]
Namespaces = Annotated[
    list[str] | None,
    typer.Option("--namespace", "-n", help="A namespace to serve; several times [JETMILL_WATCH_NAMESPACES]"),
]
HealthPort = Annotated[
    int | None,
    typer.Option("--health-port", min=0, max=65_535, help="Of /livez, /readyz, /metrics [JETMILL_HEALTH_PORT]"),
]
LogLevel = Annotated[str | None, typer.Option("--log-level", help="debug, info, warning, error [JETMILL_LOG_LEVEL]")]
