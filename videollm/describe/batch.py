"""Many videos at once: read ahead by threads, encoded and answered together.

Threads read window by window (in processes that can be killed, see :mod:`videollm.video`); the caller's thread gathers
what is read of several videos into batches for the model. A video whose file or whose questions fail does not hold the
others up.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import torch

from ..errors import VideoLLMError
from ..model.modeling import VideoLLM
from ..values import Description, VideoInfo
from .rows import Failure, Source
from .script import Ask, Script, Told
from .settings import DescribeOptions
from .sights import Sight
from .stretches import Window
from .telling import tell

BATCH = 8
# Windows that may be in memory for each question of a batch: one in the model, one read ahead.
_AHEAD = 2

# Seconds between two looks at whether to stop, while files are read that take long.
_PATIENCE_S = 0.2

# Seconds that a batch which is not full is waited for: at most (Ctrl-C waits as long), and of what the last one took.
_MOST_FILLING_S = 2.0
_FILLING_SHARE = 0.25

_Closing: TypeAlias = Generator[list[Ask], list[Told], Description]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a file.

    Attributes:
        source: The file.
        description: What the model says; ``None`` if it failed.
        error: Why it failed.
        info: What the file says of itself; ``None`` if it could not be read.
        start_s: Start of what was described, in seconds.
        end_s: End of it.
        seconds: From when its turn came to when it was done.
    """

    source: Source
    description: Description | None
    error: Failure | None
    info: VideoInfo | None
    start_s: float
    end_s: float
    seconds: float


def describe_batch(
    model: VideoLLM,
    sources: Iterable[Source],
    options: DescribeOptions,
    *,
    batch_size: int = BATCH,
    should_stop: Callable[[], bool] = lambda: False,
    at_work: Callable[[Sequence[Source]], None] = lambda sources: None,
) -> Iterator[Outcome]:
    """Describes many files: as :func:`~videollm.describe_video` does each.

    Args:
        model: A model with its processor.
        sources: The files, taken one by one when there is room for them; a source's own window goes before that of
            the options.
        options: How they are described.
        batch_size: Questions that are answered together.
        should_stop: Asked between batches; once it says yes nothing more is begun, and what is unfinished is given up.
        at_work: Told of files before the model first looks at them.

    Yields:
        What came of each file, in the order in which they are done.

    Raises:
        ConfigError: The model cannot do what is wished for.
    """
    options.check(model.config.describe, model.config.video)
    crew = _Crew(model, options, batch_size, at_work)
    try:
        yield from crew.work(iter(sources), should_stop)
    finally:
        crew.dismiss()


