"""A conversation about videos and images: each encoded once, asked as often as one likes.

    from videollm import VideoChat, load_model

    chat = VideoChat(load_model("pocket"), "clip.mp4")
    answer = chat.ask("What happens first?")
    for piece in chat.stream("And then?"):
        print(piece, end="")

A second question touches neither the video nor what the language model has read already.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from PIL.Image import Image

from .asking import AnswerStream, Driver
from .encodings.cache import Cache
from .errors import ConfigError, DataError
from .media import Frames, Medium, ReadOptions, Source, load_medium, processor_of
from .model.generation import PromptCache, default_settings
from .model.modeling import VideoLLM
from .model.prompting import count_marks, escape_marks
from .values import Answer, EncodedVideo, GenerationSettings, Message
from .video.reading import Backend

#: One medium, at any point of its way into the model.
Media: TypeAlias = "Source | Frames | Medium | EncodedVideo"

_MARK = "<video>\n"


class VideoChat:
    """A conversation with one model. For one thread at a time; only :meth:`stop` may be called from another.

    Attributes:
        model: The model that answers.
        last_answer: The last answer, as far as it got; ``None`` before the first.
    """

    def __init__(
        self,
        model: VideoLLM,
        media: Media | Iterable[Media] = (),
        *,
        max_visual_tokens: int | None = None,
        fps: float | None = None,
        max_frames: int | None = None,
        start_s: float | None = None,
        end_s: float | None = None,
        backend: Backend = "auto",
        system: str | None = None,
        cache: Cache | None = None,
        evidence: bool = True,
        history: Sequence[Message] = (),
        driver: Driver | None = None,
    ) -> None:
        """Reads and encodes the media.

        Args:
            model: A model of :func:`~videollm.checkpoints.load_model`.
            media: Paths of videos and images, pictures in memory, encoded videos, or a sequence of any of them.
            max_visual_tokens: Most visual tokens of each; ``None`` for the checkpoint's own setting.
            fps: Frames to look at in each second; ``None`` for the checkpoint's own setting.
            max_frames: Most frames of each; ``None`` for the checkpoint's own setting.
            start_s: Start of the window that is looked at, in seconds.
            end_s: End of the window.
            backend: Who decodes: ``"auto"``, ``"pyav"`` or ``"decord"``.
            system: A system prompt.
            cache: Where encoded media are kept, such as ``open_cache()`` of ``videollm.encodings.places``, which lasts
                from run to run; ``None`` for this process's memory.
            evidence: Whether answers say on which seconds of the videos they rest; found once an answer has ended.
            history: Turns of an earlier conversation to go on with, as :attr:`history` gave them; the media are those
                of its marks, in order, and perhaps more.
            driver: Who calls the model; ``None`` for whoever asks, in their own thread.

        Raises:
            UnreadableVideoError: A file cannot be read; one line for a person.
            ConfigError: A setting is out of range, or the model has no processor.
            DataError: An encoded video is of another model, or the history has marks for more media than there are.
        """
        self.model = model
        self.last_answer: Answer | None = None
        self._processor = processor_of(model)
        self._options = ReadOptions(start_s, end_s, fps, max_frames, max_visual_tokens, backend)
        self._encodings = cache
        self._finds_evidence = evidence
        self._driver = driver
        self._system = () if system is None else (Message("system", system),)
        self._turns: tuple[Message, ...] = tuple(history)
        self._media: tuple[Medium, ...] = ()
        self._untold: tuple[Medium, ...] = ()
        self._cache = PromptCache()
        self._stopping = threading.Event()
        self._open: Generator[str, None, None] | None = None
        self.add(media)
        placed = sum(count_marks(turn.content) for turn in self._turns)
        if placed > len(self._media):
            raise DataError(
                f"the history speaks of {placed} media, got {len(self._media)}; give all, in order"
            )

    @property
    def history(self) -> tuple[Message, ...]:
        """The turns so far, oldest first, with a ``<video>`` mark where each medium stands."""
        return self._turns

    @property
    def videos(self) -> tuple[EncodedVideo, ...]:
        """All media of the conversation in the order of their marks, those of the next turn last."""
        return tuple(medium.encoded for medium in self._media)

    def add(self, media: Media | Iterable[Media]) -> None:
        """Reads and encodes more media; they stand in the next question.

        Raises:
            UnreadableVideoError: A file cannot be read; then none is added.
            ConfigError: A setting is out of range.
            DataError: An encoded video is of another model.
        """
        read = self._load(media)
        self._media += read
        self._untold += read

    def replace(self, media: Media | Iterable[Media]) -> None:
        """Puts media in the places of those that are there, such as the same files looked at anew; the turns stay.

        Args:
            media: As many as there are.

        Raises:
            UnreadableVideoError: A file cannot be read; then all stay as they are.
            DataError: An encoded video is of another model, or there are more or fewer media than before.
        """
        self._close()
        read = self._load(media)
        if len(read) != len(self._media):
            raise DataError(
                f"replacing needs as many media as there are, {len(self._media)}, got {len(read)}; use add() or reset()"
            )
        self._media = self._untold = read

    def ask(self, question: str, **settings: Any) -> Answer:
        """Answers a question.

        Args:
            question: What is asked.
            **settings: Fields of :class:`~videollm.values.GenerationSettings`: ``max_new_tokens``, ``temperature``,
                ``top_p``, ``repetition_penalty``, ``stop``, ``seed``; the others are the checkpoint's own.

        Returns:
            The answer with its costs and with what the person should know besides.

        Raises:
            ConfigError: The question is empty, or a setting is unknown or out of range.
            ContextOverflowError: The media and the question alone are too long for the language model.
        """
        for _ in self.stream(question, **settings):
            pass
        assert self.last_answer is not None
        return self.last_answer

    def stream(self, question: str, **settings: Any) -> Iterator[str]:
        """Answers a question in pieces, as they come; :attr:`last_answer` is the whole once they have ended.

        Closing the stream (or leaving its loop) stops the work, and so does :meth:`stop`. The answer then stays in the
        conversation as far as it got. An answer that is still open when the next question comes is closed first.

        Args:
            question: What is asked.
            **settings: As for :meth:`ask`.

        Raises:
            ConfigError: The question is empty, or a setting is unknown or out of range.
            ContextOverflowError: The media and the question alone are too long for the language model (when the first
                piece is asked for).
        """
        chosen = _generation_settings(settings, default_settings(self.model))
        if not question.strip():
            raise ConfigError("the question is empty; ask something")
        self._close()
        self._stopping.clear()
        self._open = self._answer(question, chosen)
        return self._open

    def stop(self) -> None:
        """Ends the running answer before its next token; may be called from another thread."""
        self._stopping.set()

    def undo(self) -> None:
        """Takes the last question and its answer back; media that came with it stand in the next question."""
        self._close()
        self._turns, self.last_answer = self._turns[:-2], None

    def reset(self, *, keep_media: bool = True) -> None:
        """Starts the conversation anew.

        Args:
            keep_media: Whether the media stay, to be asked about again; else they are forgotten too.
        """
        self._close()
        self._turns, self.last_answer = (), None
        if not keep_media:
            self._media, self._untold = (), ()
            self._cache.clear()

    def _load(self, media: Media | Iterable[Media]) -> tuple[Medium, ...]:
        read = tuple(
            load_medium(self.model, medium, self._options, cache=self._encodings) for medium in _each(media)
        )
        for medium in read:
            _check_origin(self.model, medium.encoded)
        return read

    def _answer(self, question: str, settings: GenerationSettings) -> Generator[str, None, None]:
        placed = sum(count_marks(turn.content) for turn in self._turns)
        asked = Message("user", _MARK * (len(self._media) - placed) + escape_marks(question))
        stream = AnswerStream(
            self.model,
            (*self._system, *self._turns, asked),
            self._media,
            settings,
            cache=self._cache,
            should_stop=self._stopping.is_set,
            driver=self._driver,
            untold=self._untold,
            evidence=self._finds_evidence,
        )
        try:
            yield from stream
        finally:
            stream.close()
            if stream.answer is not None:
                self._remember(asked, stream.answer)

    def _remember(self, asked: Message, answer: Answer) -> None:
        """Takes an answer that has ended into the conversation."""
        self._turns += (asked, Message("assistant", answer.text))
        self._open, self._untold, self.last_answer = None, (), answer

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


def _each(media: Media | Iterable[Media]) -> tuple[Media, ...]:
    if isinstance(media, str | os.PathLike | np.ndarray | Image | Frames | Medium | EncodedVideo):
        return (media,)
    return tuple(media)


def _check_origin(model: VideoLLM, encoded: EncodedVideo) -> None:
    if encoded.fingerprint != model.fingerprint():
        raise DataError(
            f"{encoded.source or 'the video'} was encoded by another model (fingerprint {encoded.fingerprint}, "
            f"this model's is {model.fingerprint()}); encode it again"
        )


def _generation_settings(settings: dict[str, Any], usual: GenerationSettings) -> GenerationSettings:
    known = [field.name for field in dataclasses.fields(GenerationSettings)]
    for name in settings:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise ConfigError(f"unknown generation setting {name!r}: {hint}")
    return dataclasses.replace(usual, **settings)
