"""Who gets into the gateway, asked of a real API server: tokens that it made, roles that it keeps."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jetmill.bus.connect import BusOptions, connect
from jetmill.client.client import Client
from jetmill_operator.cluster.credential import Credential, find_credential
from jetmill_operator.cluster.kube import KubeCluster
from jetmill_operator.cluster.ports import SERVICE_ACCOUNT, Body, Kind
from jetmill_operator.cluster.rest import Rest
from jetmill_operator.gateway.access.errors import AccessUnavailableError
from jetmill_operator.gateway.access.identity import Identity
from jetmill_operator.gateway.access.ports import Question
from jetmill_operator.gateway.access.review import KubeReviewer
from jetmill_operator.gateway.access.right import GROUP, READ
from support.gateway import RunningGateway, declare, serve
from support.kube import make_namespace
from support.nats import NatsServer, find_free_port
from support.right import BINDING, ROLE, request_token, write_kubeconfig
from support.wait import eventually

AUDIENCE = "jetmill"
CLUSTER_BINDING = Kind("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings")
JOBS = "/api/v1/jobs"
VIEWER = {"get": ["jobs/runs", "jobs/logs"], "list": ["jobs/runs", "jobs/workers", "jobs/queues"]}
EDITOR = {**VIEWER, "create": ["jobs/runs", "jobs/cancel", "jobs/retry", "jobs/discard", "jobs/reschedule"]}


@dataclass
class Yard:
    """Accounts in a cluster, and what they are granted."""

    kube: KubeCluster
    rest: Rest
    namespace: str

    async def account(
        self, name: str, grants: dict[str, list[str]], *, namespace: str = "", jobs: tuple[str, ...] = ()
    ) -> str:
        """Make a ServiceAccount (in the test's namespace) that may do that in `namespace`; give its token."""
        await self.kube.create(SERVICE_ACCOUNT, self._body(SERVICE_ACCOUNT, name, self.namespace))
        where = namespace or self.namespace
        rules = [
            {
                "apiGroups": [GROUP],
                "verbs": [verb],
                "resources": resources,
                **({"resourceNames": list(jobs)} if jobs else {}),
            }
            for verb, resources in grants.items()
        ]
        await self.kube.create(ROLE, self._body(ROLE, name, where) | {"rules": rules})
        binding = {
            "roleRef": {"apiGroup": ROLE.group, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": self.namespace}],
        }
        await self.kube.create(BINDING, self._body(BINDING, name, where) | binding)
        return await self.token(name)

    async def token(self, name: str, *, audience: str = AUDIENCE) -> str:
        return await request_token(self.rest, self.namespace, name, audience=audience)

    @staticmethod
    def _body(kind: Kind, name: str, namespace: str) -> Body:
        return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": {"name": name, "namespace": namespace}}


@pytest.fixture
def yard(kube: KubeCluster, rest: Rest, namespace: str) -> Yard:
    return Yard(kube, rest, namespace)


@pytest.fixture
async def reviewer(yard: Yard, credential: Credential, tmp_path: Path) -> AsyncIterator[KubeReviewer]:
    """With an account that has system:auth-delegator, and nothing else: that has to be enough."""
    own = f"jm-test-gateway-{secrets.token_hex(4)}"
    await yard.account(own, {})
    binding = {
        "apiVersion": CLUSTER_BINDING.api_version,
        "kind": CLUSTER_BINDING.name,
        "metadata": {"name": own},
        "roleRef": {"apiGroup": ROLE.group, "kind": "ClusterRole", "name": "system:auth-delegator"},
        "subjects": [{"kind": "ServiceAccount", "name": own, "namespace": yard.namespace}],
    }
    await yard.kube.create(CLUSTER_BINDING, binding)
    token = await yard.token(own, audience="")
    kubeconfig = write_kubeconfig(tmp_path / "gateway.kubeconfig", credential, token=token)
    try:
        async with Rest(find_credential(kubeconfig=str(kubeconfig)), patience_seconds=3.0) as rest:
            yield KubeReviewer(rest, audiences=(AUDIENCE,))
    finally:
        await yard.kube.delete(CLUSTER_BINDING, "", own)


@pytest.fixture
async def other(rest: Rest) -> AsyncIterator[str]:
    async with make_namespace(rest) as name:
        yield name


@pytest.fixture
async def gateway(
    nats: NatsServer, reviewer: KubeReviewer, namespace: str, other: str
) -> AsyncIterator[RunningGateway]:
    for name in (namespace, other):
        bus = await connect(BusOptions(url=nats.url, namespace=name))
        await declare(bus, "mail", "report")
        await bus.link.close()
    async with serve(nats.url, reviewer, namespaces=(namespace, other)) as running:
        yield running


@pytest.fixture
async def sdk(nats: NatsServer, namespace: str, gateway: RunningGateway) -> AsyncIterator[Client]:
    bus = await connect(BusOptions(url=nats.url, namespace=namespace))
    yield Client(bus=bus)
    await bus.link.close()


async def status_of(gateway: RunningGateway, token: str, method: str, path: str, **more: object) -> int:
    async with gateway.client(token) as client:
        return (await client.request(method, path, **more)).status_code  # type: ignore[arg-type]


async def test_only_a_token_that_was_made_for_the_gateway_is_taken(
    gateway: RunningGateway, yard: Yard, sdk: Client
) -> None:
    good = await yard.account("viewer", VIEWER)
    path = f"{JOBS}/{(await sdk.enqueue('mail')).id}"
    elsewhere = [await yard.token("viewer", audience=""), await yard.token("viewer", audience="somebody-else")]
    forged = good[:-6] + ("AAAAAA" if not good.endswith("AAAAAA") else "BBBBBB")
    for token in ("", "garbage", forged, *elsewhere):
        assert await status_of(gateway, token, "GET", path) == 401
    assert await status_of(gateway, good, "GET", path) == 200


async def test_a_viewer_and_an_editor_may_what_their_roles_say(
    gateway: RunningGateway, yard: Yard, sdk: Client, namespace: str
) -> None:
    viewer, editor = await yard.account("viewer", VIEWER), await yard.account("editor", EDITOR)
    path = f"{JOBS}/{(await sdk.enqueue('mail')).id}"
    for token, create, cancel in ((viewer, 403, 403), (editor, 201, 200)):
        assert await status_of(gateway, token, "GET", path) == 200
        assert await status_of(gateway, token, "GET", "/api/v1/queues") == 200
        assert await status_of(gateway, token, "GET", f"{path}/payload") == 403
        assert await status_of(gateway, token, "POST", JOBS, json={"job": "mail"}) == create
        assert await status_of(gateway, token, "POST", f"{path}/cancel") == cancel
    history = (await sdk.status(path.rsplit("/", 1)[-1])).history
    assert history[-1].by == f"system:serviceaccount:{namespace}:editor"


async def test_what_was_granted_in_one_namespace_is_worth_nothing_in_another(
    gateway: RunningGateway, yard: Yard, sdk: Client, namespace: str, other: str
) -> None:
    token = await yard.account("stranger", EDITOR, namespace=other)
    job_id = (await sdk.enqueue("mail")).id
    assert await status_of(gateway, token, "GET", f"{JOBS}/{job_id}?namespace={namespace}") == 404
    assert await status_of(gateway, token, "GET", f"{JOBS}/{job_id}?namespace={other}") == 404
    assert await status_of(gateway, token, "POST", f"{JOBS}/{job_id}/cancel?namespace={namespace}") == 404
    assert await status_of(gateway, token, "GET", f"/api/v1/queues?namespace={namespace}") == 403
    assert await status_of(gateway, token, "POST", f"{JOBS}?namespace={other}", json={"job": "mail"}) == 201


async def test_a_right_of_one_job_reaches_its_jobs_alone(gateway: RunningGateway, yard: Yard, sdk: Client) -> None:
    token = await yard.account("mailer", {"get": ["jobs/runs"], "create": EDITOR["create"]}, jobs=("mail",))
    mail, report = (await sdk.enqueue("mail")).id, (await sdk.enqueue("report")).id
    assert await status_of(gateway, token, "GET", f"{JOBS}/{mail}") == 200
    assert await status_of(gateway, token, "POST", f"{JOBS}/{mail}/cancel") == 200
    assert await status_of(gateway, token, "GET", f"{JOBS}/{report}") == 404
    assert await status_of(gateway, token, "POST", f"{JOBS}/{report}/cancel") == 404
    assert await status_of(gateway, token, "POST", JOBS, json={"job": "mail"}) == 201
    assert await status_of(gateway, token, "POST", JOBS, json={"job": "report"}) == 403


async def test_a_browser_logs_in_with_such_a_token(gateway: RunningGateway, yard: Yard, namespace: str) -> None:
    token = await yard.account("viewer", VIEWER)
    async with gateway.client() as client:
        response = await client.post("/api/v1/session", json={"token": token})
        cookies = "; ".join(f"{name}={value}" for name, value in response.cookies.items())
        access = (await client.get("/api/v1/access", headers={"Cookie": cookies})).json()
    assert access["user"] == f"system:serviceaccount:{namespace}:viewer"
    allowed = {f"{one['verb']} {one['resource']}" for one in access["rights"] if one["allowed"]}
    assert allowed == {f"{verb} {resource}" for verb, resources in VIEWER.items() for resource in resources}


async def test_a_token_dies_with_its_account_and_a_right_with_its_role(
    reviewer: KubeReviewer, yard: Yard, namespace: str
) -> None:
    token = await yard.account("viewer", VIEWER)
    identity = await reviewer.review_token(token)
    assert identity is not None
    assert (await reviewer.review_access(identity, Question(READ, namespace))).allowed
    await yard.kube.delete(BINDING, namespace, "viewer")

    async def is_denied() -> bool:
        return not (await reviewer.review_access(identity, Question(READ, namespace))).allowed

    await eventually(is_denied, every_seconds=0.1)
    await yard.kube.delete(SERVICE_ACCOUNT, namespace, "viewer")

    async def is_refused() -> bool:
        return await reviewer.review_token(token) is None

    await eventually(is_refused, every_seconds=0.2)


async def test_an_api_server_that_is_away_or_refuses_the_gateway_is_no_verdict(
    credential: Credential, rest: Rest, yard: Yard, tmp_path: Path
) -> None:
    nobody = write_kubeconfig(tmp_path / "nobody.kubeconfig", credential)
    text = nobody.read_text().replace(credential.access.server, f"https://127.0.0.1:{find_free_port()}")
    away = tmp_path / "away.kubeconfig"
    away.write_text(text)
    for kubeconfig in (nobody, away):
        async with Rest(find_credential(kubeconfig=str(kubeconfig)), patience_seconds=0.2) as other:
            reviewer = KubeReviewer(other, audiences=(AUDIENCE,))
            with pytest.raises(AccessUnavailableError):
                await reviewer.review_token("some-token")
            with pytest.raises(AccessUnavailableError):
                await reviewer.review_access(Identity(name="ada"), Question(READ, yard.namespace))
