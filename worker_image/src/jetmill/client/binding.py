"""A handler's signature and its payload: arguments to a JSON object and back, by the type hints.

One validator per handler, built by pydantic at the first use (so that declaring stays cheap and forward references
resolve) over a TypedDict of the parameters: any parameter name is allowed, and what was left out stays out, so that the
function's own default counts on the day of the run. Injected parameters are no part of the payload. Errors name the
field and never show its value.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from inspect import Parameter
from typing import Any

import msgspec

from jetmill.client.inject import Injection, find_inject
from jetmill.errors import CodecError, ConfigError, InvalidPayloadError
from jetmill.protocol.codec import MAX_MESSAGE_BYTES, decode_value, encode_value

_POSITIONS = (Parameter.POSITIONAL_ONLY, Parameter.VAR_POSITIONAL)
_CURE = "pass a reference to the secret, not the secret: payloads are stored and shown"


class Binding:
    """How one function's arguments become a payload, and a payload its arguments."""

    def __init__(self, function: Callable[..., Any], *, name: str) -> None:
        self._function = function
        self._name = name
        self.signature = inspect.signature(function)
        for parameter in self.signature.parameters.values():
            _check_kind(parameter, name)
        if _secrets_are_possible():
            self._refuse_secrets()

    @cached_property
    def injections(self) -> tuple[Injection, ...]:
        """The parameters that the worker fills."""
        found = []
        for parameter in self.signature.parameters.values():
            inject = find_inject(self._hints.get(parameter.name))
            if inject is not None:
                bare, mark = inject
                optional = parameter.default is not Parameter.empty
                found.append(Injection(parameter=parameter.name, type=bare, mark=mark, optional=optional))
        return tuple(found)

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """Bind the arguments and encode them; raise InvalidPayloadError that names the field."""
        codec = self._codec
        given = self._bind(args, kwargs) if args else kwargs
        if codec.plain and _is_plain(given):
            return codec.check_plain(given)
        return codec.encode(given)

    def decode(self, data: bytes | msgspec.Raw | None) -> dict[str, Any]:
        """The keyword arguments that a payload stands for (None: no payload); InvalidPayloadError names the field."""
        return self._codec.decode(b"{}" if data is None else bytes(data))

    def prepare(self) -> None:
        """Build now what is otherwise built at the first use; ConfigError for annotations that cannot be payload."""
        _ = self._codec

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        names = self._positional
        if len(args) > len(names):
            raise InvalidPayloadError(
                f"{self._name}: {len(args)} positional arguments, {len(names)} wanted", field=f"[{len(names)}]"
            )
        given = dict(zip(names, args, strict=False))
        for key in kwargs:
            if key in given:
                raise InvalidPayloadError(f"{self._name}: {key} was given twice", field=key)
        given.update(kwargs)
        return given

    @cached_property
    def _positional(self) -> list[str]:
        injected = {injection.parameter for injection in self.injections}
        kind = Parameter.POSITIONAL_OR_KEYWORD
        return [p.name for p in self.signature.parameters.values() if p.kind is kind and p.name not in injected]

    @cached_property
    def _hints(self) -> dict[str, Any]:
        try:
            return typing.get_type_hints(inspect.unwrap(self._function), include_extras=True)
        except NameError as err:
            raise ConfigError(
                f"{self._name}: the annotation {err.name!r} is not known where the function is defined",
                cure="import it outside of `if TYPE_CHECKING:`",
            ) from err

    @cached_property
    def _codec(self) -> _Codec:
        from jetmill.client.validate import build_codec

        if _secrets_are_possible():
            self._refuse_secrets()
        injected = {injection.parameter for injection in self.injections}
        parameters = [p for p in self.signature.parameters.values() if p.name not in injected]
        return build_codec(self._name, parameters, self._hints)

    def _refuse_secrets(self) -> None:
        from jetmill.client.validate import find_secret

        try:
            hints = self._hints
        except ConfigError:
            return  # a forward reference: looked at again at the first use
        for parameter in self.signature.parameters:
            if parameter in hints and find_inject(hints[parameter]) is None and find_secret(hints[parameter]):
                raise InvalidPayloadError(f"{self._name}: {parameter} holds a secret", field=parameter, cure=_CURE)


class _Codec(typing.Protocol):
    """What `jetmill.client.validate` makes of the parameters."""

    plain: bool
    """Every parameter is a plain JSON type: what validates needs no conversion."""

    def check_plain(self, given: Mapping[str, Any]) -> bytes: ...

    def encode(self, given: Mapping[str, Any]) -> bytes: ...

    def decode(self, data: bytes) -> dict[str, Any]: ...


def encode_payload(payload: Mapping[str, Any] | None) -> bytes:
    """Encode a payload without a signature to go by; InvalidPayloadError names the field that is no JSON."""
    if payload is None:
        return b"{}"
    if not isinstance(payload, Mapping):
        raise InvalidPayloadError(
            f"a payload is an object, not {type(payload).__name__}", cure="pass a mapping of argument names to values"
        )
    for key in payload:
        if not isinstance(key, str):
            raise InvalidPayloadError(f"a payload's keys are texts, not {key!r:.40}", field=str(key))
    try:
        return encode_value(payload if type(payload) is dict else dict(payload))
    except CodecError:
        return _encode_slowly(payload)


def _encode_slowly(payload: Mapping[str, Any]) -> bytes:
    """With what msgspec does not know (pydantic models), and naming the field that fails."""
    parts: dict[str, msgspec.Raw] = {}
    for key, value in payload.items():
        if isinstance(value, (float, list, dict)):
            _refuse_infinity(key, value)
        try:
            parts[key] = msgspec.Raw(msgspec.json.encode(value, enc_hook=partial(_convert, key)))
        except (msgspec.EncodeError, TypeError, ValueError, RecursionError) as err:
            raise InvalidPayloadError(f"{key}: cannot be written as JSON: {err}", field=key) from err
    return encode_value(parts)


def _refuse_infinity(key: str, value: Any) -> None:
    try:
        encode_value(value)
    except CodecError as err:
        if err.__cause__ is None:  # not what msgspec does not know, but what it would write as null
            raise InvalidPayloadError(f"{key}: {err.message}", field=key) from err


def _convert(key: str, value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if dump is None:
        raise InvalidPayloadError(f"{key}: {type(value).__name__} cannot be written as JSON", field=key)
    return dump(mode="json")


def parse_payload(data: bytes) -> bytes:
    """Check that bytes from outside are a JSON object; return them, or raise InvalidPayloadError."""
    try:
        value = decode_value(data, max_bytes=max(len(data), MAX_MESSAGE_BYTES))
    except CodecError as err:
        raise InvalidPayloadError(f"the payload is {err.message}") from err
    if not isinstance(value, dict):
        raise InvalidPayloadError("the payload is no JSON object", cure='write {"argument": value}')
    return data


_PLAIN_SCALARS = frozenset({str, int, bool, type(None)})


def _is_plain(given: Mapping[str, Any]) -> bool:
    return all(type(value) in _PLAIN_SCALARS for value in given.values())


def _check_kind(parameter: Parameter, name: str) -> None:
    if parameter.kind in _POSITIONS:
        star = "*" if parameter.kind is Parameter.VAR_POSITIONAL else ""
        raise InvalidPayloadError(
            f"{name}: {star}{parameter.name} has no name in a payload",
            field=parameter.name,
            cure=f"take a list: {parameter.name}: list[...]" if star else "drop the '/' from the signature",
        )


def _secrets_are_possible() -> bool:
    """Nobody can have annotated with SecretStr before pydantic was imported."""
    return "pydantic" in sys.modules
