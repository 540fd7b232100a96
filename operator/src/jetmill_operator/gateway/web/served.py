"""The namespaces that this gateway serves, each with its bus and what it knows of its Jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jetmill.bus.ports import Bus, Trunk
from jetmill.client.catalog import Catalog
from jetmill.client.client import Client
from jetmill.client.declaration import Registry
from jetmill.client.submission import Submitter
from jetmill_operator.gateway.web.operation import Operations
from jetmill_operator.gateway.web.problem import ProblemError


class Served:
    """One namespace."""

    def __init__(self, namespace: str, bus: Bus) -> None:
        self.namespace = namespace
        self.bus = bus
        self._registry = Registry()
        self._catalog = Catalog(bus.admin, registry=self._registry, namespace=namespace, declares=False)
        self._reader = Client(bus=bus, registry=self._registry, by="gateway")
        self.operations = Operations(bus)

    @property
    def reader(self) -> Client:
        """For what is read: nobody's name gets into the ledger by it."""
        return self._reader

    def submitter(self, by: str) -> Submitter:
        """Enqueues as somebody; what is known of the Jobs is shared."""
        return Submitter(self.bus, self._catalog, by=by)

    async def close(self) -> None:
        """Interrupt operations and stop watching; the bus is its trunk's."""
        await self.operations.close()
        self._catalog.close()
        await self._reader.close()


class Namespaces(Mapping[str, Served]):
    """Those that are served, in order; the first is meant where a request names none."""

    def __init__(self, trunk: Trunk, names: Sequence[str]) -> None:
        self.trunk = trunk
        self._served = {name: Served(name, trunk.open(name)) for name in names}
        self.default = names[0]

    def __getitem__(self, name: str) -> Served:
        return self._served[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._served)

    def __len__(self) -> int:
        return len(self._served)

    def find(self, name: str) -> Served:
        """The namespace of that name; ProblemError if it is not served."""
        found = self._served.get(name)
        if found is None:
            raise ProblemError(
                "namespace-not-served", f"namespace {name} is not served here", cure="see JETMILL_WATCH_NAMESPACES"
            )
        return found

    async def close(self) -> None:
        """Stop watching everywhere."""
        for served in self._served.values():
            await served.close()


def served_for(connection: Any) -> Served:
    """The namespace of a request, once the guard has let it in."""
    from jetmill_operator.gateway.web.guard import permit_of
    from jetmill_operator.gateway.web.parts import parts_of

    return parts_of(connection).namespaces.find(permit_of(connection).namespace)
