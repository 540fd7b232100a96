"""From an event to a request: pure. The body is the event as it lies, in CloudEvents' structured JSON; its attributes
are headers as well, for receivers that route by them.

Headers that a person set come first and lose against ours; those that would break the request, or pass for somebody
else's, are none that one can set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from jetmill.metric import find_version
from jetmill.protocol.record import WebhookSettings
from jetmill_operator.dispatch.event import Attributes
from jetmill_operator.dispatch.exchange import Request
from jetmill_operator.dispatch.signature import sign

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"


def build_request(
    webhook: WebhookSettings,
    event: bytes,
    attributes: Attributes,
    *,
    delivery_id: str,
    timestamp: int,
    secrets: Sequence[bytes],
) -> Request:
    """The request of one attempt at `timestamp` (whole seconds since the epoch)."""
    headers = {name.lower(): value for name, value in webhook.headers.items()}
    headers |= {"content-type": CONTENT_TYPE, "accept": "*/*", "user-agent": f"jetmill/{find_version()}"}
    headers |= build_event_headers(attributes)
    headers |= sign(secrets, event, message_id=delivery_id, timestamp=timestamp, way=webhook.signature)
    return Request(webhook.method, webhook.url, headers, event)


def build_event_headers(attributes: Attributes) -> Mapping[str, str]:
    """The attributes as CloudEvents' HTTP binding writes them."""
    named = {
        "ce-specversion": attributes.specversion,
        "ce-id": attributes.id,
        "ce-source": attributes.source,
        "ce-type": attributes.type,
        "ce-subject": attributes.subject,
        "ce-time": attributes.time,
    }
    # Printable ASCII but for space, quote and percent stands for itself; the rest is percent-encoded UTF-8.
    return {name: quote(value, safe=_PLAIN) for name, value in named.items() if value}


_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
