"""Who watches a stream, and what he may: the port `Access` of streams, on identities and rights.

Each topic needs a right of its own, asked when it is subscribed to and every minute after. Where one Job is enough, the
right may hold for that Job alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jetmill.errors import BusError, CodecError, NotFoundError
from jetmill.protocol.name import is_label
from jetmill_operator.gateway.access.authenticate import Authenticator, Caller, Credentials, Method
from jetmill_operator.gateway.access.authorize import Permit
from jetmill_operator.gateway.access.errors import AccessUnavailableError, UnauthenticatedError
from jetmill_operator.gateway.access.right import EVENTS, LISTEN, LOGS, QUEUES, WATCH, WORKERS, Right
from jetmill_operator.gateway.stream.session import AccessError
from jetmill_operator.gateway.stream.topic import Kind, Topic
from jetmill_operator.gateway.web.parts import GatewayParts

NEEDS: Mapping[Kind, Right | None] = {
    Kind.NAMESPACE: WATCH,
    Kind.JOBS: WATCH,
    Kind.STATE: WATCH,
    Kind.JOB: WATCH,
    Kind.LOG: LOGS,
    Kind.PROGRESS: LOGS,
    Kind.EVENT: EVENTS,
    Kind.WORKERS: WORKERS,
    Kind.QUEUES: QUEUES,
    Kind.TOPIC: LISTEN,
    Kind.USER: None,
}
"""The right that a topic needs; None: nobody but the user himself gets it."""
_OF_ONE_JOB = frozenset({Kind.JOB, Kind.LOG, Kind.PROGRESS})


@dataclass(slots=True)
class Watcher:
    """The port `Access`."""

    caller: Caller
    credentials: Credentials
    parts: GatewayParts

    @property
    def user(self) -> str | None:
        """See the port."""
        return self.caller.identity.name

    @property
    def expires(self) -> float | None:
        """See the port."""
        return self.caller.identity.expires

    async def is_valid(self) -> bool:
        """See the port."""
        authenticator: Authenticator = self.parts.authenticator
        try:
            match self.caller.method:
                case Method.BEARER:
                    identity = await authenticator.review(self.credentials.bearer)
                    return identity.key == self.caller.identity.key
                case Method.SESSION:
                    return authenticator.sessions.find(self.credentials.cookie) is not None
                case _:  # a ticket is good for one stream, as long as who got it is who he was
                    return True
        except UnauthenticatedError:
            return False
        except AccessUnavailableError as err:
            raise AccessError(err.message) from err

    async def allows(self, namespace: str, topic: Topic) -> bool:
        """See the port."""
        if not is_label(namespace):
            return False
        right = NEEDS[topic.kind]
        if right is None:
            return True
        permit = Permit(self.caller.identity, namespace, right, self.parts.authorizer)
        try:
            if await permit.open():
                return True
            job = await self._find_job(namespace, topic)
            return bool(job) and (await permit.ask(job=job)).allowed
        except AccessUnavailableError as err:
            raise AccessError(err.message) from err

    async def _find_job(self, namespace: str, topic: Topic) -> str:
        """The Job that a topic is of; "": of none, or nobody knows."""
        if topic.kind is Kind.JOBS:
            return topic.name
        served = self.parts.namespaces.get(namespace)
        if topic.kind not in _OF_ONE_JOB or served is None:
            return ""
        try:
            entry = await served.bus.ledger.read(topic.name)
        except NotFoundError:  # the namespace has no ledger yet
            return ""
        except (BusError, CodecError) as err:
            raise AccessError("the job's record cannot be read now") from err
        return "" if entry is None else str(entry.record.job)
