"""A candidate for the lease as a process: it leads, and writes its name into a probe as often as it can, fenced.

Run as `python candidate.py KUBECONFIG NAMESPACE IDENTITY`; what it does it says in lines. It ends with 0 when told to
(SIGTERM, after it has released the lease) and with 1 when it has lost the lease.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from jetmill_operator.cluster.credential import find_credential
from jetmill_operator.cluster.errors import ClusterError, NotLeaderError
from jetmill_operator.cluster.fence import FencedCluster
from jetmill_operator.cluster.kube import KubeCluster
from jetmill_operator.cluster.ports import OPERATOR
from jetmill_operator.cluster.rest import Rest
from jetmill_operator.reconcile.lease import Lease, Times
from support.kube import PROBE

TIMES = Times(duration_seconds=9, renew_seconds=7.0, retry_seconds=0.25)


async def lead(kubeconfig: str, namespace: str, identity: str) -> int:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Rest(find_credential(kubeconfig=kubeconfig)) as rest:
        kube = KubeCluster(rest)
        lease = Lease(kube, namespace=namespace, name="jetmill-operator", identity=identity, times=TIMES)
        print("waiting", flush=True)
        await lease.acquire()
        print("leading", flush=True)
        work = [
            asyncio.create_task(lease.hold()),
            asyncio.create_task(write(FencedCluster(kube, lease), namespace, identity)),
            asyncio.create_task(stop.wait()),
        ]
        ended, rest_of = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        for task in rest_of:
            task.cancel()
        await asyncio.gather(*rest_of, return_exceptions=True)
        if not stop.is_set():
            print("lost", *(task.exception() for task in ended), flush=True)
            return 1
        await lease.release()
        print("released", flush=True)
        return 0


async def write(cluster: FencedCluster, namespace: str, identity: str) -> None:
    count = 0
    while True:
        count += 1
        body = {
            "apiVersion": PROBE.api_version,
            "kind": PROBE.name,
            "metadata": {"name": "written", "namespace": namespace},
            "spec": {"writer": identity, "count": count},
        }
        try:
            await cluster.apply(PROBE, body, manager=OPERATOR)
        except NotLeaderError:
            return
        except ClusterError:
            pass  # the next one may be taken


if __name__ == "__main__":
    sys.exit(asyncio.run(lead(*sys.argv[1:4])))
