"""Token ids into text while they are still coming: whole characters only, and nothing of a stop string."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# What decoders give for bytes that are not (or not yet) a character.
_UNFINISHED = "\N{REPLACEMENT CHARACTER}"


class TextDecoder:
    """Decodes ids one by one.

    The pieces joined are the text of all ids decoded together, save where the ids spell bytes that are no characters:
    decoders give up a whole run of bytes for one that is wrong, while here the characters before it stay.
    """

    def __init__(self, tokenizer: Any) -> None:
        """Starts with no ids."""
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        # Ids before ``_context`` are done with; those up to ``_given`` are decoded again with each new one, because a
        # decoder may write a token differently at the beginning of a text.
        self._context = 0
        self._given = 0

    def push(self, token_id: int) -> str:
        """Returns the text that one more id completes; empty while a character lacks bytes."""
        self._ids.append(token_id)
        piece = self._new_text()
        if not piece or piece.endswith(_UNFINISHED):
            return ""
        self._context, self._given = self._given, len(self._ids)
        return piece

    def finish(self) -> str:
        """Returns what is still held back."""
        return self._new_text()

    def _new_text(self) -> str:
        before = self._decode(self._ids[self._context : self._given])
        after = self._decode(self._ids[self._context :])
        return after[len(before) :] if after.startswith(before) else self._decode(self._ids[self._given :])

    def _decode(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text


def decode_stepwise(tokenizer: Any, ids: Sequence[int]) -> str:
    """Returns the text of ids as it reads when they come one by one."""
    decoder = TextDecoder(tokenizer)
    return "".join(map(decoder.push, ids)) + decoder.finish()


class StopFilter:
    """Passes text through up to the first stop string, holding back what may be the beginning of one.

    Attributes:
        stopped: Whether a stop string has come.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        """Watches for any of the strings; empty ones are ignored."""
        self._stop = [text for text in stop if text]
        self._held = ""
        self.stopped = False

    def push(self, piece: str) -> str:
        """Returns the text that is safe to show after one more piece."""
        if self.stopped:
            return ""
        text = self._held + piece
        found = [place for place in map(text.find, self._stop) if place >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        safe = len(text) - max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[safe:]
        return text[:safe]

    def finish(self) -> str:
        """Returns what is still held back: the beginning of a stop string that did not come."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of ``text`` that begins ``stop`` without being all of it."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
