"""A description as files to take away: subtitles in two formats, and JSON."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass

from videollm.describe.subtitle_files import srt, vtt

from .describe_sheets import Sheet

# What one system or another does not take in the name of a file.
_UNSAFE = re.compile(r'[<>:"/\\|?*]')


@dataclass(frozen=True, slots=True)
class Download:
    """A file to take away.

    Attributes:
        name: What it is called.
        mime: Its type.
        text: What is in it.
    """

    name: str
    mime: str
    text: str

    @property
    def address(self) -> str:
        """The file as a ``data:`` address."""
        encoded = base64.b64encode(self.text.encode("utf-8")).decode("ascii")
        return f"data:{self.mime};charset=utf-8;base64,{encoded}"


def downloads(sheet: Sheet) -> list[Download]:
    """Returns what there is to take away; a description in which nothing is said has no subtitles."""
    stem = _UNSAFE.sub("_", sheet.name.rpartition(".")[0] or sheet.name)
    texts = (
        (".srt", "application/x-subrip", srt(sheet.events)),
        (".vtt", "text/vtt", vtt(sheet.events)),
        (".json", "application/json", _json(sheet)),
    )
    return [Download(stem + suffix, mime, text) for suffix, mime, text in texts if text]


def _json(sheet: Sheet) -> str:
    whole = {
        "name": sheet.name,
        **sheet.wish.to_json(),
        "complete": sheet.state == "done",
        **sheet.to_json(),
    }
    return json.dumps(whole, ensure_ascii=False, indent=2) + "\n"
