"""Events as classes: a model whose fields are the event's data, so that both ends agree on them.

`class OrderPlaced(BaseEvent, type="order.placed", subject="order")` is published by `await publish(OrderPlaced(…))`,
and is what a handler gets whose parameter says so. What is published by a newer program may have fields more; they are
passed over. This module loads pydantic; who uses no such class does not load it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from jetmill.errors import ConfigError, InvalidPayloadError
from jetmill.protocol.event import Event
from jetmill.protocol.name import parse_event_type

ATTRIBUTES = frozenset({"timestamp", "user"})


class BaseEvent(BaseModel):
    """What every event class begins with; `type` and, where one field names what it is about, `subject` are said with
    the class.
    """

    model_config = ConfigDict(extra="ignore")

    __jetmill_event__: ClassVar[bool] = True
    type: ClassVar[str] = ""
    subject_field: ClassVar[str | None] = None
    timestamp: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    """When it happened: the event's `time`."""
    user: str | None = None
    """Who caused it."""

    def __init_subclass__(cls, *, type: str | None = None, subject: str | None = None, **keywords: Any) -> None:  # noqa: A002
        super().__init_subclass__(**keywords)
        if type is not None:
            cls.type = parse_event_type(type)
        if subject is not None:
            cls.subject_field = subject

    @classmethod
    def __pydantic_init_subclass__(cls, **keywords: Any) -> None:
        super().__pydantic_init_subclass__(**{k: v for k, v in keywords.items() if k not in ("type", "subject")})
        if cls.subject_field is not None and cls.subject_field not in cls.model_fields:
            raise ConfigError(f"{cls.__name__}: subject: there is no field {cls.subject_field!r}")

    @model_validator(mode="before")
    @classmethod
    def _open(cls, value: Any) -> Any:
        """Take a whole CloudEvent too: as a trigger hands it to a job."""
        if not isinstance(value, Mapping) or "specversion" not in value:
            return value
        found = dict(value["data"]) if isinstance(value.get("data"), Mapping) else {}
        return found | {
            name: value[given] for name, given in (("timestamp", "time"), ("user", "user")) if value.get(given)
        }

    @property
    def data(self) -> dict[str, Any]:
        """The event's own fields, as JSON's types."""
        return self.model_dump(mode="json", exclude=set(ATTRIBUTES))

    @property
    def subject(self) -> str | None:
        """What it is about."""
        return None if self.subject_field is None else str(getattr(self, self.subject_field))

    @classmethod
    def from_event(cls, event: Event) -> Self:
        """Make one of what came over the bus; InvalidPayloadError if it does not fit."""
        try:
            return cls.model_validate(event.document)
        except ValidationError as err:
            first = err.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, first["loc"]))
            raise InvalidPayloadError(f"{event.type}: {field}: {first['msg']}", field=field) from err
