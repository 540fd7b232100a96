"""The pydantic side of `binding`: loaded at the first payload, so that declaring handlers stays light."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from functools import partial
from inspect import Parameter
from typing import Annotated, Any, get_args

import msgspec
import typing_extensions
from pydantic import BaseModel, ConfigDict, GetPydanticSchema, SecretBytes, SecretStr, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError
from pydantic_core import CoreConfig, PydanticSerializationError, SchemaSerializer, core_schema

from jetmill.errors import CodecError, ConfigError, InvalidPayloadError
from jetmill.protocol.codec import decode_value

_PLAIN = frozenset({str, int, float, bool, dict, list, type(None)})
_CONFIG = ConfigDict(
    extra="forbid",
    ser_json_bytes="base64",
    val_json_bytes="base64",
    ser_json_inf_nan="constants",  # so that they can be seen and refused; by default they would become null
    allow_inf_nan=False,
)
_WRITE = CoreConfig(ser_json_bytes="base64", ser_json_inf_nan="constants")
_SECRETS = (SecretStr, SecretBytes)
_make_typed_dict: Any = typing_extensions.TypedDict
_encode = msgspec.json.Encoder().encode


class Codec:
    """Arguments to JSON and back by one prepared validator."""

    def __init__(self, name: str, fields: dict[str, Any], *, extra: Any, plain: bool) -> None:
        self._name = name
        self._fields = fields
        self.plain = plain and extra is None
        shape = _make_typed_dict("Payload", fields)
        config = _CONFIG if extra is None else {**_CONFIG, "extra": "allow"}
        shape.__pydantic_config__ = config
        self._adapter: TypeAdapter[dict[str, Any]] = TypeAdapter(shape)
        self._validate_json = self._adapter.validator.validate_json
        self._validate = self._adapter.validator.validate_python
        # a serializer of our own, for a TypedDict's is made without the config
        self._to_json = SchemaSerializer(self._adapter.core_schema, _WRITE).to_json
        self._extra: TypeAdapter[dict[str, Any]] | None = (
            None if extra is None else TypeAdapter(dict[str, extra], config=_CONFIG)
        )

    def check_plain(self, given: Mapping[str, Any]) -> bytes:
        """Encode plain scalars: the fast path."""
        try:
            return _encode(self._validate(given))
        except ValidationError as err:
            raise self._explain(err) from None
        except (ValueError, OverflowError):
            return self.encode(given)

    def encode(self, given: Mapping[str, Any]) -> bytes:
        """Validate and encode anything the annotations allow."""
        try:
            value = self._validate(given)
            if self._extra is not None:
                value.update(self._extra.validate_python(self._extras(value)))
            data = self._to_json(value)
        except ValidationError as err:
            raise self._explain(err) from None
        except (PydanticSerializationError, UnicodeError, ValueError, TypeError, RecursionError) as err:
            raise self._explain_value(given, err) from err
        if b"NaN" in data or b"Infinity" in data:
            self._refuse_infinity(data, given)
        return data

    def decode(self, data: bytes) -> dict[str, Any]:
        """Validate JSON and give the keyword arguments."""
        try:
            value: dict[str, Any] = self._validate_json(data)
            if self._extra is not None:
                raw = decode_value(data, max_bytes=len(data))
                value.update(self._extra.validate_json(_encode(self._extras(raw))))
        except ValidationError as err:
            raise self._explain(err) from None
        except CodecError as err:
            raise InvalidPayloadError(f"{self._name}: the payload is {err.message}") from err
        return value

    def _extras(self, value: Mapping[str, Any]) -> dict[str, Any]:
        return {key: item for key, item in value.items() if key not in self._fields}

    def _explain(self, err: ValidationError) -> InvalidPayloadError:
        faults = err.errors(include_url=False, include_input=False, include_context=False)
        field = ".".join(str(part) for part in faults[0]["loc"])
        said = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'payload'}: {fault['msg']}" for fault in faults[:5]
        )
        known = ", ".join(self._fields) or "none"
        cure = f"arguments of {self._name}: {known}" if faults[0]["type"] in ("extra_forbidden", "missing") else ""
        return InvalidPayloadError(f"{self._name}: {said}", field=field, cure=cure)

    def _explain_value(self, given: Mapping[str, Any], err: Exception) -> InvalidPayloadError:
        """Name the argument that cannot be written."""
        for key, value in given.items():
            try:
                self._to_json({key: value}, warnings=False)
            except (PydanticSerializationError, UnicodeError, ValueError, TypeError, RecursionError):
                return InvalidPayloadError(
                    f"{self._name}: {key}: {type(value).__name__} cannot be written as JSON", field=key
                )
        return InvalidPayloadError(f"{self._name}: cannot be written as JSON: {err}")

    def _refuse_infinity(self, data: bytes, given: Mapping[str, Any]) -> None:
        try:
            decode_value(data, max_bytes=len(data))
        except CodecError as err:
            for key, value in given.items():
                text = self._to_json({key: value}, warnings=False)
                if b"NaN" in text or b"Infinity" in text:
                    raise InvalidPayloadError(f"{self._name}: {key}: JSON has no NaN and no ∞", field=key) from err
            raise InvalidPayloadError(f"{self._name}: the payload is {err.message}") from err


def build_codec(name: str, parameters: Iterable[Parameter], hints: Mapping[str, Any]) -> Codec:
    """Build the codec of a handler's own parameters; raise ConfigError for an annotation that no payload can hold."""
    fields: dict[str, Any] = {}
    extra: Any = None
    plain = True
    for parameter in parameters:
        annotation = hints.get(parameter.name, Any)
        if parameter.kind is Parameter.VAR_KEYWORD:
            extra = annotation
            continue
        plain = plain and annotation in _PLAIN_HINTS
        wanted = _adapt(annotation)
        if parameter.default is not Parameter.empty:
            if parameter.default is None and annotation is not Any:
                wanted = wanted | None if not _is_annotated(wanted) else typing.Optional[wanted]  # noqa: UP045 - `|` is not there for Annotated in 3.11
            wanted = typing_extensions.NotRequired[wanted]
        fields[parameter.name] = wanted
    try:
        return Codec(name, fields, extra=extra, plain=plain)
    except (PydanticSchemaGenerationError, PydanticUserError, PydanticUndefinedAnnotation) as err:
        raise ConfigError(
            f"{name}: an annotation cannot be a payload: {str(err).splitlines()[0]}",
            cure="use JSON types, models or dataclasses; mark what the worker provides with Annotated[..., Inject]",
        ) from err


