"""`kind: Webhook`: a subscription that turns events into signed HTTP requests.

A field comes with the code that obeys it: this version keeps events and address and says `Ready: Unknown`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from jetmill_operator.api.part import Metadata, Part

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
EVENT_PATTERN = rf"^(\*|{_LABEL}(\.{_LABEL}){{0,7}}(\.\*)?)$"
EventPattern = Annotated[str, Field(pattern=EVENT_PATTERN, max_length=520)]


class WebhookSpec(Part):
    """Which events go where."""

    events: Annotated[list[EventPattern], Field(min_length=1, max_length=64)]
    """Types of events: one to eight labels joined by dots (job.failed), a beginning (doc.*) or all (*)."""
    url: Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+([/?][^\s#]*)?$", max_length=2_048)]
    """The address that requests go to: http or https, without user, password and fragment."""


class Webhook(Part):
    """Declares to which address events are sent; this version keeps it and sends nothing yet."""

    api_version: Literal["jetmill.dev/v1alpha1"]
    kind: Literal["Webhook"]
    metadata: Metadata
    spec: WebhookSpec
    """What is wanted."""
    status: Annotated[dict[str, Any] | None, Field(exclude=True)] = None
    """What an operator observed; ignored in manifests."""
