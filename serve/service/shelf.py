"""Conversations that are open: two windows of one person on the same one share it."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Protocol

from ..store.errors import NotFoundError
from .conversation import Conversation
from .record import Record

if TYPE_CHECKING:
    from ..store.conversations import Conversations
    from .looking import Eyes


class Window(Protocol):
    """What has a conversation open: a :class:`.session.ChatSession`."""

    owner: str
    conversation: Conversation


class Shelf:
    """Begins conversations, opens kept ones, and knows who has which open; any thread may use it.

    Args:
        conversations: Where they are kept; ``None`` for nowhere.
    """

    def __init__(self, conversations: Conversations | None = None) -> None:
        self._conversations = conversations
        self._windows: weakref.WeakSet[Window] = weakref.WeakSet()
        self._lock = threading.RLock()

    def enter(self, window: Window) -> None:
        """Notes a window, for as long as it lives."""
        with self._lock:
            self._windows.add(window)

    def open_by(self, owner: str) -> list[Conversation]:
        """Returns the conversations that an owner's windows have open, each as often as it is."""
        with self._lock:
            return [window.conversation for window in self._windows if window.owner == owner]

    def begin(self, eyes: Eyes, owner: str) -> Conversation:
        """Returns an empty conversation, which is kept from its first medium or question on."""
        return Conversation(eyes, owner, Record(self._conversations, owner, eyes.name))

    def open(self, window: Window, eyes: Eyes, id: str) -> None:
        """Has a window go on with a kept conversation: the one that another has open, or as it was written down.

        Raises:
            NotFoundError: The owner has none of this id.
        """
        owner, kept = window.owner, self._conversations
        if kept is None:
            raise NotFoundError("this server keeps no conversations")
        with self._lock:  # else two windows might each make one of their own
            found = kept.get(owner, id)
            shared = (one for one in self.open_by(owner) if one.record.id == id)
            record = Record(kept, owner, eyes.name, id)
            self.turn(window, next(shared, None) or Conversation(eyes, owner, record, found))

    def turn(self, window: Window, conversation: Conversation) -> None:
        """Has a window leave its conversation for another one; the work of one that nobody has open any more ends."""
        with self._lock:
            left, window.conversation = window.conversation, conversation
            is_open = any(one is left for one in self.open_by(left.owner))
        if not is_open:
            left.close()
