"""A conversation about some media: reading them, answering, and what a person sees of it, as a stream of events."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from videollm.chat import VideoChat
from videollm.errors import CancelledError, VideoLLMError
from videollm.media import Medium, ReadOptions

from .driving import EngineDriver
from .events import BroughtFile, Done, Event, Failed, MediumView, Reading, TextPiece, VideoReady, Waiting
from .looking import Eyes

_logger = logging.getLogger(__name__)
#: What an answer says that was stopped before its first word.
STOPPED = "Stopped before the answer began."
_STUMBLED = "Something went wrong inside the program; its log on the server says what. You can go on asking."


@dataclass(frozen=True, slots=True)
class Turn:
    """One exchange as a person sees it.

    Attributes:
        question: What was asked; ``None`` where the program speaks by itself (a file that could not be read).
        text: The answer as far as it has come, or what went wrong.
        failed: Whether ``text`` says what went wrong.
        remembered: Whether the model's own history holds the exchange.
    """

    question: str | None
    text: str = ""
    failed: bool = False
    remembered: bool = False


class Conversation:
    """Media, turns, and what the model keeps of them. One piece of work, reading or answering, runs at a time.

    Args:
        eyes: What media are looked at with, and what has the model.
        owner: Whose it is.
        options: How media are looked at.
    """

    def __init__(self, eyes: Eyes, owner: str, options: ReadOptions) -> None:
        self.options = options
        self.unreadable: set[BroughtFile] = set()
        self._eyes, self._owner = eyes, owner
        self._work = threading.Lock()
        self._stop = threading.Event()
        self._turns: list[Turn] = []
        self._views: list[MediumView] = []
        self._driver = EngineDriver(eyes.engine, owner)
        self._chat = VideoChat(eyes.model, driver=self._driver)

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The exchanges so far, oldest first; the last one grows while its answer is written."""
        return tuple(self._turns)

    @property
    def views(self) -> tuple[MediumView, ...]:
        """The media, in order."""
        return tuple(self._views)

    @property
    def files(self) -> list[BroughtFile]:
        """The files of the media, in order."""
        return [view.file for view in self._views]

    @property
    def stopped(self) -> bool:
        """Whether the last work was stopped."""
        return self._stop.is_set()

    def read(self, files: Sequence[BroughtFile]) -> Iterator[Event]:
        """Reads further files; one that cannot be read is reported and left out, one that was read meanwhile too."""
        with self._work:
            self._stop.clear()
            for file in files:
                if self._stop.is_set():
                    return
                if file in self.files or file in self.unreadable:
                    continue
                yield Reading(file.name)
                yield from self._guarded(self._read(file), file)

    def ask(self, question: str, options: ReadOptions, sampling: dict[str, Any]) -> Iterator[Event]:
        """Answers a question, after reading the media again where ``options`` differ from how they were read."""
        with self._work:
            self._stop.clear()
            self._turns.append(Turn(question))
            yield from self._guarded(self._ask(question, options, sampling))

    def refuse(self, question: str, message: str) -> Failed:
        """Takes a question down as one that cannot be answered, and says why."""
        self._turns.append(Turn(question, message, failed=True))
        return Failed(message)

    def stop(self) -> None:
        """Ends the running work after the token or the file it is at; may be called from any thread."""
        self._stop.set()
        self._chat.stop()

    def undo(self) -> str | None:
        """Takes the last question and its answer back, with failures behind it.

        Returns:
            The question, or ``None`` if there was none, or work is still running.
        """
        if not self._work.acquire(blocking=False):
            return None
        try:
            while self._turns:
                turn = self._turns.pop()
                if turn.remembered:
                    self._chat.undo()
                if turn.question is not None:
                    return turn.question
            return None
        finally:
            self._work.release()

    def _read(self, file: BroughtFile) -> Iterator[Event]:
        try:
            view, medium = yield from self._look_at(file, self.options)
        except CancelledError:
            return
        self._chat.add(medium)
        self._views.append(view)
        yield VideoReady(view)

    def _ask(self, question: str, options: ReadOptions, sampling: dict[str, Any]) -> Iterator[Event]:
        if options != self.options:
            yield from self._look_again(options)
        pieces = self._chat.stream(question, **sampling)
        assert isinstance(pieces, Generator)
        with closing(pieces):
            if self._stop.is_set():  # before the stream began: it has not heard of it
                raise CancelledError(STOPPED)
            for piece in pieces:
                if piece:
                    self._write(text=self._turns[-1].text + piece)
                    yield TextPiece(piece)
                elif self._driver.place:
                    yield Waiting(self._driver.place)
        answer = self._chat.last_answer
        assert answer is not None
        answer = replace(answer, notices=tuple(self._in_names(notice) for notice in answer.notices))
        self._write(text=answer.text, remembered=True)
        yield Done(answer)

    def _look_again(self, options: ReadOptions) -> Iterator[Event]:
        """Reads all media with other options; the conversation goes on about what is seen now."""
        views: list[MediumView] = []
        media: list[Medium] = []
        for file in self.files:
            if self._stop.is_set():
                raise CancelledError(STOPPED)
            yield Reading(file.name)
            view, medium = yield from self._look_at(file, options)
            views.append(view)
            media.append(medium)
        self._chat.replace(media)
        self.options, self._views = options, views
        for view in views:
            yield VideoReady(view)

    def _look_at(
        self, file: BroughtFile, options: ReadOptions
    ) -> Generator[Waiting, None, tuple[MediumView, Medium]]:
        return self._eyes.look_at(self._owner, file, options, self._stop.is_set)

    def _guarded(self, events: Iterable[Event], file: BroughtFile | None = None) -> Iterator[Event]:
        """Passes events on; an error becomes the last of them, and a message in the conversation."""
        try:
            yield from events
        except VideoLLMError as error:
            yield self._fail(self._in_names(str(error), file), file)
        except Exception:
            _logger.exception("while answering")
            yield self._fail(_STUMBLED, file)

    def _fail(self, message: str, file: BroughtFile | None) -> Failed:
        if file is None:
            self._write(text=message, failed=True)
        else:
            self.unreadable.add(file)
            self._turns.append(Turn(None, message, failed=True))
        return Failed(message, file)

    def _in_names(self, text: str, file: BroughtFile | None = None) -> str:
        """A text in which all files are called as the person calls them."""
        for known in [*self.files, *([file] if file else [])]:
            text = known.named_in(text)
        return text

    def _write(self, **changes: Any) -> None:
        self._turns[-1] = replace(self._turns[-1], **changes)
