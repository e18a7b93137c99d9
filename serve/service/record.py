"""What is kept of one conversation while it goes on; the talk does not stop where that fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from videollm.errors import ConfigError, VideoLLMError
from videollm.media import ReadOptions

if TYPE_CHECKING:
    from ..store.conversations import Conversations
    from ..store.values import Turn

_logger = logging.getLogger(__name__)
# Options of a look that a person chooses; the others are the server's own.
_CHOSEN = ("start_s", "end_s", "fps", "max_frames", "max_visual_tokens")


class Record:
    """Writes down what happens in a conversation; it begins to exist with the first that does.

    Args:
        conversations: Where it is kept; ``None`` for nowhere.
        owner: Whose it is.
        model: Name of the model that answers.
        id: Its id, if it is kept already.

    Attributes:
        id: Its id; ``None`` while there is nothing to keep.
        changes: How often something was to be written down, whether it is kept or not.
        problem: Why nothing is kept any more, one line for a person; ``None`` while all is well.
    """

    def __init__(
        self, conversations: Conversations | None, owner: str, model: str, id: str | None = None
    ) -> None:
        self.id = id
        self.changes = 0
        self.problem: str | None = None
        self._conversations = conversations
        self._owner, self._model = owner, model

    def add_medium(self, upload: str, options: ReadOptions) -> None:
        """Notes a medium that was read."""
        look = to_json(options)
        self._keep(lambda kept, id: kept.add_medium(self._owner, id, upload, look))

    def set_options(self, media: int, options: ReadOptions) -> None:
        """Notes that so many media are looked at otherwise."""
        look = to_json(options)
        for position in range(media):
            self._keep(partial(_set_options, owner=self._owner, position=position, look=look))

    def append(self, turn: Turn) -> None:
        """Notes a new turn."""
        self._keep(lambda kept, id: kept.append(self._owner, id, turn))

    def end(self, turn: Turn) -> None:
        """Notes what became of the last turn."""
        self._keep(lambda kept, id: kept.replace_last(self._owner, id, turn))

    def truncate(self, position: int) -> None:
        """Notes that a turn was taken back, and all behind it."""
        self._keep(lambda kept, id: kept.truncate(self._owner, id, position))

    def delete(self) -> None:
        """Lets go of what was kept; from now on nothing is."""
        if self.id is not None:
            self._keep(lambda kept, id: kept.delete(self._owner, id))
        self.id, self._conversations = None, None

    def _keep(self, change: Callable[[Conversations, str], object]) -> None:
        self.changes += 1
        if self._conversations is None or self.problem is not None:
            return
        try:
            if self.id is None:
                self.id = self._conversations.create(self._owner, self._model)
            change(self._conversations, self.id)
        except VideoLLMError as error:
            _logger.warning("a conversation is kept no longer: %s", error)
            self.problem = f"From here on this conversation is not kept: {error}"


def _set_options(kept: Conversations, id: str, *, owner: str, position: int, look: dict[str, Any]) -> None:
    kept.set_options(owner, id, position, look)


def to_json(options: ReadOptions) -> dict[str, Any]:
    """Returns what a person chose of a look, as plain JSON types."""
    return {name: getattr(options, name) for name in _CHOSEN}


def from_json(look: Mapping[str, Any]) -> ReadOptions:
    """Returns the look that was written down; one that means nothing (any more) is the checkpoint's own."""
    try:
        return ReadOptions(**{name: value for name, value in look.items() if name in _CHOSEN})
    except (ConfigError, TypeError):
        return ReadOptions()
