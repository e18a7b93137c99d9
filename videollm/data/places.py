"""Where the media of a data file are looked for, and what is said of those that are not there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

_ENDINGS = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".gif")


class MediaPlaces:
    """The directories that media are looked for in.

    Args:
        given: Those that the user names, the first before the others.
        beside: The data file's own, which comes last.
    """

    def __init__(self, given: Sequence[Path], beside: Path) -> None:
        self._roots = tuple(dict.fromkeys((*given, beside)))
        self._hint = "" if given else "; give the directory of the media with --media DIR"

    def find(self, names: Sequence[str]) -> str | None:
        """Returns the path of the first of ``names`` that is a file, ``None`` for none; they may lack their ending."""
        for name in names:
            for root in self._roots:
                for ending in ("", *_ENDINGS):
                    candidate = f"{root / name}{ending}"
                    if os.path.isfile(candidate):  # unlike Path.is_file, false for a name no file can have
                        return candidate
        return None

    def expected(self, names: Sequence[str]) -> str:
        """Returns where a file that is not there would be, for whoever opens it to say so."""
        return str(self._roots[-1] / names[0])

    def missing(self, names: Sequence[str]) -> str:
        """Returns the line that says that none of ``names`` is a file, and what was tried."""
        said = f"{self.expected(names)}: there is no such file"
        if os.path.isabs(names[0]):
            return f"{said}; check the path"
        roots = " and ".join(_told(root) for root in self._roots)
        if os.path.splitext(names[0])[1]:
            return f"{said}; looked in {roots}{self._hint}"
        tried = f"{', '.join(names)}, each as it is and with {', '.join(_ENDINGS)}"
        return f"{said}; looked in {roots} for {tried}{self._hint}"


def _told(root: Path) -> str:
    return f"{root}/" if root.is_dir() else f"{root}/ (no such directory)"
