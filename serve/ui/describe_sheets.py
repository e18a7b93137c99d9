"""What the tab "Describe" knows of files: how each was to be described, and how far that has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from videollm.describe.settings import DescribeOptions, Detail
from videollm.errors import ConfigError
from videollm.values import Event

from ..service.describing import Described, Describing, TextReady, WindowRead
from ..service.events import Waiting

#: Choice of the tab that takes texts of equal length instead of shots.
EVERY = "every"

State = Literal["running", "done", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class Wish:
    """How a file is to be described.

    Attributes:
        model: Name of the model that does it.
        detail: As in ``DescribeOptions``.
        every_s: As in ``DescribeOptions``.
    """

    model: str = ""
    detail: Detail = "normal"
    every_s: float | None = None

    @classmethod
    def of(cls, model: str, density: Any, every_s: float | None) -> Wish:
        """Reads the controls of the tab.

        Args:
            model: Name of the model.
            density: ``"brief"``, ``"normal"``, ``"dense"`` or :data:`EVERY`.
            every_s: Seconds that each text is about; counts with :data:`EVERY` alone.

        Raises:
            ConfigError: A value is not what its control takes.
        """
        if density == EVERY and every_s is None:
            raise ConfigError("say how many seconds each text is about: a number above 0")
        wish = cls(model, every_s=every_s) if density == EVERY else cls(model, density)
        wish.options()
        return wish

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Wish:
        """Reads what :meth:`to_json` gave; what it does not know it passes over."""
        return cls(**{field.name: kept[field.name] for field in fields(cls) if field.name in kept})

    def to_json(self) -> dict[str, Any]:
        """Returns it as plain JSON types."""
        return asdict(self)

    def options(self) -> DescribeOptions:
        """Returns it as the library takes it.

        Raises:
            ConfigError: A value is out of range.
        """
        return DescribeOptions(detail=self.detail, every_s=self.every_s)


@dataclass(frozen=True, slots=True)
class Sheet:
    """The description of one file, as far as it has come.

    Attributes:
        upload: Id of the file.
        name: What its owner calls it.
        wish: How it is described.
        state: ``"done"`` alone is complete.
        events: What happens, in order of time.
        summary: All of it in a few sentences; comes last.
        notices: What the person should know besides.
        read_s: How far the file has been read, in seconds.
        duration_s: Its length in seconds; ``None`` before it is known.
        place: How many others come before.
        problem: Why it failed, in one line.
    """

    upload: str
    name: str
    wish: Wish
    state: State = "running"
    events: tuple[Event, ...] = ()
    summary: str = ""
    notices: tuple[str, ...] = ()
    read_s: float = 0.0
    duration_s: float | None = None
    place: int = 0
    problem: str = ""

    def after(self, event: Describing) -> Sheet:
        """Returns the sheet with what was told."""
        match event:
            case Waiting(place):
                return replace(self, place=place)
            case WindowRead(info, end_s):
                duration_s = self.duration_s if info is None else info.duration_s
                return replace(self, place=0, read_s=end_s, duration_s=duration_s)
            case TextReady(text):
                return replace(self, place=0, events=(*self.events, text))
            case Described(description):
                done = replace(self, state="done", place=0, notices=description.notices)
                return replace(done, events=description.events, summary=description.summary)

    def ended(self, state: State, problem: str = "") -> Sheet:
        """Returns the sheet of work that has ended so."""
        return replace(self, state=state, place=0, problem=problem)

    @classmethod
    def from_json(cls, upload: str, name: str, wish: Mapping[str, Any], kept: Mapping[str, Any]) -> Sheet:
        """Reads a description that :meth:`to_json` gave.

        Args:
            upload: Id of the file.
            name: What its owner calls it.
            wish: What ``Wish.to_json`` gave.
            kept: The description.
        """
        return cls(
            upload,
            name,
            Wish.from_json(wish),
            "done",
            tuple(Event(event["start_s"], event["end_s"], event["text"]) for event in kept["events"]),
            kept["summary"],
            tuple(kept["notices"]),
            duration_s=kept["duration_s"],
        )

    def to_json(self) -> dict[str, Any]:
        """Returns what was found as plain JSON types, times in whole milliseconds."""
        return {
            "summary": self.summary,
            "events": [
                {"start_s": round(event.start_s, 3), "end_s": round(event.end_s, 3), "text": event.text}
                for event in self.events
            ],
            "notices": list(self.notices),
            "duration_s": None if self.duration_s is None else round(self.duration_s, 3),
        }
