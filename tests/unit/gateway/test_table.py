"""What the gateway can be told, what it serves and what it refuses stands in its documentation."""

from __future__ import annotations

from pathlib import Path

from litestar.handlers import HTTPRouteHandler

from jetmill_operator.gateway.settings import _VARIABLES
from jetmill_operator.gateway.web.app import HANDLERS
from jetmill_operator.gateway.web.filter import provide_filter
from jetmill_operator.gateway.web.guard import known_parameters, right_of
from jetmill_operator.gateway.web.problem import TYPES
from jetmill_operator.gateway.web.route.listing import list_jobs

TEXT = (Path(__file__).parents[3] / "docs/gateway.md").read_text()


def test_every_setting_is_documented() -> None:
    assert [name for name, _, _ in _VARIABLES.values() if f"| `{name}` |" not in TEXT] == []


def test_every_problem_is_documented_with_its_status_and_title() -> None:
    assert [name for name, (status, title) in TYPES.items() if f"| `{name}` | {status} | {title} |" not in TEXT] == []


def test_every_route_is_documented_with_its_right() -> None:
    missing = []
    for handler in HANDLERS:
        assert isinstance(handler, HTTPRouteHandler)
        for method in handler.http_methods:
            for path in handler.paths:
                place = f"`{method} {path.replace(':str', '')}`"
                line = next((line for line in TEXT.splitlines() if line.startswith(f"| {place} |")), "")
                if f"`{right_of(handler)}`" not in line:
                    missing.append(place)
    assert missing == []


def test_every_filter_is_documented() -> None:
    assert provide_filter.__doc__
    assert [name for name in known_parameters(list_jobs) - {"namespace"} if f"`{name}`" not in TEXT] == []
