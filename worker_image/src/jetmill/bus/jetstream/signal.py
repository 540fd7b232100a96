"""The port `Signals` on core NATS subjects: whoever listens now hears it, nothing is kept."""

from __future__ import annotations

from collections.abc import Callable

from jetmill.bus.jetstream.link import Link
from jetmill.protocol.subject import Subjects


class JetStreamSignals:
    """Pushes of one namespace."""

    def __init__(self, link: Link, subjects: Subjects) -> None:
        self._link = link
        self._subjects = subjects

    def cancel(self, job_id: str) -> None:
        """See the port."""
        self._push(self._subjects.cancel(job_id))

    def on_cancel(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """See the port."""
        return self._listen(self._subjects.cancel("*"), callback)

    def wake(self, job: str) -> None:
        """See the port."""
        self._push(self._subjects.wake(job))

    def on_wake(self, callback: Callable[[str], None], *, job: str | None = None) -> Callable[[], None]:
        """See the port."""
        return self._listen(self._subjects.wake("*" if job is None else job), callback)

    def drain(self, worker: str) -> None:
        """See the port."""
        self._push(self._subjects.drain(worker))

    def undrain(self, worker: str) -> None:
        """See the port."""
        self._push(self._subjects.undrain(worker))

    def on_drain(self, worker: str, *, drain: Callable[[], None], undrain: Callable[[], None]) -> Callable[[], None]:
        """See the port."""
        stop_drain = self._listen(self._subjects.drain(worker), lambda _: drain())
        stop_undrain = self._listen(self._subjects.undrain(worker), lambda _: undrain())

        def stop() -> None:
            stop_drain()
            stop_undrain()

        return stop

    def _push(self, subject: str) -> None:
        if self._link.connected:
            self._link.publish(subject)

    def _listen(self, subject: str, callback: Callable[[str], None]) -> Callable[[], None]:
        return self._link.subscribe(subject, lambda frame: callback(frame.subject.rpartition(".")[2])).unsubscribe
