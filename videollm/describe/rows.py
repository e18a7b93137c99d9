"""What a job keeps of each file: its description, or why there is none."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..values import Event, Usage


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

    def to_dict(self) -> dict[str, Any]:
        """Returns the row as plain JSON types; :meth:`from_dict` reads it."""
        found = dataclasses.asdict(self)
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


def _is_text(line: str) -> bool:
    """Whether no byte of a name was beyond UTF-8; Python keeps such bytes as surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in line)
