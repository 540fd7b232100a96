"""The tables of the REST reference are those of the code."""

from __future__ import annotations

from pathlib import Path

from litestar.handlers import HTTPRouteHandler

from jetmill_operator.gateway.web.app import HANDLERS
from jetmill_operator.gateway.web.guard import known_parameters, right_of
from jetmill_operator.gateway.web.route import dashboard
from jetmill_operator.gateway.web.route.listing import get_statistics, group_jobs, list_jobs

TEXT = (Path(__file__).parents[3] / "docs/rest.md").read_text()


def test_every_route_is_documented_with_its_right() -> None:
    missing = []
    for handler in HANDLERS:
        if not isinstance(handler, HTTPRouteHandler) or handler in dashboard.HANDLERS:
            continue
        right = right_of(handler)
        said = f"`{right}`" if right is not None and right.resource else f"{right}"
        missing += [
            path
            for path in handler.paths
            for method in handler.http_methods
            if not any(
                line.startswith(f"| `{method} {path.replace(':str', '')}` |") and line.endswith(f"| {said} |")
                for line in TEXT.splitlines()
            )
        ]
    assert missing == []


def test_every_filter_is_documented() -> None:
    known = known_parameters(list_jobs) | known_parameters(group_jobs) | known_parameters(get_statistics)
    assert {"state", "label", "createdAfter", "by", "step"} <= known
    assert [name for name in sorted(known - {"namespace"}) if f"`{name}`" not in TEXT] == []
