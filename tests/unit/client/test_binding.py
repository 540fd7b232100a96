"""Arguments become JSON and arguments again; what cannot says which field."""

from __future__ import annotations

import dataclasses
import enum
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretBytes, SecretStr

from jetmill.client.binding import Binding, encode_payload, parse_payload
from jetmill.client.inject import Inject, mark_injectable
from jetmill.errors import ConfigError, InvalidPayloadError


class Colour(enum.Enum):
    RED = "red"


class Address(BaseModel):
    street: str
    since: datetime


@dataclasses.dataclass
class Point:
    x: int
    key: UUID


class Leaf(msgspec.Struct):
    size: int
    at: datetime


class Vault(BaseModel):
    keys: list[SecretStr]


class Pool:
    __jetmill_inject__ = True


class Mailer:
    pass


def bind(function: Any, name: str = "job") -> Binding:
    return Binding(function, name=name)


def rich(  # noqa: PLR0917 - one of each kind
    address: Address,
    colour: Colour,
    point: Point,
    leaf: Leaf,
    price: Decimal,
    key: UUID,
    when: datetime,
    day: date,
    span: timedelta,
    raw: bytes,
    many: dict[str, list[Point]],
    kind: Literal["a", "b"] = "a",
    extra: int | None = None,
) -> None: ...


def test_models_dataclasses_structs_and_times_come_back_as_they_were() -> None:
    binding = bind(rich)
    arguments = {
        "address": Address(street="Elm", since=datetime.now(UTC)),
        "colour": Colour.RED,
        "point": Point(1, uuid4()),
        "leaf": Leaf(3, datetime.now(UTC)),
        "price": Decimal("1.10"),
        "key": uuid4(),
        "when": datetime(2030, 1, 31, 9, tzinfo=UTC),
        "day": date(2030, 1, 31),
        "span": timedelta(hours=1, microseconds=3),
        "raw": b"\xff\x00",
        "many": {"a": [Point(2, uuid4())]},
        "kind": "b",
    }
    assert binding.decode(binding.encode((), arguments)) == arguments


def test_what_was_left_out_stays_out_so_that_the_functions_default_counts() -> None:
    def send(to: str, copies: int = 1) -> None: ...

    assert bind(send).encode((), {"to": "ada"}) == b'{"to":"ada"}'
    assert bind(send).decode(b'{"to":"ada"}') == {"to": "ada"}


def test_positional_arguments_bind_by_the_signature_past_what_is_injected() -> None:
    def send(pool: Pool, to: str, copies: int) -> None: ...

    assert bind(send).encode(("ada",), {"copies": 2}) == b'{"to":"ada","copies":2}'


@pytest.mark.parametrize(
    ("args", "kwargs", "field"),
    [
        ((), {}, "to"),
        ((), {"to": 3}, "to"),
        ((), {"to": "ada", "copies": "many"}, "copies"),
        ((), {"to": "ada", "colour": 1}, "colour"),
        (("ada",), {"to": "bob"}, "to"),
        (("ada", 1, 2), {}, "[2]"),
        ((), {"to": "\ud800"}, "to"),
        ((), {"to": "ada", "copies": float("nan")}, "copies"),
    ],
)
def test_an_argument_that_does_not_fit_is_named(args: tuple[Any, ...], kwargs: dict[str, Any], field: str) -> None:
    def send(to: str, copies: int = 1) -> None: ...

    with pytest.raises(InvalidPayloadError) as caught:
        bind(send).encode(args, kwargs)
    assert caught.value.field == field


def test_a_field_deep_in_a_model_is_named_by_its_path() -> None:
    def move(points: list[Point]) -> None: ...

    with pytest.raises(InvalidPayloadError) as caught:
        bind(move).decode(b'{"points":[{"x":"one","key":"00000000-0000-0000-0000-000000000000"}]}')
    assert caught.value.field == "points.0.x"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nope",
        b"[]",
        b"null",
        b'{"to":"\\ud800"}',
        b'{"to":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"to":"a","to2":1}',
        b"\xff\xfe",
    ],
)
def test_bytes_that_are_no_payload_are_one_error(data: bytes) -> None:
    def send(to: str) -> None: ...

    with pytest.raises(InvalidPayloadError):
        bind(send).decode(data)


def test_an_error_never_shows_the_value() -> None:
    def send(code: int) -> None: ...

    with pytest.raises(InvalidPayloadError) as caught:
        bind(send).decode(b'{"code":"hunter2"}')
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", [object(), {"a": object()}, {1, object()}, float("inf"), {"a": [float("nan")]}])
def test_a_value_that_json_has_no_word_for_is_named(value: Any) -> None:
    def send(to: str, extra: Any = None) -> None: ...

    with pytest.raises(InvalidPayloadError) as caught:
        bind(send).encode((), {"to": "ada", "extra": value})
    assert caught.value.field == "extra"


def test_other_keywords_are_allowed_where_the_function_takes_them_and_checked_by_their_type() -> None:
    def send(to: str, **rest: int) -> None: ...

    binding = bind(send)
    assert binding.decode(binding.encode((), {"to": "ada", "copies": 2})) == {"to": "ada", "copies": 2}
    with pytest.raises(InvalidPayloadError, match="copies"):
        binding.encode((), {"to": "ada", "copies": "many"})


