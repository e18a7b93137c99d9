"""The files of pages: found by id among what their owner brought, removed when no page shows them any more."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from videollm.errors import VideoLLMError

from .events import BroughtFile
from .store.errors import NotFoundError

if TYPE_CHECKING:
    from .session import ChatSession
    from .store.uploads import Uploads
    from .store.values import Upload

_logger = logging.getLogger(__name__)
# Parts the ids that a page lists from those that were taken away; no id has it.
_PARTING = "/"


@dataclass(frozen=True, slots=True)
class Listed:
    """What a page says of its list.

    Attributes:
        ids: The files in the list, in order, each once.
        removed: Those that were taken away since the page was opened.
    """

    ids: tuple[str, ...] = ()
    removed: frozenset[str] = frozenset()

    @classmethod
    def read(cls, text: str | None) -> Listed:
        """Reads what the page sends: ids between spaces, behind a slash those that were taken away."""
        listed, _, removed = (text or "").partition(_PARTING)
        ids = tuple(dict.fromkeys(listed.split()))
        return cls(ids, frozenset(removed.split()).difference(ids))


class PageFiles:
    """Finds and removes the uploads that pages show; any thread may use it.

    Args:
        uploads: The uploads of all owners.
    """

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads
        self._open: weakref.WeakSet[ChatSession] = weakref.WeakSet()
        self._lock = threading.Lock()

    def enter(self, session: ChatSession) -> ChatSession:
        """Notes a session whose files are to stay while it lives; returns it."""
        with self._lock:
            self._open.add(session)
        return session

    def find(self, session: ChatSession, ids: Sequence[str]) -> tuple[list[BroughtFile], list[str]]:
        """Returns the files of these ids, and the ids that the session's owner has nothing of.

        What the session holds already it may go on with, though it has expired meanwhile.
        """
        known = {file.id: file for file in session.files}
        if known.keys() >= set(ids):
            return [known[id] for id in ids], []
        mine = {upload.id: upload for upload in self._uploads.list(session.owner)}
        files, missing = [], []
        for id in ids:
            try:
                files.append(known[id] if id in known else self._file(mine[id]))
            except (KeyError, NotFoundError):
                missing.append(id)
        return files, missing

    def remove(self, session: ChatSession, ids: Iterable[str]) -> None:
        """Removes uploads that a session has let go of, but for those that another session of the owner holds."""
        mine = {upload.id for upload in self._uploads.list(session.owner)}
        for id in (mine & set(ids)) - self._held_elsewhere(session):
            try:
                self._uploads.delete(session.owner, id)
            except NotFoundError:
                pass  # somebody was quicker
            except VideoLLMError as error:
                # It goes when its time is over; the page need not stop for that.
                _logger.warning("an upload could not be removed: %s", error)

    def _file(self, upload: Upload) -> BroughtFile:
        return BroughtFile(upload.id, upload.name, self._uploads.path(upload.owner, upload.id))

    def _held_elsewhere(self, session: ChatSession) -> set[str]:
        with self._lock:
            others = [each for each in self._open if each is not session and each.owner == session.owner]
        return {file.id for other in others for file in other.files}