_PLAIN_HINTS: list[Any] = [*_PLAIN, str | None, int | None, bool | None, float | None]


def _is_annotated(annotation: Any) -> bool:
    return typing.get_origin(annotation) is Annotated


def _adapt(annotation: Any) -> Any:
    """Teach pydantic msgspec's structs, where one is a parameter's type."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return Annotated[annotation, GetPydanticSchema(partial(_struct_schema, annotation))]
    return annotation


def _struct_schema(struct: type, _source: Any, _handler: Any) -> core_schema.CoreSchema:
    def convert(value: Any) -> Any:
        try:
            return value if isinstance(value, struct) else msgspec.convert(value, struct, strict=False)
        except msgspec.ValidationError as err:
            raise ValueError(str(err)) from err

    return core_schema.no_info_plain_validator_function(
        convert, serialization=core_schema.plain_serializer_function_ser_schema(msgspec.to_builtins)
    )


def find_secret(annotation: Any, seen: set[int] | None = None) -> bool:
    """Tell whether SecretStr or SecretBytes stands anywhere in an annotation, models and dataclasses included."""
    seen = set() if seen is None else seen
    if id(annotation) in seen:
        return False
    seen.add(id(annotation))
    if isinstance(annotation, type):
        if issubclass(annotation, _SECRETS):
            return True
        if any(find_secret(hint, seen) for hint in _fields_of(annotation)):
            return True
    return any(find_secret(part, seen) for part in get_args(annotation))


def _fields_of(annotation: type) -> list[Any]:
    if issubclass(annotation, BaseModel):
        return [field.annotation for field in annotation.model_fields.values()]
    if dataclasses.is_dataclass(annotation) or typing.is_typeddict(annotation) or hasattr(annotation, "_fields"):
        try:
            return list(typing.get_type_hints(annotation, include_extras=True).values())
        except NameError:
            return []
    return []
