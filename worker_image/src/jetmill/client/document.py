"""Events of documents: what an application's own repository tells when it has written one.

Jetmill has no repository. `DocumentEvents` is what one calls from its hooks, after the write: each call publishes one
event, whose id is made of the document's version where it has one, so that a hook that runs twice tells it once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from jetmill.client.event import BaseEvent
from jetmill.protocol.identity import id_from_key


class DocumentEvent(BaseEvent, subject="doc_id"):
    """What is told of any document."""

    doctype: str
    """The kind of document: `Todo`."""
    doc_id: str
    values: dict[str, Any] | None = None
    """The document's fields, if they are to be told."""
    version: str | None = None
    """Of the document, once it is written."""


class DocCreated(DocumentEvent, type="doc.created"):
    """A document is there that was not."""


class DocUpdated(DocumentEvent, type="doc.updated"):
    """A document has changed."""

    changed: list[str] | None = None
    """Names of the fields that have."""


class DocDeleted(DocumentEvent, type="doc.deleted"):
    """A document is gone."""


class DocSubmitted(DocumentEvent, type="doc.submitted"):
    """A document counts from now on, and is not to be changed any more."""


class DocCancelled(DocumentEvent, type="doc.cancelled"):
    """A document that was submitted does not count any more."""


class Publisher(Protocol):
    """What publishes: a Client, or the module `jetmill`."""

    async def publish(self, event: BaseEvent, /, *, id: str | None = None) -> str:  # noqa: A002 - the attribute's name
        """Publish and give the id."""
        ...


class DocumentEvents:
    """The hooks of a repository, for one kind of document: `hooks = DocumentEvents("Todo", client)`, then
    `await hooks.after_insert(todo.name, user=…)` and so on. Call them after the commit: an event cannot be rolled back.
    """

    def __init__(self, doctype: str, publisher: Publisher) -> None:
        self.doctype = doctype
        self._publisher = publisher

    async def after_insert(self, doc_id: str, **said: Any) -> str:
        """A document was inserted: `doc.created`. `said` is `values`, `version`, `user`; the event's id."""
        return await self._tell(DocCreated(doctype=self.doctype, doc_id=doc_id, **said))

    async def after_update(self, doc_id: str, *, before: Mapping[str, Any] | None = None, **said: Any) -> str:
        """A document was written anew: `doc.updated`; given what it was `before`, with the names of what changed."""
        after = said.get("values")
        if before is not None and after is not None and "changed" not in said:
            names = sorted({*before, *after})
            said["changed"] = [name for name in names if before.get(name) != after.get(name)]
        return await self._tell(DocUpdated(doctype=self.doctype, doc_id=doc_id, **said))

    async def after_delete(self, doc_id: str, **said: Any) -> str:
        """A document was removed: `doc.deleted`."""
        return await self._tell(DocDeleted(doctype=self.doctype, doc_id=doc_id, **said))

    async def after_submit(self, doc_id: str, **said: Any) -> str:
        """A document was submitted: `doc.submitted`."""
        return await self._tell(DocSubmitted(doctype=self.doctype, doc_id=doc_id, **said))

    async def after_cancel(self, doc_id: str, **said: Any) -> str:
        """A submitted document was cancelled: `doc.cancelled`."""
        return await self._tell(DocCancelled(doctype=self.doctype, doc_id=doc_id, **said))

    async def _tell(self, event: DocumentEvent) -> str:
        event_id = None
        if event.version is not None:
            event_id = str(id_from_key("document", event.type, event.doctype, event.doc_id, event.version))
        return await self._publisher.publish(event, id=event_id)
