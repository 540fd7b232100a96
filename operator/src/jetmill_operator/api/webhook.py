"""`kind: Webhook`: a subscription that turns events into signed HTTP requests."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema, core_schema

from jetmill.protocol.name import MAX_WEBHOOK_CHARACTERS, name_deliveries
from jetmill.protocol.record import JobSettings, SecretKey, WebhookSettings
from jetmill_operator.api.part import (
    RULES,
    DataKey,
    EventPattern,
    Label,
    Metadata,
    ObjectName,
    Part,
    build_refusal,
    build_rule,
)
from jetmill_operator.policy.delivery import PRESETS, list_delays

LEASE_SECONDS = 15.0
"""After so long without a sign of life of its dispatcher, another one sends a delivery again."""
_MARGIN_SECONDS = 30.0
_DAY_SECONDS = 86_400.0
_MAX_EVENT_BYTES = 4_194_304
"""An event has at most 1 MiB; as text within text it may be longer."""


class HeaderNames:
    """Marks headers that one may set: those that break a request or pass for somebody else's are refused."""

    NAME: ClassVar = "^[A-Za-z0-9-]{1,64}$"
    DENIED: ClassVar = (
        "^(host|content-.*|transfer-encoding|connection|keep-alive|te|trailer|upgrade|expect|date|via|forwarded|"
        "authorization|cookie|accept|user-agent|proxy-.*|x-forwarded-.*|x-real-ip|x-signature|webhook-.*|ce-.*|sec-.*)$"
    )
    MESSAGE: ClassVar = (
        "a header that cannot be set: not those of the connection, of proxies, of authorization, and not webhook-*, "
        "ce-* and x-signature, which Jetmill sets"
    )

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._refuse_others, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        fits = f"key.matches('{self.NAME}') && !key.lowerAscii().matches('{self.DENIED}')"
        return {**handler(schema), RULES: [build_rule(f"self.all(key, {fits})", self.MESSAGE)]}

    def _refuse_others(self, headers: dict[str, str]) -> dict[str, str]:
        for name in headers:
            if re.fullmatch(self.NAME, name) is None or re.fullmatch(self.DENIED, name.lower()) is not None:
                raise build_refusal(name, "is " + self.MESSAGE, "leave it out")
        return headers


HeaderValue = Annotated[str, Field(pattern=r"^[ -~]*$", max_length=1_024)]
Headers = Annotated[dict[str, HeaderValue], Field(max_length=32), HeaderNames()]


class SecretRef(Part):
    """A key of a Secret in the same namespace."""

    name: ObjectName
    """The Secret's name."""
    key: DataKey
    """The key in it."""


class WebhookFilter(Part):
    """Which of the events are sent."""

    jobs: Annotated[list[Label], Field(min_length=1, max_length=64)] | None = None
    """Of events about jobs (job.failed, …) only those of these Jobs; of all, if not given."""
    expression: Annotated[str, Field(min_length=1, max_length=4_096)] | None = None
    """A CEL expression over event: only events for which it is true are sent (event.data.amount > 100)."""


class WebhookRetry(Part):
    """When a delivery that failed is tried again."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                build_rule(
                    "!has(self.preset) || (!has(self.maxRetries) && !has(self.initialDelaySeconds) && "
                    "!has(self.factor) && !has(self.maxDelaySeconds))",
                    "preset stands beside numbers of its own: keep one of the two",
                    field=".preset",
                ),
                build_rule(
                    "has(self.preset) || has(self.maxRetries) || (!has(self.initialDelaySeconds) && "
                    "!has(self.factor) && !has(self.maxDelaySeconds))",
                    "numbers without maxRetries: add it",
                    field=".maxRetries",
                ),
            ]
        }
    )

    preset: Literal["standard", "short"] | None = None
    """standard (if nothing is given): ten attempts over 75 hours, after 5 s, 5 min, 30 min, 2, 5, 10, 14, 20 and 24 h;
    short: three retries within four minutes."""
    max_retries: Annotated[int, Field(ge=0, le=100)] | None = None
    """Attempts after the first, 0 to 100, instead of a preset."""
    initial_delay_seconds: Annotated[float, Field(ge=0, le=86_400)] | None = None
    """The wait before the first retry, in seconds, 0 to 86400 (a day); 5 if not given."""
    factor: Annotated[float, Field(ge=1, le=100)] | None = None
    """What each wait is multiplied by for the next, 1 to 100; 2 if not given."""
    max_delay_seconds: Annotated[float, Field(ge=0, le=604_800)] | None = None
    """The longest wait, in seconds, 0 to 604800 (a week); 86400 if not given."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> WebhookRetry:
        numbers = (self.initial_delay_seconds, self.factor, self.max_delay_seconds)
        others = any(number is not None for number in numbers)
        if self.preset is not None and (others or self.max_retries is not None):
            raise build_refusal("preset", "stands beside numbers of its own", "keep one of the two")
        if self.preset is None and self.max_retries is None and others:
            raise build_refusal("maxRetries", "is missing beside the other numbers", "add it")
        return self

    def list_delays(self) -> list[float]:
        """The waits between attempts, in seconds."""
        if self.max_retries is None:
            return list(PRESETS[self.preset or "standard"])
        return list_delays(
            self.max_retries,
            initial_seconds=5.0 if self.initial_delay_seconds is None else self.initial_delay_seconds,
            factor=2.0 if self.factor is None else self.factor,
            longest_seconds=_DAY_SECONDS if self.max_delay_seconds is None else self.max_delay_seconds,
        )


