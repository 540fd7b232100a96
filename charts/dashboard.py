"""The Grafana dashboard of the chart: what a person looks at first, top down. `charts/generate.py` writes it."""

from __future__ import annotations

import json
from typing import Any

Panel = dict[str, Any]
WHERE = 'namespace=~"$namespace", job=~"$queue"'
BY = "sum by (namespace, job)"

PANELS: tuple[tuple[str, str, str, str], ...] = (
    (
        "Jobs finished",
        "ops",
        "{{job}} {{outcome}}",
        f"sum by (namespace, job, outcome) (rate(jetmill_jobs_finished_total{{{WHERE}}}[$__rate_interval]))",
    ),
    (
        "Failed for good",
        "ops",
        "{{job}} {{reason}}",
        f"sum by (namespace, job, reason) (rate(jetmill_job_failures_total{{{WHERE}}}[$__rate_interval]))",
    ),
    (
        "Start latency, p95",
        "s",
        "{{job}}",
        "histogram_quantile(0.95, sum by (namespace, job, le) "
        f"(rate(jetmill_job_queue_latency_seconds_bucket{{{WHERE}}}[$__rate_interval])))",
    ),
    (
        "Run time, p95",
        "s",
        "{{job}}",
        "histogram_quantile(0.95, sum by (namespace, job, le) "
        f"(rate(jetmill_job_run_duration_seconds_bucket{{{WHERE}}}[$__rate_interval])))",
    ),
    (
        "End to end, p95",
        "s",
        "{{job}}",
        "histogram_quantile(0.95, sum by (namespace, job, le) "
        f"(rate(jetmill_job_end_to_end_seconds_bucket{{{WHERE}}}[$__rate_interval])))",
    ),
    (
        "Retries and redeliveries",
        "ops",
        "{{job}} retries",
        f"{BY} (rate(jetmill_job_retries_total{{{WHERE}}}[$__rate_interval]))",
    ),
    (
        "Attempts by result",
        "ops",
        "{{job}} {{result}}",
        f"sum by (namespace, job, result) (rate(jetmill_job_attempts_total{{{WHERE}}}[$__rate_interval]))",
    ),
    (
        "Slots in use",
        "percentunit",
        "{{namespace}}",
        'sum by (namespace) (jetmill_worker_slots_in_use{namespace=~"$namespace"})'
        ' / sum by (namespace) (jetmill_worker_slots{namespace=~"$namespace"})',
    ),
    ("Connected to NATS", "bool", "{{pod}}", 'jetmill_nats_connected{namespace=~"$namespace"}'),
)
"""Title, unit, legend and expression of each."""


def build_dashboard() -> str:
    """The dashboard as JSON; Grafana 10 or newer."""
    source = {"type": "prometheus", "uid": "${datasource}"}
    dashboard = {
        "title": "Jetmill",
        "uid": "jetmill",
        "tags": ["jetmill"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus"},
                _variable("namespace", "label_values(jetmill_jobs_finished_total, namespace)", source),
                _variable("queue", 'label_values(jetmill_jobs_finished_total{namespace=~"$namespace"}, job)', source),
            ]
        },
        "panels": [_panel(number, *panel, source=source) for number, panel in enumerate(PANELS)],
    }
    return json.dumps(dashboard, indent=2) + "\n"


def _variable(name: str, query: str, source: Panel) -> Panel:
    return {
        "name": name,
        "type": "query",
        "datasource": source,
        "query": {"query": query, "refId": name},
        "includeAll": True,
        "multi": True,
        "refresh": 2,
        "current": {"text": "All", "value": "$__all"},
    }


def _panel(number: int, title: str, unit: str, legend: str, expression: str, *, source: Panel) -> Panel:
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "datasource": source,
        "gridPos": {"h": 8, "w": 8, "x": 8 * (number % 3), "y": 8 * (number // 3)},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [{"refId": "A", "datasource": source, "expr": expression, "legendFormat": legend}],
    }
