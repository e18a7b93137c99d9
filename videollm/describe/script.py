"""One description in progress: what the model is asked about a video, and what its answers make."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace

from ..clock import format_time
from ..media import processor_of
from ..model.modeling import VideoLLM
from ..values import Description, Event, FramePlan, Message, Usage
from ..video.subtitles import Cue, read_subtitles, spoken
from .settings import DescribeOptions
from .sights import Sight
from .stretches import Window, read_windows

_LINE = re.compile(r"\[(\d+(?::\d\d)+)-(\d+(?::\d\d)+)\]\s*(.+)")
# Share of the context that notes for a summary may take; the rest is for the question and the answer.
_NOTES_SHARE = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """A question of a description.

    Attributes:
        question: What is asked.
        sight: What it is about; ``None`` for a question about texts.
        start_s: Where that begins in the file, in seconds.
    """

    question: str
    sight: Sight | None = None
    start_s: float = 0.0

    @property
    def plan(self) -> FramePlan:
        """The plan of what it is about, as of a video that begins here: those that models learn from begin at 0."""
        assert self.sight is not None
        plan = self.sight.frames.plan
        times = tuple(max(0.0, time - self.start_s) for time in plan.times_s)
        return replace(plan, times_s=times, start_s=0.0, end_s=plan.end_s - self.start_s)


@dataclass(frozen=True, slots=True)
class Told:
    """The answer.

    Attributes:
        text: What the model says.
        usage: What it cost.
        notices: What the person should know besides.
    """

    text: str
    usage: Usage
    notices: tuple[str, ...] = ()


class Script:
    """What is asked about a video, stretch by stretch and then about all of it.

    Attributes:
        events: What was said so far; in order of time once the closing questions are asked.
        usage: What the answers so far cost.
        notices: What the person should know besides.
    """

    def __init__(self, model: VideoLLM, options: DescribeOptions) -> None:
        """Begins a description.

        Args:
            model: A model with its processor.
            options: What is wished for.

        Raises:
            ConfigError: The model cannot do what is wished for.
        """
        self._model, self._options = model, options
        self._cues: Sequence[Cue] = ()
        self._asked = model.config.describe
        options.check(self._asked, model.config.video)
        self.events: list[Event] = []
        self.usage = Usage(0, 0, 0, 0, 0, {})
        self.notices: dict[str, None] = {}

    def read(self, source: str | os.PathLike[str]) -> Iterator[Window]:
        """Reads a file window by window, its subtitles first; may be done in another thread than the rest.

        Raises:
            UnreadableVideoError: The file cannot be read; one line for a person.
            ConfigError: The window of the file holds nothing.
        """
        if self._options.subtitles:
            self._cues = read_subtitles(source, limits=self._options.reading.limits)
        config = self._model.config
        looks_again = "{events}" not in self._asked.summary
        longest_s = (config.video.trained_max_s or math.inf) if looks_again else None
        yield from read_windows(source, config.video, config.image, self._options, whole_up_to_s=longest_s)

    def about(self, stretch: Sight) -> Ask:
        """Returns what is asked about a stretch."""
        plan = stretch.frames.plan
        said = spoken(self._cues, plan.start_s, plan.end_s)
        heard = (self._asked.subtitles or "").replace("{subtitles}", said) if said else ""
        return Ask(heard + self._options.question(self._asked), stretch, plan.start_s)

    def take(self, ask: Ask, told: Told) -> None:
        """Writes down what the model says of a stretch."""
        start, length = ask.start_s, ask.plan.end_s
        self._count(told)
        lines = _timed_lines(told.text, length) if self._options.is_timed(self._asked) else []
        if self._options.every_s is not None and lines:
            lines = [Event(0.0, length, " ".join(line.text for line in lines))]
        for event in lines or [Event(0.0, length, told.text)]:
            self.events.append(replace(event, start_s=start + event.start_s, end_s=start + event.end_s))
        if not told.text:
            span = f"{format_time(start)}-{format_time(start + length)}"
            self.notices[f"the model says nothing about {span}"] = None

    def closing(self, whole: Sight | None) -> Generator[list[Ask], list[Told], Description]:
        """Asks for the summary, once all is said of the stretches.

        Args:
            whole: All of the video at once; ``None`` where it is too long to be looked at so.

        Yields:
            Questions that can be answered together; what is sent back are their answers.

        Returns:
            The description.
        """
        # Answers come in batches; whose stretch is short is answered early.
        self.events.sort(key=lambda event: event.start_s)
        summary = yield from self._summary(whole)
        return Description(summary, tuple(self.events), self.usage, tuple(sorted(self.notices)))

    def _summary(self, whole: Sight | None) -> Generator[list[Ask], list[Told], str]:
        """Says in a few sentences what the events or, if the model takes nothing else, the whole video shows."""
        if len(self.events) == 1:
            return self.events[0].text
        question = self._asked.summary
        if "{events}" in question:
            return (yield from self._summary_of([_note(event) for event in self.events], question))
        if whole is not None:
            (told,) = yield [Ask(question, whole, whole.frames.plan.start_s)]
            self._count(told)
            return told.text
        seconds = self.events[-1].end_s - self.events[0].start_s
        first, last = self.events[0].text, self.events[-1].text
        return f"{len(self.events)} parts in {format_time(seconds)}. First: {first} Last: {last}"

    def _summary_of(self, notes: Sequence[str], question: str) -> Generator[list[Ask], list[Told], str]:
        """Summarises notes, or first groups of them where they are too many for the context."""
        told = yield [
            Ask(question.replace("{events}", "\n".join(group))) for group in self._groups(notes, question)
        ]
        for one in told:
            self._count(one)
        said = [one.text for one in told]
        return said[0] if len(said) == 1 else (yield from self._summary_of(said, question))

    def _groups(self, notes: Sequence[str], question: str) -> list[list[str]]:
        room = (self._model.config.context_length or math.inf) * _NOTES_SHARE
        groups: list[list[str]] = [[]]
        for note in notes:
            longer = [*groups[-1], note]
            # Two at least, whatever their length: a group of one would never become fewer.
            if len(groups[-1]) < 2 or self._length(question, longer) <= room:
                groups[-1] = longer
            else:
                groups.append([note])
        return groups

    def _length(self, question: str, notes: Sequence[str]) -> int:
        asked = Message("user", question.replace("{events}", "\n".join(notes)))
        return len(processor_of(self._model).render([asked]).input_ids)

    def _count(self, told: Told) -> None:
        self.usage = self.usage + told.usage
        self.notices |= dict.fromkeys(told.notices)


def _note(event: Event) -> str:
    return f"{format_time(event.start_s)}-{format_time(event.end_s)} {event.text}"


def _timed_lines(text: str, length: float) -> list[Event]:
    """Events of lines such as ``[0:02-0:05] …``; none unless every line is one."""
    found = [_LINE.fullmatch(line.strip()) for line in text.splitlines() if line.strip()]
    if not all(found):
        return []
    starts = [min(_seconds(match[1]), length) for match in found if match]
    ends = [*starts[1:], length]
    told = [match[3] for match in found if match]
    return [
        Event(0.0 if index == 0 else start, end, text)
        for index, (start, end, text) in enumerate(zip(starts, ends, told, strict=True))
        if end > start or len(told) == 1
    ]


def _seconds(clock: str) -> float:
    seconds = 0
    for part in clock.split(":"):
        seconds = 60 * seconds + int(part)
    return float(seconds)
