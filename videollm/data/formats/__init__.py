"""All formats, and which of them a row has."""

from __future__ import annotations

from typing import Any

from .base import Format
from .captions import ACTIVITYNET, CHARADES, HOWTO, PANDA, QVHIGHLIGHTS, WEBVID, YOUCOOK
from .choices import EGOSCHEMA, MVBENCH, NEXT_QA, PERCEPTION_TEST, VIDEO_MME
from .conversations import ALPACA, EXCHANGES, LLAVA, MESSAGES, QUERY
from .own import RECORD
from .parts import PARTS, TARSIER_1
from .questions import CONSISTENCY, PAIRS, QA_LISTS

#: In the order in which a row is tried: the first that it matches is its format.
FORMATS: tuple[Format, ...] = (
    RECORD,
    TARSIER_1,
    PARTS,
    MESSAGES,
    LLAVA,
    EXCHANGES,
    QA_LISTS,
    CONSISTENCY,
    EGOSCHEMA,
    NEXT_QA,
    MVBENCH,
    VIDEO_MME,
    PERCEPTION_TEST,
    QVHIGHLIGHTS,
    PANDA,
    WEBVID,
    ACTIVITYNET,
    YOUCOOK,
    HOWTO,
    CHARADES,
    PAIRS,
    QUERY,
    ALPACA,
)

__all__ = ["FORMATS", "Format", "format_of"]


def format_of(fields: dict[str, Any]) -> Format | None:
    """Returns the format of a row, ``None`` if it has none that is known."""
    return next((known for known in FORMATS if known.matches(fields)), None)
