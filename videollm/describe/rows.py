"""What a job keeps of each file: its description, or why there is none."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ..values import Event, Usage

#: How far a source is, see :mod:`.ledger`.
State: TypeAlias = Literal["waiting", "running", "done", "failed", "aside"]


@dataclass(frozen=True, slots=True)
class Source:
    """One thing that a job describes: a file, or a window of it.

    Attributes:
        path: The file.
        start_s: Start of the window in seconds; ``None`` for the start of the file.
        end_s: End of the window; ``None`` for the end of the file.
        name: What files about it are called, without a suffix: a relative path with ``/``, different for each source of
            a job and short enough for every file system.
    """

    path: Path
    start_s: float | None = None
    end_s: float | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a file has no description.

    Attributes:
        kind: Name of the error's class.
        message: One line for a person.
    """

    kind: str
    message: str

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """Writes an error down: one line, whatever it is."""
        return cls(type(error).__name__, " ".join(str(error).split()) or type(error).__name__)


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one source.

    Attributes:
        source: What was described.
        content: Hash of the file's bytes, and of subtitles beside it where they are read; empty if that failed.
        fingerprint: Hash of the model and of the settings that made the description.
        duration_s: Length of the whole file in seconds; 0 for pictures and where it is not known.
        plan: What was looked at: the described window, frames, frames in a second and seconds looked at together;
            ``None`` where nothing was.
        summary: All of it in a few sentences.
        events: What happens, in order of time and without gaps.
        usage: What it cost.
        notices: What the person should know besides.
        seconds: From when its turn came to when it was done.
        same_as: The file with the same content whose description this is; ``None`` if it was described itself.
        error: Why there is no description; ``None`` where there is one.
    """

    source: Source
    content: str
    fingerprint: str
    duration_s: float = 0.0
    plan: dict[str, float] | None = None
    summary: str = ""
    events: tuple[Event, ...] = ()
    usage: Usage | None = None
    notices: tuple[str, ...] = ()
    seconds: float = 0.0
    same_as: str | None = None
    error: Failure | None = None

    def rounded(self) -> Row:
        """Returns the row with its times in whole milliseconds; those of its source stay, it is known by them."""
        events = (
            replace(event, start_s=_rounded(event.start_s), end_s=_rounded(event.end_s))
            for event in self.events
        )
        usage = self.usage
        if usage is not None:
            seconds = {name: _rounded(value) for name, value in usage.seconds.items()}
            usage = replace(usage, seconds=seconds)
        plan = None if self.plan is None else {name: _rounded(value) for name, value in self.plan.items()}
        return replace(
            self,
            duration_s=_rounded(self.duration_s),
            plan=plan,
            events=tuple(events),
            usage=usage,
            seconds=_rounded(self.seconds),
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns the row, :meth:`rounded`, as plain JSON types; :meth:`from_dict` reads it."""
        found = dataclasses.asdict(self.rounded())
        source = found.pop("source")
        return {**source, "path": str(self.source.path), **found}

    def to_json(self) -> str:
        """Returns the row as one line of JSON, which is valid UTF-8 whatever bytes are in the file's name."""
        line = json.dumps(self.to_dict(), ensure_ascii=False)
        return line if _is_text(line) else json.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Row:
        """Reads what :meth:`to_dict` gave."""
        rest = dict(found)
        source = Source(
            Path(rest.pop("path")), **{name: rest.pop(name) for name in ("start_s", "end_s", "name")}
        )
        events = tuple(Event(**event) for event in rest.pop("events"))
        usage, error = rest.pop("usage"), rest.pop("error")
        return cls(
            source,
            events=events,
            usage=None if usage is None else Usage(**usage),
            notices=tuple(rest.pop("notices")),
            error=None if error is None else Failure(**error),
            **rest,
        )


@dataclass(frozen=True, slots=True)
class Record:
    """All that a ledger has of a source, to be taken over by another.

    Attributes:
        key: What tells sources apart.
        source: The source.
        position: Its place among the sources.
        state: How far it is.
        columns: The other columns, ``row`` among them.
    """

    key: str
    source: Source
    position: int
    state: State
    columns: dict[str, Any]

    def renamed(self, name: str) -> Record:
        """Returns the record of the same source under another name, in its row too."""
        source = replace(self.source, name=name)
        row = self.columns["row"]
        if row is not None:
            row = replace(Row.from_dict(json.loads(row)), source=source).to_json()
        return replace(self, source=source, columns={**self.columns, "row": row})


def _rounded(seconds: float) -> float:
    return round(seconds, 3)


def _is_text(line: str) -> bool:
    """Whether no byte of a name was beyond UTF-8; Python keeps such bytes as surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in line)
