"""The dispatcher of `jetmill dev`: over the connection and the cluster of dev, and free to reach this machine."""

from __future__ import annotations

from jetmill.bus.ports import Trunk
from jetmill.client.settings import ClientSettings
from jetmill_operator.cluster.ports import Cluster
from jetmill_operator.dispatch.branch import Branches
from jetmill_operator.dispatch.process import Office, find_namespaces
from jetmill_operator.dispatch.settings import SCHEMES, DispatchSettings

GRACE_SECONDS = 5.0


def open_dev_branches(trunk: Trunk, cluster: Cluster, *, url: str, namespace: str) -> Branches:
    """What the dispatcher does in dev's one namespace: receivers are on this machine, and speak plain HTTP."""
    settings = DispatchSettings(
        connection=ClientSettings(url=url),
        namespaces=(namespace,),
        schemes=SCHEMES,
        ports=(),
        allow=("127.0.0.0/8", "::1/128"),
        grace_seconds=GRACE_SECONDS,
    )
    office = Office(settings, cluster)
    return Branches(trunk.open, find_namespaces(settings, cluster), office.hire)
