"""A conversation about some media: reading them, answering, and what a person sees of it, as a stream of events."""

from __future__ import annotations

import logging
import math
import secrets
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from videollm.errors import CancelledError, VideoLLMError
from videollm.media import Medium, ReadOptions
from videollm.model.generation import PromptCache, default_settings
from videollm.values import Answer, GenerationSettings

from ..store.values import Turn
from .answering import AnswerRun
from .events import (
    BroughtFile,
    Done,
    Event,
    Failed,
    Held,
    MediumView,
    Reading,
    TextPiece,
    VideoReady,
    Waiting,
)
from .history import messages_of
from .looking import Eyes
from .receipts import Receipt, write_receipt
from .record import Record, from_json

if TYPE_CHECKING:
    from ..store.values import Conversation as Kept

_logger = logging.getLogger(__name__)
#: What an answer says that was stopped before its first word.
STOPPED = "Stopped before the answer began."
_STUMBLED = "Something went wrong inside the program; its log on the server says what. You can go on asking."
_BROKEN_OFF = "The server ended before this was answered. Ask again."


class Conversation:
    """Media, turns, and what the model keeps of them. One piece of work, reading or answering, runs at a time.

    Args:
        eyes: What media are looked at with, and what has the model.
        owner: Whose it is.
        record: What writes it down.
        kept: What was written down of it, if it is to go on; its media are not read yet.

    Attributes:
        owner: Whose it is.
        eyes: What media are looked at with, and what has the model.
        record: What writes it down.
        options: How media are looked at.
        ids: The uploads that it is about, in order; those of a kept conversation are not read yet.
        gone: Names of media that it was about, but that are not there any more.
        unreadable: Files that could not be read.
        held: What reading the file would take that was not read for that reason; ``None`` if none was.
    """

    def __init__(self, eyes: Eyes, owner: str, record: Record, kept: Kept | None = None) -> None:
        self.owner, self.record = owner, record
        self.options = ReadOptions()
        self.ids: list[str] = []
        self.gone: tuple[str, ...] = ()
        self.unreadable: set[BroughtFile] = set()
        self.held: Receipt | None = None
        self.eyes = eyes
        # What the model's keys and values of it are kept under.
        self._kept_as = ("page", secrets.token_hex(8))
        self._work = threading.Lock()
        self._stop = threading.Event()
        self._turns: list[Turn] = []
        self._views: list[MediumView] = []
        self._media: list[Medium] = []
        self._untold: list[Medium] = []
        # Of each upload, how many turns came before it.
        self._places: dict[str, int] = {}
        if kept is not None:
            self._take_up(kept)

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The exchanges so far, oldest first; the last one grows while its answer is written."""
        return tuple(self._turns)

    @property
    def revision(self) -> str:
        """Changes with every change that is written down."""
        return f"{self._kept_as[1]}-{self.record.changes}"

    @property
    def views(self) -> tuple[MediumView, ...]:
        """The media that were read, in order."""
        return tuple(self._views)

    @property
    def files(self) -> list[BroughtFile]:
        """The files of the media that were read, in order."""
        return [view.file for view in self._views]

    @property
    def stopped(self) -> bool:
        """Whether the last work was stopped."""
        return self._stop.is_set()

    def read(self, files: Sequence[BroughtFile], *, patience_s: float = math.inf) -> Iterator[Event]:
        """Reads further files; one that cannot be read is reported and left out, one that was read meanwhile too.

        Args:
            files: The files.
            patience_s: A file that takes longer is not read, nor are those behind it: it is told what that will take.
        """
        with self._work:
            self._stop.clear()
            before, self.held = self.held, None
            for file in files:
                if self._stop.is_set() or self.held is not None:
                    break
                if file in self.files or file in self.unreadable:
                    continue
                yield Reading(file.name)
                yield from self._guarded(self._read(file, patience_s), file)
            if self._stop.is_set() and before is not None and before.file not in self.files:
                self.held = before

    def ask(
        self, question: str, options: ReadOptions, sampling: dict[str, Any], eyes: Eyes
    ) -> Iterator[Event]:
        """Answers a question.

        Args:
            question: The question.
            options: How the media are looked at; where they were not looked at so, they are read again.
            sampling: Fields of ``GenerationSettings`` that differ from the checkpoint's own.
            eyes: What has the model that is to answer; where another one did, it looks at the media for itself.
        """
        with self._work:
            self._stop.clear()
            self._append(Turn(question))
            yield from self._guarded(self._ask(question, options, sampling, eyes))

    def refuse(self, question: str, message: str) -> Failed:
        """Takes a question down as one that cannot be answered, and says why."""
        self._append(Turn(question, message, failed=True))
        return Failed(message)

    def stop(self) -> None:
        """Ends the running work after the token or the file it is at; may be called from any thread."""
        self._stop.set()

    def rewind(self, position: int) -> str | None:
        """Takes a turn back, and all behind it.

        Args:
            position: Which turn, from 0.

        Returns:
            Its question, or ``None`` if there is no such turn, it asks nothing, or work is still running.
        """
        if not self._work.acquire(blocking=False):
            return None
        try:
            if not 0 <= position < len(self._turns) or self._turns[position].question is None:
                return None
            question = self._turns[position].question
            del self._turns[position:]
            self._places = {id: min(place, position) for id, place in self._places.items()}
            self.record.truncate(position)
            return question
        finally:
            self._work.release()

    def close(self) -> None:
        """Ends the work and lets go of what the model keeps; of a conversation without a question nothing stays."""
        self.stop()
        self.eyes.prefixes.take(self._kept_as)
        if all(turn.question is None for turn in self._turns):
            self.record.delete()

    def _take_up(self, kept: Kept) -> None:
        self.gone = tuple(medium.name for medium in kept.media if medium.gone)
        there = [medium for medium in kept.media if medium.upload is not None]
        self._places = {medium.upload: medium.turn for medium in there if medium.upload}
        self.ids = list(self._places)
        if kept.media:
            self.options = from_json(kept.media[0].options)
        self._turns = list(kept.turns)
        if self._turns and not (self._turns[-1].remembered or self._turns[-1].failed):
            self._write(text=_BROKEN_OFF, failed=True)

    def _read(self, file: BroughtFile, patience_s: float) -> Iterator[Event]:
        try:
            if patience_s < math.inf:
                receipt = yield from write_receipt(
                    self.eyes, self.owner, file, self.options, self._stop.is_set
                )
                if receipt is not None and receipt.seconds > patience_s:
                    self.held = receipt
                    self._note(file)
                    yield Held(file)
                    return
            view, medium = yield from self._look_at(self.eyes, file, self.options)
        except CancelledError:
            return
        self._views.append(view)
        self._media.append(medium)
        self._untold.append(medium)
        self._note(file)
        yield VideoReady(view)

    def _note(self, file: BroughtFile) -> None:
        """Takes a file down as one that the conversation is about."""
        if file.id not in self._places:
            self.ids.append(file.id)
            self._places[file.id] = len(self._turns)
            self.record.add_medium(file.id, self.options)

    def _ask(
        self, question: str, options: ReadOptions, sampling: dict[str, Any], eyes: Eyes
    ) -> Iterator[Event]:
        settings = _settings(eyes, sampling)
        if options != self.options or eyes is not self.eyes:
            yield from self._look_again(eyes, options)
        if self._stop.is_set():
            raise CancelledError(STOPPED)
        places = [self._places[file.id] for file in self.files]
        cache = eyes.prefixes.take(self._kept_as) or PromptCache()
        run = AnswerRun(
            eyes,
            self.owner,
            messages_of(self._turns[:-1], places, question),
            self._media,
            settings,
            cache=cache,
            should_stop=self._stop.is_set,
            untold=self._untold,
        )
        try:
            yield from self._written(run)
        finally:
            eyes.prefixes.put(self._kept_as, cache)
            if run.answer is not None:
                self._end(run.answer)
        assert run.answer is not None, "an answer that did not fail has ended"
        notices = tuple(self._in_names(notice) for notice in run.answer.notices)
        yield Done(replace(run.answer, notices=notices))

    def _written(self, run: AnswerRun) -> Iterator[Event]:
        """Passes an answer's events on while it is written down; who leaves in the middle ends it."""
        pieces = iter(run)
        assert isinstance(pieces, Generator)
        with closing(pieces):
            for event in pieces:
                if isinstance(event, TextPiece):
                    self._turns[-1] = replace(self._turns[-1], text=self._turns[-1].text + event.text)
                yield event

    def _end(self, answer: Answer) -> None:
        """Takes an answer down that has ended or was stopped."""
        self._untold = []
        self._write(
            text=answer.text,
            remembered=True,
            stopped=answer.finish_reason == "cancelled",
            evidence=answer.evidence,
            usage=asdict(answer.usage),
        )

    def _look_again(self, eyes: Eyes, options: ReadOptions) -> Iterator[Event]:
        """Reads all media with other options or for another model; the talk goes on about what is seen now."""
        views: list[MediumView] = []
        media: list[Medium] = []
        for file in self.files:
            if self._stop.is_set():
                raise CancelledError(STOPPED)
            yield Reading(file.name)
            view, medium = yield from self._look_at(eyes, file, options)
            views.append(view)
            media.append(medium)
        if options != self.options:
            self.record.set_options(len(views), options)
        if eyes is not self.eyes:  # keys and values of one model mean nothing to another
            self.eyes.prefixes.take(self._kept_as)
        self.options, self.eyes = options, eyes
        self._views, self._media, self._untold = views, media, list(media)
        for view in views:
            yield VideoReady(view)

    def _look_at(
        self, eyes: Eyes, file: BroughtFile, options: ReadOptions
    ) -> Generator[Waiting, None, tuple[MediumView, Medium]]:
        return eyes.look_at(self.owner, file, options, self._stop.is_set)

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
            self.ids = [id for id in self.ids if id != file.id]
            self._append(Turn(None, message, failed=True))
        return Failed(message, file)

    def _in_names(self, text: str, file: BroughtFile | None = None) -> str:
        """A text in which all files are called as the person calls them."""
        for known in [*self.files, *([file] if file else [])]:
            text = known.named_in(text)
        return text

    def _append(self, turn: Turn) -> None:
        self._turns.append(turn)
        self.record.append(turn)

    def _write(self, **changes: Any) -> None:
        """Takes down what became of the last turn."""
        self._turns[-1] = replace(self._turns[-1], **changes)
        self.record.end(self._turns[-1])


def _settings(eyes: Eyes, sampling: dict[str, Any]) -> GenerationSettings:
    return replace(default_settings(eyes.model), **sampling)
