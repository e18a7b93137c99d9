"""What one page has in its tab "Describe": which files it may describe, which is shown, and the work that runs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .describe_sheets import Sheet

if TYPE_CHECKING:
    from ..service.describing import DescriptionRun
    from ..store.values import Upload

# Animations are images to the store; a still of this kind is described in one text.
_ANIMATION = "image/gif"


class DescribeState:
    """The tab of one page; any thread may use it. One description is made at a time.

    Args:
        owner: Whose page it is.

    Attributes:
        owner: Whose page it is.
        problem: What is wrong with the last wish, in one line; empty if nothing is.
    """

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.problem = ""
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        self._videos: dict[str, Upload] = {}
        self._chosen: str | None = None
        self._sheets: dict[str, Sheet] = {}
        self._run: tuple[str, DescriptionRun] | None = None
        self._is_stopping = False

    @property
    def videos(self) -> list[Upload]:
        """The files that may be described, in the order of the list."""
        return list(self._videos.values())

    @property
    def chosen(self) -> Upload | None:
        """The file that is shown."""
        return None if self._chosen is None else self._videos.get(self._chosen)

    @property
    def shown(self) -> Sheet | None:
        """The description of the file that is shown."""
        return None if self._chosen is None else self._sheets.get(self._chosen)

    @property
    def running(self) -> Sheet | None:
        """The description that is being made."""
        run = self._run
        return None if run is None else self._sheets.get(run[0])

    @property
    def is_running(self) -> bool:
        """Whether a description is being made, though its file may have been taken away."""
        return self._run is not None

    @property
    def is_stopping(self) -> bool:
        """Whether what runs was told to stop."""
        return self.is_running and self._is_stopping

    def number_of(self, upload: str) -> int:
        """Returns the number of a file's player."""
        return self._numbers.get(upload, 0)

    def list_files(self, ids: Sequence[str], uploads: Sequence[Upload]) -> None:
        """Takes over the list of the page; what is not on it any more is forgotten, and not described any further.

        Args:
            ids: The files in the list, in order.
            uploads: What the owner has of them.
        """
        mine = {upload.id: upload for upload in uploads}
        with self._lock:
            self._numbers = {id: number for number, id in enumerate(ids)}
            self._videos = {id: mine[id] for id in ids if id in mine and _is_video(mine[id])}
            self._sheets = {id: sheet for id, sheet in self._sheets.items() if id in self._videos}
            if self._chosen not in self._videos:
                self._chosen, self.problem = next(iter(self._videos), None), ""
            if self._run is not None and self._run[0] not in self._videos:
                self._stop()

    def choose(self, upload: str | None) -> None:
        """Shows another file; one that is not in the list is not shown."""
        with self._lock:
            if upload in self._videos:
                self._chosen, self.problem = upload, ""

    def put(self, sheet: Sheet) -> None:
        """Takes a description down, unless its file has been taken away."""
        with self._lock:
            if sheet.upload in self._videos:
                self._sheets[sheet.upload] = sheet

    def begin(self, sheet: Sheet, run: DescriptionRun) -> bool:
        """Begins a description; says whether it may begin."""
        with self._lock:
            if self._run is not None or sheet.upload not in self._videos:
                return False
            self._run, self._is_stopping, self.problem = (sheet.upload, run), False, ""
            self._sheets[sheet.upload] = sheet
            return True

    def end(self, sheet: Sheet) -> None:
        """Ends the description that was begun, as it is now."""
        self.put(sheet)
        self._run = None

    def stop(self) -> None:
        """Ends what runs as soon as may be."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        if self._run is not None:
            self._is_stopping = True
            self._run[1].stop()


def end_describing(state: DescribeState | None) -> None:
    """Ends the work of a page that was closed or not used for long."""
    if state is not None:
        state.stop()


def _is_video(upload: Upload) -> bool:
    return upload.kind == "video" or upload.mime == _ANIMATION
