"""Alerts and dashboard name only what is counted, fire where they should, and each has a page to go to."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from jetmill.worker.metric import Metrics as WorkerMetrics
from jetmill_operator.reconcile.metric import Metrics as OperatorMetrics
from support.chart import CHART, ROOT, VALUES, find, render

RULES = CHART / "files" / "rules.yaml"
CASES = Path(__file__).parent / "rules.test.yaml"
CURE = "there is no promtool: apt-get install prometheus (Debian), or put promtool on the PATH"


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool") or shutil.which("promtool", path=str(ROOT / "build/promtool/usr/bin"))
    if found is None:
        pytest.skip(CURE)
    return found


class Everything:
    """Gauges with a value each, whatever is asked for."""

    def __getattr__(self, name: str) -> float:
        return 1.0


def counted() -> set[str]:
    """The name of every series that operator and workers can show."""
    worker = WorkerMetrics(namespace="shop")
    worker.gauges = Everything()  # type: ignore[assignment]
    worker.of("send-email").reasons["exhausted"] = 1
    operator = OperatorMetrics()
    operator.gauges = Everything()  # type: ignore[assignment]
    operator.count_slots("shop", planned=1, withdrawn=0, missed=0)
    names = set()
    for family in (*worker.collect(), *operator.collect()):
        names |= {family.name, *(sample.name for sample in family.samples)}
        if family.type == "counter":
            names.add(f"{family.name}_total")
        if family.type == "histogram":
            names |= {f"{family.name}_{part}" for part in ("bucket", "sum", "count")}
    return names


def named(expression: str) -> set[str]:
    return set(re.findall(r"\bjetmill_\w+", expression))


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((CHART / "files/dashboard.json").read_text())["panels"]
    return found


def test_every_metric_that_an_alert_or_a_panel_names_is_counted() -> None:
    expressions = [rule["expr"] for rule in alerts()] + [panel["targets"][0]["expr"] for panel in panels()]
    assert len(expressions) > 20
    for expression in expressions:
        assert named(expression), expression
        assert named(expression) <= counted(), expression


def test_what_does_not_exist_would_be_seen() -> None:
    assert not named('rate(jetmill_jobs_lost_total{job="x"}[5m])') <= counted()
    assert {"jetmill_jobs_finished_total", "jetmill_leader", "jetmill_job_run_duration_seconds_bucket"} <= counted()


def test_alerts_fire_where_they_should_and_not_elsewhere(promtool: str) -> None:
    for command in (["check", "rules", str(RULES)], ["test", "rules", str(CASES)]):
        done = subprocess.run([promtool, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tested_to_fire_and_explained() -> None:
    cases = [case for test in yaml.safe_load(CASES.read_text())["tests"] for case in test["alert_rule_test"]]
    fire = {case["alertname"] for case in cases if case["exp_alerts"]}
    headings = {
        f"docs/alerts.md#{title.lower()}"
        for title in re.findall(r"^## (\w+)$", (ROOT / "docs/alerts.md").read_text(), re.MULTILINE)
    }
    assert {rule["alert"] for rule in alerts()} == fire
    assert {rule["annotations"]["runbook_url"] for rule in alerts()} == headings
    assert {rule["labels"]["severity"] for rule in alerts()} <= {"info", "warning", "critical"}


def test_the_chart_carries_them_as_they_stand() -> None:
    manifests = render(VALUES["monitored"])
    rule = find(manifests, "PrometheusRule", "jetmill")
    assert rule["spec"] == yaml.safe_load(RULES.read_text())
    dashboard = find(manifests, "ConfigMap", "jetmill-dashboard")
    assert json.loads(dashboard["data"]["jetmill.json"])["panels"] == panels()


def test_the_gateway_is_scraped_where_it_is() -> None:
    manifests = render(VALUES["gateways"] | {"metrics": {"serviceMonitor": {"enabled": True}}})
    monitor = find(manifests, "ServiceMonitor", "jetmill-gateway")["spec"]
    service = find(manifests, "Service", "jetmill-gateway")
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert [one["port"] for one in monitor["endpoints"]] == [one["name"] for one in service["spec"]["ports"]]


def test_labels_of_jobs_are_not_overwritten_when_they_are_scraped() -> None:
    manifests = render(VALUES["monitored"])
    for kind, name, field in (
        ("ServiceMonitor", "jetmill-operator", "endpoints"),
        ("PodMonitor", "jetmill-worker", "podMetricsEndpoints"),
    ):
        for endpoint in find(manifests, kind, name)["spec"][field]:
            assert endpoint["honorLabels"] is True