@dataclass(eq=False)
class _Task:
    """One file on its way."""

    source: Source
    script: Script
    began: float = field(default_factory=time.perf_counter)
    unanswered: int = 0
    windows: dict[int, int] = field(default_factory=dict)  # questions that wait, by number of the window
    is_read: bool = False
    whole: Sight | None = None
    closing: _Closing | None = None
    answers: dict[int, Told] = field(default_factory=dict)
    info: VideoInfo | None = None
    span_s: tuple[float, float] | None = None
    is_begun: bool = False
    is_over: bool = False


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A question that waits for its answer: of a window, or one of the closing questions."""

    task: _Task
    ask: Ask
    number: int  # of the window, or of the question among those of a round


_Event: TypeAlias = tuple[_Task, Window | Exception | None]


class _Crew:
    """Threads that read, and the one that asks the model."""

    def __init__(
        self,
        model: VideoLLM,
        options: DescribeOptions,
        batch_size: int,
        at_work: Callable[[Sequence[Source]], None],
    ) -> None:
        self._model, self._options, self._batch_size = model, options, batch_size
        self._at_work = at_work
        self._inbox: queue.Queue[_Event] = queue.Queue()
        self._places = threading.Semaphore(_AHEAD * batch_size)
        self._is_dismissed = threading.Event()
        self._ready: deque[_Waiting] = deque()
        self._filling_s = _MOST_FILLING_S
        self._tasks: set[_Task] = set()

    def dismiss(self) -> None:
        """Lets the threads end."""
        self._is_dismissed.set()
        for _ in range(_AHEAD * self._batch_size):
            self._places.release()

    def work(self, sources: Iterator[Source], should_stop: Callable[[], bool]) -> Iterator[Outcome]:
        """Yields what came of each file."""
        while not should_stop():
            self._admit(sources)
            if not self._tasks:
                return
            yield from self._listen()
            if not self._ready:
                continue
            batch = [self._ready.popleft() for _ in range(min(self._batch_size, len(self._ready)))]
            self._admit(sources)  # files that are read while the model answers
            started = time.monotonic()
            yield from self._answer([one for one in batch if not one.task.is_over])
            self._filling_s = min(_MOST_FILLING_S, _FILLING_SHARE * (time.monotonic() - started))

    def _admit(self, sources: Iterator[Source]) -> None:
        """Begins with as many files as the next batch may need, and no more: others may have time for them sooner."""
        while len(self._tasks) < self._batch_size or len(self._ready) + self._reading < self._batch_size:
            source = next(sources, None)
            if source is None:
                return
            task = _Task(source, Script(self._model, _windowed(self._options, source)))
            self._tasks.add(task)
            threading.Thread(target=self._read, args=(task,), daemon=True).start()

    @property
    def _reading(self) -> int:
        """Files of which more will come."""
        return sum(not task.is_read for task in self._tasks)

    def _read(self, task: _Task) -> None:
        """Reads a file, in a thread of its own."""
        try:
            windows = task.script.read(task.source.path)
            while self._wait_for_place(task):
                window = next(windows, None)
                self._inbox.put((task, window))
                if window is None:
                    self._places.release()
                    return
        except Exception as error:  # noqa: BLE001 - of one file: it is written down, and the others go on
            self._places.release()
            self._inbox.put((task, error))

    def _wait_for_place(self, task: _Task) -> bool:
        """Waits until another window may be in memory; returns whether it is still wanted."""
        self._places.acquire()
        if self._is_dismissed.is_set() or task.is_over:
            self._places.release()
            return False
        return True

    def _listen(self) -> Iterator[Outcome]:
        """Takes what was read; waits if there is nothing to ask or, as long as that pays, for a full batch."""
        given_up_s = time.monotonic() + self._filling_s
        while True:
            is_short = len(self._ready) < self._batch_size and self._reading > 0
            left_s = max(0.0, given_up_s - time.monotonic()) if is_short else 0.0
            try:
                task, found = self._inbox.get(timeout=left_s if self._ready else _PATIENCE_S)
            except queue.Empty:
                return
            if isinstance(found, Window):
                self._take(task, found)
            elif task.is_over:
                continue
            elif found is None:
                task.is_read = True
                yield from self._go_on(task)
            else:
                yield self._end(task, Failure.of(found))

    def _take(self, task: _Task, window: Window) -> None:
        if task.is_over:
            self._places.release()
            return
        asks = [task.script.about(stretch) for stretch in window.stretches]
        number = len(task.windows)
        task.windows[number] = len(asks)
        task.unanswered += len(asks)
        task.whole = window.whole
        self._ready.extend(_Waiting(task, ask, number) for ask in asks)
        for ask, stretch in zip(asks, window.stretches, strict=True):
            first = ask.start_s if task.span_s is None else task.span_s[0]
            task.span_s, task.info = (first, stretch.frames.plan.end_s), stretch.frames.info
        if not asks:
            self._places.release()

    def _answer(self, batch: list[_Waiting]) -> Iterator[Outcome]:
        if not batch:
            return
        begun = dict.fromkeys(waiting.task for waiting in batch if not waiting.task.is_begun)
        for task in begun:
            task.is_begun = True
        if begun:
            self._at_work([task.source for task in begun])
        for waiting, told in self._tell(batch):
            task = waiting.task
            if task.is_over:
                continue
            if isinstance(told, Failure):
                yield self._end(task, told)
                continue
            task.unanswered -= 1
            if task.closing is None:
                task.script.take(waiting.ask, told)
                self._leave(task, waiting.number)
            else:
                task.answers[waiting.number] = told
            yield from self._go_on(task)

    def _tell(self, batch: list[_Waiting]) -> Iterator[tuple[_Waiting, Told | Failure]]:
        """Answers together or, where that fails, one by one, so that each has its own error."""
        try:
            answers = tell(self._model, [waiting.ask for waiting in batch], self._options)
        except VideoLLMError as error:
            failure = Failure.of(error)
        except torch.OutOfMemoryError:
            failure = Failure(
                "OutOfMemoryError", "the device has no memory left: fewer frames or visual tokens"
            )
        else:
            yield from zip(batch, answers, strict=True)
            return
        if len(batch) == 1:
            yield batch[0], failure
            return
        for waiting in batch:
            yield from self._tell([waiting])

    def _leave(self, task: _Task, number: int) -> None:
        """Makes room for another window once all is answered about one."""
        task.windows[number] -= 1
        if not task.windows[number]:
            self._places.release()

    def _go_on(self, task: _Task) -> Iterator[Outcome]:
        """Takes the next step of a file of which all is answered that was asked."""
        if task.unanswered or not task.is_read:
            return
        try:
            if task.closing is None:
                task.closing = task.script.closing(task.whole)
                asks = next(task.closing)
            else:
                answers = [task.answers[number] for number in range(len(task.answers))]
                asks = task.closing.send(answers)
        except StopIteration as end:
            yield self._end(task, end.value)
            return
        task.answers.clear()
        task.unanswered = len(asks)
        # Before what was read of later files: a file that is nearly done shall be done.
        self._ready.extendleft(_Waiting(task, ask, number) for number, ask in enumerate(asks))

    def _end(self, task: _Task, found: Description | Failure) -> Outcome:
        task.is_over = True
        self._tasks.discard(task)
        for number, waiting in task.windows.items():
            if waiting:
                task.windows[number] = 0
                self._places.release()
        description, error = (None, found) if isinstance(found, Failure) else (found, None)
        seconds = time.perf_counter() - task.began
        return Outcome(task.source, description, error, task.info, *(task.span_s or (0.0, 0.0)), seconds)


def _windowed(options: DescribeOptions, source: Source) -> DescribeOptions:
    """The options with a source's own window, if it has one."""
    if source.start_s is None and source.end_s is None:
        return options
    reading = replace(options.reading, start_s=source.start_s, end_s=source.end_s)
    return replace(options, reading=reading)
