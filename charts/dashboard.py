"""The Grafana dashboard of the chart: what a person looks at first, top down. `charts/generate.py` writes it."""

from __future__ import annotations

import json
from typing import Any

Panel = dict[str, Any]
WHERE = 'namespace=~"$namespace", job=~"$queue"'


def rate(metric: str, by: str) -> str:
    """How often, by labels besides those of the Job."""
    labels = ", ".join(["namespace", "job", *by.split()])
    return f"sum by ({labels}) (rate({metric}{{{WHERE}}}[$__rate_interval]))"


def p95(metric: str) -> str:
    """The 95th percentile of a histogram of seconds."""
    return f"histogram_quantile(0.95, {rate(metric + '_bucket', 'le')})"


def now(metric: str, *more: str) -> str:
    """A gauge of each Job."""
    return f"max by (namespace, job) ({metric}{{{', '.join([WHERE, *more])}}})"


def ratio(part: str, whole: str) -> str:
    """Of two gauges of a namespace."""
    part, whole = (f'sum by (namespace) ({metric}{{namespace=~"$namespace"}})' for metric in (part, whole))
    return f"{part} / {whole}"


RECONCILES = "sum by (kind, result) (rate(jetmill_reconcile_total[$__rate_interval]))"
PANELS: tuple[tuple[str, str, str, str], ...] = (
    ("Jobs that wait", "short", "{{job}}", now("jetmill_queue_depth", 'state="ready"')),
    ("Jobs that run", "short", "{{job}}", now("jetmill_queue_depth", 'state="in_flight"')),
    ("Jobs for later", "short", "{{job}}", now("jetmill_queue_depth", 'state="delayed"')),
    ("Workers wanted", "short", "{{job}}", now("jetmill_autoscaler_desired_replicas")),
    ("Slots in use", "percentunit", "{{namespace}}", ratio("jetmill_worker_slots_in_use", "jetmill_worker_slots")),
    ("Jobs finished", "ops", "{{job}} {{outcome}}", rate("jetmill_jobs_finished_total", "outcome")),
    ("Failed for good", "ops", "{{job}} {{reason}}", rate("jetmill_job_failures_total", "reason")),
    ("Attempts by result", "ops", "{{job}} {{result}}", rate("jetmill_job_attempts_total", "result")),
    ("Redeliveries", "ops", "{{job}}", rate("jetmill_job_redeliveries_total", "")),
    ("Start latency, p95", "s", "{{job}}", p95("jetmill_job_queue_latency_seconds")),
    ("Run time, p95", "s", "{{job}}", p95("jetmill_job_run_duration_seconds")),
    ("End to end, p95", "s", "{{job}}", p95("jetmill_job_end_to_end_seconds")),
    ("Connected to NATS", "bool", "{{pod}}", 'jetmill_nats_connected{namespace=~"$namespace|"}'),
    ("Leader", "bool", "{{pod}}", "jetmill_leader"),
    (
        "Reconciles",
        "ops",
        "{{kind}} {{result}}",
        "sum by (kind, result) (rate(jetmill_reconcile_total[$__rate_interval]))",
    ),
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
                _variable("namespace", "label_values(jetmill_queue_depth, namespace)", source),
                _variable("queue", 'label_values(jetmill_queue_depth{namespace=~"$namespace"}, job)', source),
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
