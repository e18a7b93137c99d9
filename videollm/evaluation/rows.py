"""Rows of a test, one for each question, kept as JSON lines so that an interrupted run can go on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from ..errors import ConfigError, DataError

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Row:
    """A question that was asked of two clips.

    Attributes:
        index: Place in the test.
        kind: Kind of the question.
        clip: Seed of the clip that it is about.
        question: The question.
        expected: The canonical answer.
        got: The model's answer.
        score: 1 right or 0 wrong; for dense descriptions the share of right lines.
        right: Whether the whole answer is right.
        other: What the other clip is: ``"blind"``, or how the clip's twin was made; ``"empty"`` where neither has
            objects, and an answer is right that claims none.
        other_clip: Seed of the other clip.
        other_expected: What is expected of the other clip; blind, the same.
        other_got: The model's answer on the other clip.
        other_score: Its score.
        other_right: Whether it is right.
        held_out: Whether the question concerns a combination held out from training.
        new_wording: Whether training never words a question so.
        visual_tokens: Visual tokens of the clip in the prompt.
    """

    index: int
    kind: str
    clip: int
    question: str
    expected: str
    got: str
    score: float
    right: bool
    other: str
    other_clip: int
    other_expected: str
    other_got: str
    other_score: float
    other_right: bool
    held_out: bool
    new_wording: bool
    visual_tokens: int


class RowFile(Generic[R]):
    """Rows on disk under the settings that made them.

    Args:
        row: The dataclass of the rows.
        directory: Where ``rows.jsonl`` and ``settings.json`` lie.
        settings: What the rows depend on, as plain JSON types.
        resume: Whether rows that are there are kept.
        overwrite: Whether what is there may be replaced.

    Raises:
        ConfigError: The directory holds something and neither ``resume`` nor ``overwrite`` is given, or its rows were
            made with other settings.
    """

    def __init__(
        self,
        row: type[R],
        directory: Path,
        settings: dict[str, Any],
        *,
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        self._row = row
        self._path, kept = directory / "rows.jsonl", directory / "settings.json"
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{directory} cannot be made a directory ({error.strerror}); choose another"
            ) from error
        if any(directory.iterdir()) and not (resume or overwrite):
            raise ConfigError(
                f"{directory} is not empty: give --resume to go on there, or --overwrite to start anew"
            )
        if resume and kept.exists() and (found := json.loads(kept.read_text("utf-8"))) != settings:
            changed = sorted(name for name in {*found, *settings} if found.get(name) != settings.get(name))
            raise ConfigError(
                f"{directory} was begun with other settings ({', '.join(changed)}): --overwrite it"
            )
        if not resume:
            self._path.unlink(missing_ok=True)
        kept.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")

    def read(self) -> list[R]:
        """Returns the rows so far; a last line that a crash cut short is dropped, also from the file.

        Raises:
            DataError: Another line is broken.
        """
        if not self._path.exists():
            return []
        lines = self._path.read_text("utf-8").splitlines(keepends=True)
        if lines and not lines[-1].endswith("\n"):
            lines.pop()
            self._path.write_text("".join(lines), encoding="utf-8")
        try:
            return [self._row(**json.loads(line)) for line in lines]
        except (TypeError, ValueError) as error:
            raise DataError(f"{self._path}: not rows of this test ({error}); --overwrite it") from error

    def append(self, row: R) -> None:
        """Writes one row."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(row))

    def replace(self, rows: Sequence[R]) -> None:
        """Writes these rows instead of those that are there."""
        # In one move: who is killed in between has the old rows or the new ones.
        partial = self._path.with_suffix(".partial")
        partial.write_text("".join(map(_line, rows)), encoding="utf-8")
        partial.replace(self._path)


def _line(row: Any) -> str:
    return json.dumps(dataclasses.asdict(row)) + "\n"