def test_names_that_pydantic_keeps_for_itself_can_be_parameters() -> None:
    def send(json: str, model_config: int, schema: bool, _private: int) -> None: ...

    arguments = {"json": "a", "model_config": 1, "schema": True, "_private": 2}
    assert bind(send).decode(bind(send).encode((), arguments)) == arguments


@pytest.mark.parametrize("annotation", [SecretStr, SecretBytes, list[SecretStr], Vault, dict[str, Vault] | None])
def test_a_secret_anywhere_in_the_annotations_is_refused_at_declaration(annotation: Any) -> None:
    def send(password: str) -> None: ...

    send.__annotations__["password"] = annotation
    with pytest.raises(InvalidPayloadError, match="reference") as caught:
        bind(send)
    assert caught.value.field == "password"


def test_arguments_without_a_name_are_refused_at_declaration_with_a_cure() -> None:
    def many(*names: str) -> None: ...
    def bare(name: str, /) -> None: ...

    with pytest.raises(InvalidPayloadError, match="take a list"):
        bind(many)
    with pytest.raises(InvalidPayloadError, match="drop the '/'"):
        bind(bare)


def open_pool() -> Mailer:
    return Mailer()


def test_injected_parameters_are_known_by_type_by_mark_and_by_registration() -> None:
    def send(
        to: str,
        pool: Pool,
        mailer: Annotated[Mailer, Inject(open_pool, "job")],
        bare: Annotated[Mailer, Inject],
        maybe: Pool | None = None,
    ) -> None: ...

    found = {one.parameter: one for one in bind(send).injections}
    assert list(found) == ["pool", "mailer", "bare", "maybe"]
    assert found["mailer"].mark == Inject(open_pool, "job")
    assert found["mailer"].type is Mailer
    assert found["maybe"].optional
    assert bind(send).encode((), {"to": "ada"}) == b'{"to":"ada"}'


def test_a_type_can_be_marked_as_injectable() -> None:
    class Clock: ...

    def send(clock: Any) -> None: ...

    send.__annotations__["clock"] = Clock
    mark_injectable(Clock)
    assert [one.parameter for one in bind(send).injections] == ["clock"]


def test_a_type_that_no_payload_can_hold_says_to_mark_it() -> None:
    def send(mailer: Mailer) -> None: ...

    with pytest.raises(ConfigError, match="Inject"):
        bind(send).prepare()


def test_an_annotation_that_is_not_known_says_so_at_the_first_use() -> None:
    def send(thing: Nowhere) -> None: ...  # type: ignore[name-defined] # noqa: F821

    binding = bind(send)
    with pytest.raises(ConfigError, match="Nowhere"):
        binding.encode((), {"thing": 1})


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(text=st.text(), number=st.integers(-(2**63), 2**63 - 1), flag=st.booleans(), value=json_values)
def test_plain_values_come_back_as_they_were(text: str, number: int, flag: bool, value: Any) -> None:
    def send(text: str, number: int, flag: bool, value: Any = None) -> None: ...

    binding = bind(send)
    arguments = {"text": text, "number": number, "flag": flag, "value": value}
    assert binding.decode(binding.encode((), arguments)) == arguments


@given(number=st.integers())
def test_a_whole_number_of_any_size_comes_back(number: int) -> None:
    def send(number: int) -> None: ...

    binding = bind(send)
    assert binding.decode(binding.encode((), {"number": number})) == {"number": number}


def test_a_payload_without_a_handler_is_any_mapping_of_names() -> None:
    assert encode_payload(None) == b"{}"
    assert encode_payload({"at": datetime(2030, 1, 1, tzinfo=UTC)}) == b'{"at":"2030-01-01T00:00:00Z"}'
    assert encode_payload({"who": Address(street="Elm", since=datetime(2030, 1, 1, tzinfo=UTC))}).startswith(
        b'{"who":{'
    )
    with pytest.raises(InvalidPayloadError, match="object"):
        encode_payload([1])  # type: ignore[arg-type]
    with pytest.raises(InvalidPayloadError, match="keys"):
        encode_payload({1: 2})  # type: ignore[dict-item]
    with pytest.raises(InvalidPayloadError) as caught:
        encode_payload({"a": 1, "b": object()})
    assert caught.value.field == "b"


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"x": float("-inf")}])
def test_a_payload_without_a_handler_holds_no_number_that_json_has_not(value: Any) -> None:
    with pytest.raises(InvalidPayloadError) as caught:
        encode_payload({"a": None, "b": value})
    assert caught.value.field == "b"


@pytest.mark.parametrize("data", [b"[]", b"1", b"{", b'{"a":1e999}', b'{"a":' + b"[" * 200 + b"]" * 200 + b"}"])
def test_encoded_payloads_from_outside_have_to_be_sane_objects(data: bytes) -> None:
    with pytest.raises(InvalidPayloadError):
        parse_payload(data)
