"""Dense descriptions: what happens in a video from when to when, and all of it in a few sentences.

    from videollm import describe_video, load_model

    description = describe_video(load_model("pocket"), "clip.mp4")
    for event in description.events:
        print(event.start_s, event.end_s, event.text)

A video is read window by window, no longer than the model can look at closely, and cut into shots. Each shot is encoded
and described on its own, as if it were a video that begins with it: an hour costs an hour's frames and tokens, a window
at a time, and nothing overflows. The summary is made of what was said of the shots.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, TypeAlias

from .chat import VideoChat
from .errors import ConfigError
from .media import Frames, ReadOptions, encode_frames, processor_of, read_frames
from .model.modeling import VideoLLM
from .model.prompting import format_time
from .model.settings import VideoSettings
from .values import Answer, Description, Event, Message, Usage
from .video import probe
from .video.plan import part_of_plan
from .video.reading import Backend
from .video.scenes import find_cuts

Detail: TypeAlias = Literal["brief", "normal", "dense"]

# Stretches that a dense description is about, at most.
_DENSE_S = 5.0
# A rest of a window that is not worth reading on its own.
_SHORTEST_REST_S = 1.0
_LINE = re.compile(r"\[(\d+(?::\d\d)+)-(\d+(?::\d\d)+)\]\s*(.+)")
# Share of the context that notes for a summary may take; the rest is for the question and the answer.
_NOTES_SHARE = 0.5


def describe_video(
    model: VideoLLM,
    source: str | os.PathLike[str],
    *,
    detail: Detail = "normal",
    every_s: float | None = None,
    prompt: str | None = None,
    start_s: float | None = None,
    end_s: float | None = None,
    fps: float | None = None,
    max_visual_tokens: int | None = None,
    backend: Backend = "auto",
    max_new_tokens: int | None = None,
) -> Description:
    """Describes a video or an image.

    Args:
        model: A model of :func:`~videollm.checkpoints.load_model`.
        source: The file.
        detail: ``"normal"`` for a text about each shot, ``"dense"`` for one about every five seconds or fewer of it,
            ``"brief"`` for one about as many shots as the model can look at together.
        every_s: Seconds that each text is about, instead of shots.
        prompt: What is asked about each stretch; ``None`` for the checkpoint's own question.
        start_s: Start of the window that is described, in seconds.
        end_s: End of the window.
        fps: Frames to look at in each second; ``None`` for the checkpoint's own setting.
        max_visual_tokens: Most visual tokens of a stretch; ``None`` for the checkpoint's own setting.
        backend: Who decodes: ``"auto"``, ``"pyav"`` or ``"decord"``.
        max_new_tokens: Most tokens of each text; ``None`` for as many as an answer has.

    Returns:
        The events, in order of time and without gaps, and a summary.

    Raises:
        UnreadableVideoError: The file cannot be read; one line for a person.
        ConfigError: A setting is out of range, or the window holds nothing.
    """
    options = ReadOptions(start_s, end_s, fps, None, max_visual_tokens, backend)
    describer = _Describer(model, options, detail, every_s, prompt, max_new_tokens)
    events = tuple(event for stretch in describer.stretches(source) for event in describer.tell(stretch))
    summary = describer.summarise(source, events)
    return Description(summary, events, describer.usage, tuple(describer.notices))


@dataclass(frozen=True)
class _Stretch:
    """Frames of a window that a text is about, and from when to when it lasts."""

    first: int
    past: int
    start_s: float
    end_s: float

    def divided(self, longest_s: float) -> list[_Stretch]:
        """Equal parts of at most so many seconds, each with a frame at least."""
        frames, seconds = self.past - self.first, self.end_s - self.start_s
        count = min(math.ceil(seconds / longest_s), frames)
        frame = [self.first + index * frames // count for index in range(count + 1)]
        second = [self.start_s + seconds * index / count for index in range(count + 1)]
        return [
            _Stretch(frame[index], frame[index + 1], second[index], second[index + 1])
            for index in range(count)
        ]


@dataclass
class _Describer:
    """One description in progress."""

    model: VideoLLM
    options: ReadOptions
    detail: Detail
    every_s: float | None
    prompt: str | None
    max_new_tokens: int | None

    def __post_init__(self) -> None:
        if self.detail not in ("brief", "normal", "dense"):
            raise ConfigError(f"detail must be brief, normal or dense, got {self.detail!r}")
        self.usage = Usage(0, 0, 0, 0, 0, {})
        self.notices: dict[str, None] = {}
        self._video: VideoSettings = self.model.config.video
        self._window_s = self._longest_window()

    def _longest_window(self) -> float:
        fps = self._video.fps if self.options.fps is None else self.options.fps
        longest = min(self._video.max_frames / fps, self._video.trained_max_s or math.inf)
        if self.every_s is None:
            return longest
        if not 0 < self.every_s <= max(longest, self._video.trained_max_s or 0):
            raise ConfigError(
                f"this model looks at up to {longest:g} s at a time: every_s must be above 0 and no more, "
                f"got {self.every_s:g}"
            )
        return self.every_s

    def stretches(self, source: str | os.PathLike[str]) -> Iterator[Frames]:
        """Reads what each text is about, in order of time."""
        info = probe(source)
        image = self.model.config.image
        if info.kind == "image":
            yield read_frames(source, self._video, image, self.options)
            return
        whole = self.options.plan(info, self._video)
        start = reading = whole.start_s
        while start < whole.end_s:
            past = reading + self._window_s
            if whole.end_s - past < _SHORTEST_REST_S:
                past = whole.end_s
            read = replace(self.options, start_s=reading, end_s=past)
            window = read_frames(source, self._video, image, read)
            shots = self._shots(window, start)
            start = reading = past
            if past < whole.end_s and len(shots) > 1:
                # It may go on in the next window, which begins with its first frame.
                cut = shots.pop()
                start, reading = cut.start_s, window.plan.times_s[cut.first]
            for stretch in self._divided(shots):
                plan = part_of_plan(
                    window.plan,
                    (stretch.first, stretch.past),
                    stretch.start_s,
                    stretch.end_s,
                    frames_per_segment=self._video.frames_per_segment,
                    seconds_per_segment=self._video.seconds_per_segment,
                    max_segments=self._video.max_segments,
                )
                pixels = window.frames_THW3[stretch.first : stretch.past]
                yield replace(window, frames_THW3=pixels, plan=plan)

    def _shots(self, window: Frames, start_s: float) -> list[_Stretch]:
        plan = window.plan
        cuts = () if self.every_s is not None else find_cuts(window.frames_THW3)
        # A cut lies between two frames, nobody knows where.
        seconds = [(plan.times_s[cut - 1] + plan.times_s[cut]) / 2 for cut in cuts]
        frames, times = (0, *cuts, plan.frame_count), (start_s, *seconds, plan.end_s)
        edges = pairwise(zip(frames, times, strict=True))
        return [_Stretch(first, past, start, end) for (first, start), (past, end) in edges]

    def _divided(self, shots: Sequence[_Stretch]) -> list[_Stretch]:
        if self.every_s is not None or self.detail == "normal":
            return list(shots)
        if self.detail == "brief":
            return [replace(shots[0], past=shots[-1].past, end_s=shots[-1].end_s)]
        return [part for shot in shots for part in shot.divided(_DENSE_S)]

    def tell(self, stretch: Frames) -> Iterator[Event]:
        """Asks the model about a stretch of the video."""
        plan = stretch.plan
        start, length = plan.start_s, plan.end_s - plan.start_s
        # The model sees a video that begins here, as those that it was trained on begin at 0.
        times = tuple(max(0.0, time - start) for time in plan.times_s)
        own = replace(stretch, plan=replace(plan, times_s=times, start_s=0.0, end_s=length))
        asked = self.model.config.describe
        text = self._ask(own, self.prompt or asked.events)
        lines = _timed_lines(text, length) if asked.timed and self.prompt is None else []
        for event in lines or [Event(0.0, length, text)]:
            yield replace(event, start_s=start + event.start_s, end_s=start + event.end_s)

    def _ask(self, frames: Frames, question: str) -> str:
        medium = encode_frames(self.model, frames, self.options.max_visual_tokens)
        answer = self._answer(VideoChat(self.model, medium), question)
        self._count(answer)
        return answer.text.strip()

    def _answer(self, chat: VideoChat, question: str) -> Answer:
        length = {} if self.max_new_tokens is None else {"max_new_tokens": self.max_new_tokens}
        return chat.ask(question, **length)

    def _count(self, answer: Answer) -> None:
        one, other = self.usage, answer.usage
        seconds = {
            name: one.seconds.get(name, 0.0) + other.seconds.get(name, 0.0)
            for name in {**one.seconds, **other.seconds}
        }
        self.usage = Usage(
            one.frames + other.frames,
            one.visual_tokens + other.visual_tokens,
            one.prompt_tokens + other.prompt_tokens,
            one.cached_tokens + other.cached_tokens,
            one.completion_tokens + other.completion_tokens,
            seconds,
        )
        self.notices |= dict.fromkeys(answer.notices)

    def summarise(self, source: str | os.PathLike[str], events: Sequence[Event]) -> str:
        """Says in a few sentences what the events or, if the model takes nothing else, the whole video shows."""
        if len(events) == 1:
            return events[0].text
        question = self.model.config.describe.summary
        if "{events}" in question:
            return self._summary_of([_note(event) for event in events], question)
        seconds = events[-1].end_s - events[0].start_s
        if seconds <= (self._video.trained_max_s or math.inf):
            frames = read_frames(source, self._video, self.model.config.image, self.options)
            return self._ask(frames, question)
        return (
            f"{len(events)} parts in {format_time(seconds)}. First: {events[0].text} Last: {events[-1].text}"
        )

    def _summary_of(self, notes: Sequence[str], question: str) -> str:
        """Summarises notes, or first groups of them where they are too many for the context."""
        groups = self._groups(notes, question)
        said = [self._say(question.replace("{events}", "\n".join(group))) for group in groups]
        return said[0] if len(said) == 1 else self._summary_of(said, question)

    def _groups(self, notes: Sequence[str], question: str) -> list[list[str]]:
        room = (self.model.config.context_length or math.inf) * _NOTES_SHARE
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
        return len(processor_of(self.model).render([asked]).input_ids)

    def _say(self, question: str) -> str:
        answer = self._answer(VideoChat(self.model), question)
        self._count(replace(answer, notices=()))
        return answer.text.strip()


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