class WebhookSpec(Part):
    """Which events go where."""

    events: Annotated[list[EventPattern], Field(min_length=1, max_length=64)]
    """Types of events: one to eight labels joined by dots (job.failed), a beginning (doc.*) or all (*)."""
    filter: WebhookFilter = WebhookFilter()
    """Which of them are sent; all, if not given."""
    url: Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+([/?][^\s#]*)?$", max_length=2_048)]
    """The address that requests go to: http or https, without user, password and fragment."""
    method: Literal["POST", "PUT"] = "POST"
    """POST (if not given) or PUT."""
    headers: Headers = Field(default_factory=dict)
    """Headers of every request, by name. Not for secrets, for whoever sees the Webhook sees them."""
    secret_ref: SecretRef | None = None
    """The key that requests are signed with, read at each delivery: one secret a line, `whsec_` and base64, or any
    text; with several (while one is replaced) all sign. Without it requests are not signed."""
    signature: Literal["standard", "plain"] = "standard"
    """standard (if not given): Standard Webhooks, webhook-signature over id, time and body; plain: X-Signature with
    sha256= and the HMAC of the body alone."""
    timeout_seconds: Annotated[float, Field(gt=0, le=120)] = 30.0
    """The longest that a request may take, answer included: seconds, above 0 and at most 120; 30 if not given."""
    retry: WebhookRetry = WebhookRetry()
    """When a delivery that failed is tried again."""
    concurrency: Annotated[int, Field(ge=1, le=1_000)] = 10
    """Requests at once, 1 to 1000; 10 if not given."""
    rate_per_second: Annotated[float, Field(gt=0, le=10_000)] | None = None
    """Requests a second, above 0 and at most 10000; as many as there are, if not given."""
    serial: Literal["subject"] | None = None
    """subject: of the events with one subject, one delivery at a time is begun and not done with."""
    disable_after_seconds: Annotated[int, Field(ge=0, le=2_592_000)] = 432_000
    """When nothing but failures came for so long, nothing is sent any more: seconds, 0 (never) to 2592000 (30 days); 5
    days if not given."""
    suspend: bool = False
    """true: deliveries are kept and wait, nothing is sent."""


class Webhook(Part):
    """Declares to which address events are sent, and how: signed, tried again, one receiver never in another's way."""

    api_version: Literal["jetmill.dev/v1alpha1"]
    kind: Literal["Webhook"]
    metadata: Metadata
    spec: WebhookSpec
    """What is wanted."""
    status: Annotated[dict[str, Any] | None, Field(exclude=True)] = None
    """What an operator observed; ignored in manifests."""

    @model_validator(mode="after")
    def _leaves_room(self) -> Webhook:
        if len(self.metadata.name) > MAX_WEBHOOK_CHARACTERS:
            what = f"has more than {MAX_WEBHOOK_CHARACTERS} characters"
            raise build_refusal("metadata.name", what, "shorten it: its queue is named by it")
        return self

    @property
    def name(self) -> str:
        """The Webhook's name."""
        return self.metadata.name

    def to_settings(self, *, generation: int = 0, uid: str = "", since: int = 0) -> JobSettings:
        """The settings of its deliveries' Job; `since` (µs) is when it was created."""
        spec = self.spec
        delays = spec.retry.list_delays()
        # A request may have to wait for its turn before its own time begins.
        turn = 0.0 if spec.rate_per_second is None else spec.concurrency / spec.rate_per_second
        return JobSettings(
            job=name_deliveries(self.name),
            generation=generation,
            uid=uid,
            concurrency=spec.concurrency,
            executor="async",
            timeout_seconds=spec.timeout_seconds + turn + _MARGIN_SECONDS,
            lease_seconds=LEASE_SECONDS,
            max_retries=len(delays),
            payload_max_bytes=_MAX_EVENT_BYTES,
            suspend=spec.suspend,
            webhook=WebhookSettings(
                events=list(spec.events),
                url=spec.url,
                method=spec.method,
                headers=dict(spec.headers),
                jobs=list(spec.filter.jobs or ()),
                expression=spec.filter.expression,
                secret=None
                if spec.secret_ref is None
                else SecretKey(name=spec.secret_ref.name, key=spec.secret_ref.key),
                signature=spec.signature,
                timeout_seconds=spec.timeout_seconds,
                delays=delays,
                rate=spec.rate_per_second,
                serial=spec.serial,
                disable_after_seconds=float(spec.disable_after_seconds),
                since=since,
            ),
        )
