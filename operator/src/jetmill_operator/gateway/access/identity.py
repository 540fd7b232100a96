"""Who asks, as the API server knows them."""

from __future__ import annotations

import time

import msgspec


class Identity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A user, as a TokenReview gives it and a SubjectAccessReview wants it."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, list[str]] = {}
    expires: float | None = None
    """Unix seconds: when what proved it ends; None: it does not say."""

    def has_ended(self, now: float | None = None) -> bool:
        """Tell whether what proved it has run out."""
        return self.expires is not None and (time.time() if now is None else now) >= self.expires

    @property
    def key(self) -> tuple[str, str, frozenset[str], tuple[tuple[str, tuple[str, ...]], ...]]:
        """What the API server decides by; two identities with one key may do the same."""
        extra = tuple(sorted((name, tuple(values)) for name, values in self.extra.items()))
        return self.name, self.uid, frozenset(self.groups), extra


LOCAL = Identity(name="local")
"""Whoever sits at this machine, where nobody is asked who they are (`auth=none`)."""
