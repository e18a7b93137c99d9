"""Puts questions into words: picks a wording, fills its slots and varies spelling, capitals and question marks."""

from __future__ import annotations

import random
import re
from typing import NamedTuple

from .. import words
from .follow_ups import FOLLOW_UPS, TEST_FOLLOW_UPS
from .held_out_wordings import TEST_WORDINGS
from .indirect import INDIRECT_WORDINGS
from .wordings import WORDINGS

_TEST_WORDING_SHARE = 0.25
_INDIRECT_SHARE = 0.5
_AMERICAN = ((r"colour", "color"), (r"Colour", "Color"), (r"ummarise", "ummarize"))
_CLIP_NAMES = ("the video", "this video", "the clip", "this clip")


class Wording(NamedTuple):
    """A question's text, and whether its wording occurs only in the test split."""

    text: str
    only_in_test: bool


def say(rng: random.Random, split: str, key: str, shot_index: int | None = None, /, **slots: str) -> Wording:
    """Words a question.

    Args:
        rng: Source of the choices.
        split: ``"train"`` or ``"test"``; a quarter of the test split's questions have wordings that training lacks.
        key: Which set of wordings, a key of ``WORDINGS``.
        shot_index: The shot the question names, ``None`` for none.
        slots: What fills the wording's other slots.

    Returns:
        The text and whether its wording is the test split's own.
    """
    template, only_in_test = _pick(rng, split, WORDINGS[key], TEST_WORDINGS[key])
    if not only_in_test and rng.random() < _INDIRECT_SHARE:
        template = rng.choice(INDIRECT_WORDINGS[key])
    where, scope = _where(rng, template, shot_index)
    fronted = where and "{where}" in template and rng.random() < 0.25
    text = words.capitalised(template.format(where="" if fronted else where, scope=scope, **slots))
    if fronted:
        text = f"{words.capitalised(where[1:])}, {_lower_first(text)}"
    return Wording(_loosened(rng, text), only_in_test)


def say_follow_up(rng: random.Random, split: str, key: str, /, **slots: str) -> Wording:
    """Words a question that refers to the turn before it; ``key`` is one of ``FOLLOW_UPS``."""
    template, only_in_test = _pick(rng, split, FOLLOW_UPS[key], TEST_FOLLOW_UPS[key])
    return Wording(_loosened(rng, words.capitalised(template.format(**slots))), only_in_test)


def shot_name(rng: random.Random, shot_index: int) -> str:
    """Returns a name for a shot: mostly ``the second shot``, now and then ``shot 2``."""
    return f"shot {shot_index + 1}" if rng.random() < 0.15 else f"the {words.ORDINALS[shot_index]} shot"


def _pick(rng: random.Random, split: str, train: tuple[str, ...], test: tuple[str, ...]) -> tuple[str, bool]:
    only_in_test = split == "test" and rng.random() < _TEST_WORDING_SHARE
    return rng.choice(test if only_in_test else train), only_in_test


def _where(rng: random.Random, template: str, shot_index: int | None) -> tuple[str, str]:
    """Returns the fillings of ``{where}`` and ``{scope}``."""
    if shot_index is not None:
        scope = shot_name(rng, shot_index)
        return f" in {scope}", scope
    scope = rng.choice(_CLIP_NAMES)
    return (f" in {scope}" if rng.random() < 0.2 else ""), scope


def _lower_first(text: str) -> str:
    return text if text.startswith("I ") else text[:1].lower() + text[1:]


def _loosened(rng: random.Random, text: str) -> str:
    """Varies what people vary without thinking: spelling, capitals, the mark at the end."""
    if rng.random() < 0.4:
        for british, american in _AMERICAN:
            text = text.replace(british, american)
    if rng.random() < 0.3:
        text = re.sub(r"\bgray\b", "grey", text)
    if rng.random() < 0.2:
        text = text.lower()
    return text[:-1] if text[-1] in "?." and rng.random() < 0.15 else text
