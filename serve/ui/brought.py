"""The files of pages: found by id among what their owner brought, removed when nothing needs them any more."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from videollm.errors import VideoLLMError

from ..service.events import BroughtFile
from ..store.errors import NotFoundError

if TYPE_CHECKING:
    from ..service.session import ChatSession
    from ..service.shelf import Shelf
    from ..store.store import Store
    from ..store.values import Upload

_logger = logging.getLogger(__name__)


class PageFiles:
    """Finds and removes the uploads that pages show; any thread may use it.

    Args:
        store: The uploads of all owners, and the conversations that are about them.
        shelf: The conversations that are open.
    """

    def __init__(self, store: Store, shelf: Shelf) -> None:
        self._store, self._shelf = store, shelf

    @property
    def store(self) -> Store:
        """What is kept of all owners."""
        return self._store

    def find(self, session: ChatSession, ids: Sequence[str]) -> tuple[list[BroughtFile], list[str]]:
        """Returns the files of these ids, and the ids that the session's owner has nothing of.

        What the session holds already it may go on with, though it has expired meanwhile.
        """
        known = {file.id: file for file in session.files}
        if known.keys() >= set(ids):
            return [known[id] for id in ids], []
        mine = {upload.id: upload for upload in self._store.uploads.list(session.owner)}
        files, missing = [], []
        for id in ids:
            try:
                files.append(known[id] if id in known else self._file(mine[id]))
            except (KeyError, NotFoundError):
                missing.append(id)
        return files, missing

    def facts(self, owner: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Returns what the page's list shows of those uploads that the owner has."""
        mine = {upload.id: upload for upload in self._store.uploads.list(owner)}
        return [
            {"id": id, "name": mine[id].name, "size": mine[id].size, "expires_s": mine[id].expires_s}
            for id in ids
            if id in mine
        ]

    def remove(self, owner: str, ids: Iterable[str]) -> None:
        """Removes those of an owner's uploads that no conversation, open or kept, is about."""
        mine = {upload.id for upload in self._store.uploads.list(owner)}
        for id in (mine & set(ids)) - self._used(owner):
            try:
                self._store.uploads.delete(owner, id)
            except NotFoundError:
                pass  # somebody was quicker
            except VideoLLMError as error:
                # It goes when its time is over; the page need not stop for that.
                _logger.warning("an upload could not be removed: %s", error)

    def _file(self, upload: Upload) -> BroughtFile:
        return BroughtFile(upload.id, upload.name, self._store.uploads.path(upload.owner, upload.id))

    def _used(self, owner: str) -> set[str]:
        used = self._store.conversations.uploads_of(owner)
        return used.union(*(conversation.ids for conversation in self._shelf.open_by(owner)))
