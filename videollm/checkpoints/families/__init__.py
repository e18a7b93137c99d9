"""Families of published models, one file each: their configuration and weights in terms of ours.

A family is recognised by the fields of ``config.json``, never by a path or a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .blip2 import BLIP2
from .family import Family
from .instructblip import INSTRUCTBLIP, INSTRUCTBLIP_VIDEO
from .llava import LLAVA, LLAVA_NEXT_VIDEO, LLAVA_ONEVISION
from .tarsier import TARSIER

FAMILIES: tuple[Family, ...] = (
    TARSIER,
    LLAVA,
    LLAVA_NEXT_VIDEO,
    LLAVA_ONEVISION,
    BLIP2,
    INSTRUCTBLIP,
    INSTRUCTBLIP_VIDEO,
)

__all__ = ["BLIP2", "FAMILIES", "Family", "family_of"]


def family_of(config: Mapping[str, Any]) -> Family | None:
    """Returns the family that a published ``config.json`` belongs to, or ``None`` if it is none of them."""
    return next((family for family in FAMILIES if family.recognise(config)), None)
