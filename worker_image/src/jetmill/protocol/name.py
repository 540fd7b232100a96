"""Names that can be subject tokens.

A name ends up between the dots of a NATS subject, in a stream's name and in a Kubernetes object's name, so one
rule serves all: an RFC 1123 label. Anything else is refused here, before it can become a wildcard (`*`, `>`), a
second token (`.`) or a protocol break (a space, a line feed).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NewType

from jetmill.errors import InvalidNameError

JobName = NewType("JobName", str)
JobId = NewType("JobId", str)
Namespace = NewType("Namespace", str)
WorkerId = NewType("WorkerId", str)

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_CURE = "use 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit"
MAX_EVENT_LABELS = 8
MAX_USER_CHARACTERS = 253
MAX_SUBSCRIPTION_CHARACTERS = 58
"""What goes before the name of its consumer leaves as much of a label."""
DELIVERIES = "wh--"
"""What the Job of a Webhook's deliveries is called: this, then the Webhook's name. No other Job may begin so."""
MAX_WEBHOOK_CHARACTERS = 63 - len(DELIVERIES)


def is_label(text: str) -> bool:
    """Tell whether `text` is an RFC 1123 label."""
    return _LABEL.fullmatch(text) is not None


@lru_cache(maxsize=1024)
def is_job_name(text: str) -> bool:
    """Tell whether a Job can have this name; remembered, for they are few and come with every job."""
    return _LABEL.fullmatch(text) is not None


def parse_label(text: str, *, field: str) -> str:
    """Return `text` if it is an RFC 1123 label; raise InvalidNameError that names `field` otherwise."""
    if not isinstance(text, str) or _LABEL.fullmatch(text) is None:
        raise InvalidNameError(f"{field}: {text!r:.80} cannot be a name", field=field, cure=_CURE)
    return text


def parse_job_name(text: str, *, field: str = "job") -> JobName:
    """Return the name of a Job, or raise InvalidNameError."""
    if isinstance(text, str) and is_job_name(text):
        return JobName(text)
    return JobName(parse_label(text, field=field))


def is_delivery(job: str) -> bool:
    """Tell whether the jobs of this Job are the deliveries of a Webhook."""
    return job.startswith(DELIVERIES)


def name_deliveries(webhook: str) -> JobName:
    """The Job of a Webhook's deliveries; InvalidNameError if there can be no such Webhook."""
    return parse_job_name(DELIVERIES + parse_label(webhook, field="webhook"), field="webhook")


def parse_job_id(text: str, *, field: str = "id") -> JobId:
    """Return a job's id, or raise InvalidNameError; `id_from_key` makes one of any text."""
    if not isinstance(text, str) or _LABEL.fullmatch(text) is None:
        raise InvalidNameError(f"{field}: {text!r:.80} cannot be an id", field=field, cure=f"{_CURE}, or id_from_key()")
    return JobId(text)


def parse_namespace(text: str, *, field: str = "namespace") -> Namespace:
    """Return a namespace, or raise InvalidNameError."""
    return Namespace(parse_label(text, field=field))


def parse_event_type(text: str, *, field: str = "type") -> str:
    """Return an event type: one to eight labels joined by dots; raise InvalidNameError otherwise."""
    labels = text.split(".") if isinstance(text, str) else []
    if not 1 <= len(labels) <= MAX_EVENT_LABELS or not all(map(is_label, labels)):
        raise InvalidNameError(
            f"{field}: {text!r:.80} cannot be an event type", field=field, cure="use one to eight labels joined by dots"
        )
    return text


def parse_subscription(text: str, *, field: str = "subscription") -> str:
    """Return the name of a durable subscription: a label of at most 58 characters; raise InvalidNameError otherwise."""
    if len(parse_label(text, field=field)) > MAX_SUBSCRIPTION_CHARACTERS:
        cure = f"use at most {MAX_SUBSCRIPTION_CHARACTERS} characters"
        raise InvalidNameError(f"{field}: {text!r:.80} is too long a name", field=field, cure=cure)
    return text


def parse_user(text: str, *, field: str = "user") -> str:
    """Return the name of a user, as the cluster knows it: printable text; raise InvalidNameError otherwise."""
    if not isinstance(text, str) or not 1 <= len(text) <= MAX_USER_CHARACTERS or not text.isprintable():
        cure = f"use 1 to {MAX_USER_CHARACTERS} printable characters"
        raise InvalidNameError(f"{field}: {text!r:.80} cannot be a user", field=field, cure=cure)
    return text
