"""Questions about a clip: every kind of the pocket world, each with its canonical answer."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from ..scenes import Clip
from . import facts
from .phrasings import say
from .question import DESCRIPTIONS, KINDS, Question
from .questions_choice import ask_choice
from .questions_objects import (
    ask_action,
    ask_colour,
    ask_contents,
    ask_count,
    ask_exists,
    ask_shape,
    ask_size,
)
from .questions_shots import ask_of_shot
from .questions_time import (
    ask_after_before,
    ask_at,
    ask_count_shots,
    ask_cut,
    ask_first_last,
    ask_order,
    ask_when,
)
from .questions_unanswerable import ask_out_of_scope, ask_unanswerable

__all__ = ["DESCRIPTIONS", "KINDS", "Question", "ask", "questions"]


def ask(clip: Clip, rng: random.Random, kind: str) -> Question | None:
    """Draws a question of one kind about a clip.

    Args:
        clip: The clip; its ``split`` decides which wordings and which false statements may be used.
        rng: Source of all choices; the same state gives the same question.
        kind: One of ``KINDS`` or ``DESCRIPTIONS``.

    Returns:
        The question, or ``None`` where this kind cannot be asked of this clip.
    """
    return _ASK[kind](clip, rng)


def questions(clip: Clip, rng: random.Random, count: int) -> list[Question]:
    """Draws up to ``count`` questions about a clip that differ in their words.

    Kinds come in random order, each once before any comes again; so few questions are of different kinds.
    """
    drawn: dict[str, Question] = {}
    for _ in range(-(-count // len(KINDS)) + 2):
        for kind in rng.sample(KINDS, len(KINDS)):
            question = ask(clip, rng, kind)
            if question and len(drawn) < count:
                drawn.setdefault(question.text, question)
    return list(drawn.values())


def _ask_caption(clip: Clip, rng: random.Random) -> Question:
    return facts.caption_of(clip).worded(say(rng, clip.split, "caption"))


def _ask_dense(clip: Clip, rng: random.Random) -> Question:
    return facts.dense_of(clip).worded(say(rng, clip.split, "dense"))


_ASK: dict[str, Callable[[Clip, random.Random], Question | None]] = {
    "colour": ask_colour,
    "shape": ask_shape,
    "size": ask_size,
    "action": ask_action,
    "count_objects": ask_count,
    "count_shots": ask_count_shots,
    "exists": ask_exists,
    "first_last": ask_first_last,
    "after_before": ask_after_before,
    "order": ask_order,
    "when": ask_when,
    "at": ask_at,
    "cut": ask_cut,
    "contents": ask_contents,
    "choice": ask_choice,
    "unanswerable": ask_unanswerable,
    "out_of_scope": ask_out_of_scope,
    "caption": _ask_caption,
    "dense": _ask_dense,
    **{kind: partial(ask_of_shot, kind=kind) for kind in facts.SHOT_KINDS},
}
