"""Rights in a cluster: what roles grant, what requests need, and who has nothing but what a role grants."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jetmill_operator.cluster.credential import Credential, find_credential
from jetmill_operator.cluster.kube import KubeCluster
from jetmill_operator.cluster.ports import DEPLOYMENT, SECRET, SERVICE_ACCOUNT, Body, Kind, path_of
from jetmill_operator.cluster.rest import Request, Rest
from support.chart import Manifest
from support.faultproxy import FaultProxy

Grant = tuple[str, str, str]
"""API group, resource with its subresource, verb."""

ROLE = Kind("rbac.authorization.k8s.io", "v1", "Role", "roles")
BINDING = Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
KINDS = {kind.name: kind for kind in (SERVICE_ACCOUNT, ROLE, BINDING, SECRET, DEPLOYMENT)}
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_PATH = re.compile(
    r"/(?:api/v1|apis/(?P<group>[^/]+)/[^/]+)(?:/namespaces/[^/]+)?/(?P<resource>[^/]+)(?:/(?P<name>[^/]+)(?P<sub>/.+)?)?"
)
FREE = frozenset({"/version", "/api", "/apis"})
"""What everybody may ask, beside the discovery of a group's kinds."""


def list_grants(role: Manifest) -> set[Grant]:
    """What a Role or ClusterRole grants, names of objects aside."""
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@dataclass(frozen=True)
class Used:
    """What requests needed."""

    grants: frozenset[Grant]
    refused: tuple[str, ...]
    """Those that were forbidden."""


def read_used(proxy: FaultProxy) -> Used:
    """Read what passed through a proxy; an apply that made what was not there needed the right to create it, too."""
    grants: set[Grant] = set()
    refused = []
    for request, status in proxy.answers:
        if status in (401, 403):
            refused.append(f"{request.method} {request.path}")
        found = _PATH.fullmatch(request.path)
        if found is None or request.path in FREE or re.fullmatch(r"/apis/[^/]+(/[^/]+)?|/api/v1", request.path):
            continue
        place = (found["group"] or "", found["resource"] + (found["sub"] or ""))
        verb = _VERBS.get(request.method) or ("get" if found["name"] else "list")
        grants.add((*place, "watch" if "watch" in request.query else verb))
        if request.method == "PATCH" and status == 201:
            grants.add((*place, "create"))
    return Used(frozenset(grants), tuple(refused))


async def install(kube: KubeCluster, manifests: Iterable[Manifest]) -> None:
    """Apply what a chart renders, of the kinds that a test without pods needs."""
    for body in manifests:
        await kube.apply(KINDS[body["kind"]], body, manager="helm")


async def request_token(
    rest: Rest, namespace: str, account: str, *, pod: Body | None = None, audience: str = ""
) -> str:
    """A token of a ServiceAccount for ten minutes, as the kubelet asks for one if a pod is given; without an audience
    it is for the API server itself.
    """
    spec: Body = {"expirationSeconds": 600}
    if audience:
        spec["audiences"] = [audience]
    if pod is not None:
        meta = pod["metadata"]
        spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]}
    wanted = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    path = path_of(SERVICE_ACCOUNT, namespace, account, "token")
    return str((await rest.ask(Request("POST", path, {}, wanted)))["status"]["token"])


def write_kubeconfig(path: Path, credential: Credential, *, token: str = "") -> Path:
    """Write one for the same server and a token's owner; without, for nobody."""
    access = credential.access
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": access.server, "certificate-authority": access.ca_file}}],
        "users": [{"name": "it", "user": {"token": token} if token else {}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    }
    path.write_text(json.dumps(config))
    return path


def forget_user(folder: Path, credential: Credential) -> Credential:
    """The same server, as nobody: for a proxy whose guests bring tokens of their own."""
    return find_credential(kubeconfig=str(write_kubeconfig(folder / "nobody.kubeconfig", credential)))
