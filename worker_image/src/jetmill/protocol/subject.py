"""Where everything lies: subjects, streams and buckets of one namespace.

One object per prefix and namespace; every part that goes into a subject has passed `name.parse_*` before. `_` parts
the names of streams and buckets because a label may hold `-`.
"""

from __future__ import annotations

import base64
from typing import Literal

from jetmill.errors import InvalidNameError
from jetmill.protocol.name import parse_event_type, parse_label, parse_user

BANDS = ("high", "normal", "low")
DEFAULT_PREFIX = "jm"


class Subjects:
    """The subjects, streams and buckets of `namespace` under `prefix`."""

    def __init__(self, namespace: str, *, prefix: str = DEFAULT_PREFIX) -> None:
        self.namespace = parse_label(namespace, field="namespace")
        self.prefix = parse_label(prefix, field="prefix")
        self.root = f"{prefix}.{namespace}"
        streams = f"{prefix}_{namespace}"
        self.ledger_stream = f"{streams}_ledger"
        self.events_stream = f"{streams}_events"
        self.trace_stream = f"{streams}_trace"
        self.jobs_bucket = f"{streams}_jobs"
        self.workers_bucket = f"{streams}_workers"
        self.payloads_bucket = f"{streams}_payloads"
        self.notes_bucket = f"{streams}_notes"
        self.job_prefix = f"{self.root}.job."
        self.all_jobs = f"{self.root}.job.*"
        self.all_hints = f"{self.root}.q.>"
        self.plan_prefix = f"{self.root}.plan."
        self.all_plans = f"{self.root}.plan.*"
        self.cancel_prefix = f"{self.root}.cancel."
        self.event_prefix = f"{self.root}.event."
        self.all_events = f"{self.root}.event.>"
        self.all_messages = f"{self.root}.message.>"
        self._queue_streams = f"{streams}_q_"

    def job(self, job_id: str) -> str:
        """The chain of one job."""
        return self.job_prefix + job_id

    def hold(self, key_hash: str) -> str:
        """The holder record of a gate."""
        return f"{self.root}.hold.{key_hash}"

    def plan(self, uid: str) -> str:
        """The plan of a schedule; its uid comes from a cluster, so it is checked."""
        return self.plan_prefix + parse_label(uid, field="uid")

    def queue_stream(self, job: str) -> str:
        """The work queue of one Job."""
        return self._queue_streams + job

    def queue_filter(self, job: str, band: str) -> str:
        """What the consumer of one band takes."""
        return f"{self.root}.q.{job}.{band}.*"

    def hint(self, job: str, band: str, job_id: str) -> str:
        """A hint that is ready."""
        return f"{self.root}.q.{job}.{band}.{job_id}"

    def delayed(self, job: str, job_id: str) -> str:
        """A hint that waits for its time."""
        return f"{self.root}.at.{job}.{job_id}"

    def cancel(self, job_id: str) -> str:
        """The push that tells whoever runs the job to stop."""
        return self.cancel_prefix + job_id

    def wake(self, job: str) -> str:
        """The call that wakes a Job's workers from zero."""
        return f"{self.root}.wake.{job}"

    def drain(self, worker: str) -> str:
        """The push that asks a worker to take nothing more; a worker's id comes from others, so it is checked."""
        return f"{self.root}.drain.{parse_label(worker, field='worker')}"

    def undrain(self, worker: str) -> str:
        """The push that lets it take jobs again."""
        return f"{self.root}.undrain.{parse_label(worker, field='worker')}"

    def event(self, event_type: str) -> str:
        """An event on the bus."""
        return self.event_prefix + event_type

    def again(self, subscription: str, seq: int | str) -> str:
        """An event that is handed to one subscription once more."""
        return f"{self.root}.again.{subscription}.{seq}"

    def dead(self, subscription: str, seq: int | str) -> str:
        """An event that a subscription gave up."""
        return f"{self.root}.dead.{subscription}.{seq}"

    def progress(self, job_id: str) -> str:
        """The progress reports of one job."""
        return f"{self.root}.progress.{job_id}"

    def log(self, job_id: str) -> str:
        """The log lines of one job."""
        return f"{self.root}.log.{job_id}"

    def topic_message(self, topic: str) -> str:
        """A message to all who listen to a topic of the application."""
        return f"{self.root}.message.topic.{parse_event_type(topic, field='topic')}"

    def user_message(self, user: str) -> str:
        """A message to one user, whose name may be any text: it is put into one token, and read by `parse_message`."""
        token = base64.urlsafe_b64encode(parse_user(user).encode()).decode().rstrip("=")
        return f"{self.root}.message.user.{token}"

    def parse_message(self, subject: str) -> tuple[Literal["topic", "user"], str] | None:
        """`("topic", name)` or `("user", name)`, whom a message is for; None for a subject that is none of ours."""
        kind, _, rest = subject.removeprefix(f"{self.root}.message.").partition(".")
        try:
            if kind == "topic":
                return "topic", parse_event_type(rest, field="topic")
            if kind == "user":
                text = base64.b64decode(rest + "=" * (-len(rest) % 4), altchars=b"-_", validate=True).decode()
                return "user", parse_user(text)
        except (ValueError, InvalidNameError):
            pass
        return None
