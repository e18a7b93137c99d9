"""A description on a model that many share: window by window, so that the answers of others go on between."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from videollm.describe.script import Ask, Script, Told
from videollm.describe.stretches import Window
from videollm.describe.telling import tell
from videollm.errors import CancelledError, VideoLLMError
from videollm.values import Description, VideoInfo
from videollm.values import Event as TimedText

from .events import Waiting

if TYPE_CHECKING:
    from videollm.describe.settings import DescribeOptions
    from videollm.describe.sights import Sight

    from .looking import Eyes
    from .programs import ProgramMedium

# Questions of a window that are answered in one go; others' next words wait as long.
_TOGETHER = 8


@dataclass(frozen=True, slots=True)
class WindowRead:
    """A part of the file has been read.

    Attributes:
        info: What the file says about itself.
        end_s: How far it has been read, in seconds.
    """

    info: VideoInfo | None
    end_s: float


@dataclass(frozen=True, slots=True)
class TextReady:
    """What happens from when to when; in order of time."""

    event: TimedText


@dataclass(frozen=True, slots=True)
class Described:
    """The description is complete."""

    description: Description


Describing = Waiting | WindowRead | TextReady | Described


class DescriptionRun:
    """A file that is to be described as :func:`videollm.describe_video` does; iterating does it and tells what happens.

    Args:
        eyes: What has the model, and says how many files are read at a time.
        owner: On whose behalf.
        medium: The file; its own options are not looked at.
        options: How it is described.

    Raises:
        ConfigError: The model cannot do what is wished for.
    """

    def __init__(self, eyes: Eyes, owner: str, medium: ProgramMedium, options: DescribeOptions) -> None:
        self._eyes, self._owner, self._medium, self._options = eyes, owner, medium, options
        self._script = Script(eyes.model, options)
        self._stopping = threading.Event()
        self._has_begun = False

    def __iter__(self) -> Iterator[Describing]:
        """Describes.

        Raises:
            VideoLLMError: The file cannot be read, the server is busy, or it was stopped.
        """
        try:
            whole = yield from self._tell_windows()
            description = yield from self._close(whole)
        except VideoLLMError as error:
            raise type(error)(self._named(str(error))) from error
        yield Described(replace(description, notices=tuple(map(self._named, description.notices))))

    def stop(self) -> None:
        """Ends the work as soon as may be; may be called from any thread."""
        self._stopping.set()

    def _tell_windows(self) -> Generator[Describing, None, Sight | None]:
        """Says what each stretch shows; returns all of the file at once, where the summary will be about that."""
        script, whole, told = self._script, None, 0
        windows = script.read(self._medium.path)
        while (window := self._next(windows)) is not None:
            whole = window.whole
            if window.stretches:
                frames = window.stretches[-1].frames
                yield WindowRead(frames.info, frames.plan.end_s)
            asks = [script.about(stretch) for stretch in window.stretches]
            for ask, answer in zip(asks, (yield from self._answers(asks)), strict=True):
                script.take(ask, answer)
            yield from map(TextReady, script.events[told:])
            told = len(script.events)
        return whole

    def _next(self, windows: Iterator[Window]) -> Window | None:
        with self._eyes.reading(self._stopping.is_set, is_admitted=self._has_begun):
            if self._stopping.is_set():
                raise CancelledError("stopped before all was read")
            return next(windows, None)

    def _close(self, whole: Sight | None) -> Generator[Describing, None, Description]:
        """Asks what is asked about all of it."""
        closing = self._script.closing(whole)
        try:
            asks = next(closing)
            while True:
                asks = closing.send((yield from self._answers(asks)))
        except StopIteration as end:
            description: Description = end.value
            return description

    def _answers(self, asks: Sequence[Ask]) -> Generator[Waiting, None, list[Told]]:
        """Has questions answered where the model may be used, a few at a time."""
        told: list[Told] = []
        for first in range(0, len(asks), _TOGETHER):
            told += yield from self._answer(asks[first : first + _TOGETHER])
            self._has_begun = True
        return told

    def _answer(self, asks: Sequence[Ask]) -> Generator[Waiting, None, list[Told]]:
        return (
            yield from self._eyes.run(
                self._owner,
                lambda: tell(self._eyes.model, asks, self._options),
                self._stopping.is_set,
                is_admitted=self._has_begun,
            )
        )

    def _named(self, message: str) -> str:
        """A message in which the file has its name: where it lies is the server's own affair."""
        path = self._medium.path
        return message.replace(str(path), self._medium.name).replace(path.name, self._medium.name)
