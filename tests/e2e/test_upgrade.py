"""A release to its last minute: upgraded, then uninstalled. The last file, for the others need the release."""

from __future__ import annotations

import json

import pytest

from support.release import Release, names, run_cli
from support.wait import eventually


async def test_an_upgrade_that_adds_a_namespace_restarts_no_nats(release: Release) -> None:
    release.open_shop()

    def nats_pod() -> tuple[str, int]:
        pod = next(one for one in release.get("pods", "-l", "app.kubernetes.io/component=nats", namespace=release.home))
        return pod["metadata"]["uid"], sum(one["restartCount"] for one in pod["status"]["containerStatuses"])

    before = nats_pod()
    more = f"{release.home}-more"
    watched = release.values().get("watchNamespaces")
    release.install(
        namespaces=[{"name": release.shop}, {"name": more, "create": True}],
        **({"watchNamespaces": [*watched, more]} if watched else {}),
    )
    try:
        await eventually(
            lambda: len(release.get("secrets", namespace=more)) == 2,
            seconds=300,
            what="the logins of the new namespace",
        )
        assert nats_pod() == before
        with release.forwarded() as environ:
            run_cli(environ, "job", "run", "send-email", "--payload", '{"to": "a", "subject": "b"}')
    finally:
        release.install()
        release.kubectl("delete", "namespace", more, "--wait=false")


async def test_an_uninstall_leaves_what_keep_says_and_nothing_else(release: Release) -> None:
    declared = names(release.get("jobs.jetmill.dev"))
    assert declared
    release.helm("uninstall", release.name, "--wait")
    ours = "deployments,statefulsets,services,secrets,leases,roles,rolebindings"
    await eventually(lambda: names(release.get(ours, namespace=release.home)) == [], every_seconds=0.5)
    theirs = "deployments,secrets,poddisruptionbudgets,roles,rolebindings"
    await eventually(lambda: names(release.get(theirs)) == [], every_seconds=0.5)
    jobs = release.get("jobs.jetmill.dev")
    assert names(jobs) == declared
    assert not any(one["metadata"].get("finalizers") for one in jobs)
    claims = release.get("persistentvolumeclaims", namespace=release.home)
    assert [one["metadata"]["name"] for one in claims] == [f"data-{release.name}-nats-0"]
    roles = json.loads(release.kubectl("get", "clusterroles,clusterrolebindings", "-o", "json"))["items"]
    assert [one for one in roles if one["metadata"]["name"].startswith(f"{release.home}:")] == []


@pytest.mark.parametrize("kind", ["jobs", "scheduledjobs", "webhooks"])
def test_definitions_are_kept(release: Release, kind: str) -> None:
    assert release.kubectl("get", "customresourcedefinition", f"{kind}.jetmill.dev", "-o", "name")
