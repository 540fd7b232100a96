"""Which parameters of a handler are injected by the worker instead of coming with the payload.

Three ways to say so, all read from the annotation, so that a client knows them without the worker's set-up:
the type has `__jetmill_inject__ = True` (JobContext does), the type was passed to `mark_injectable`, or the
parameter is `Annotated[Pool, Inject(open_pool)]`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

Scope = Literal["worker", "job"]


@dataclass(frozen=True, slots=True)
class Inject:
    """Mark of an injected parameter: `Annotated[Pool, Inject(open_pool)]`, or bare `Annotated[Pool, Inject]`."""

    provider: Callable[..., Any] | None = None
    """Makes the resource: a function, a coroutine function, or a generator (async or not) that yields it once and
    tears it down afterwards; None: what the worker has for the type."""
    scope: Scope = "worker"
    """Made once per worker process, or for each job."""


@dataclass(frozen=True, slots=True)
class Injection:
    """A parameter that the worker fills."""

    parameter: str
    type: Any
    """The annotation without its `Annotated`."""
    mark: Inject
    optional: bool
    """It has a default, or may be None: without a provider it stays away."""


_marked: set[Any] = set()


def mark_injectable(resource: type) -> None:
    """Let parameters annotated with this type be injected from now on; call it before handlers are declared."""
    _marked.add(resource)


def find_inject(annotation: Any) -> tuple[Any, Inject] | None:
    """The bare type and the mark of an injected parameter's annotation; None: it belongs to the payload."""
    if get_origin(annotation) is Annotated:
        bare, *marks = get_args(annotation)
        for mark in marks:
            if mark is Inject or isinstance(mark, Inject):
                return bare, mark if isinstance(mark, Inject) else Inject()
        annotation = bare
    bare = _strip_none(annotation)
    if getattr(bare, "__jetmill_inject__", False) is True or (isinstance(bare, type) and bare in _marked):
        return bare, Inject()
    return None


def _strip_none(annotation: Any) -> Any:
    """`X` of `X | None`."""
    if get_origin(annotation) in (Union, UnionType):
        rest = [arm for arm in get_args(annotation) if arm is not type(None)]
        if len(rest) == 1:
            return rest[0]
    return annotation
