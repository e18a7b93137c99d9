"""Questions about shots: camera, light, tone and backdrop, of the clip where its shots agree or of a named shot."""

from __future__ import annotations

import random
from collections import defaultdict

from ..scenes import Clip
from . import facts, references
from .phrasings import say
from .question import Question

# How many of the clips that have no other answer are asked for the usual one, so that it is not nearly always right.
_USUAL = {
    "camera": ("is static", 0.35),
    "light": ("normal", 0.5),
    "tone": ("in colour", 0.3),
    "backdrop": (facts.NO_SINGLE_COLOUR, 0.7),
}


def ask_of_shot(clip: Clip, rng: random.Random, kind: str) -> Question | None:
    """Asks for a trait of a shot (``kind`` is one of ``facts.SHOT_KINDS``); each answer there is, is as likely.

    Returns ``None`` where none can be seen, and for some of the clips where only the most usual answer is true.
    """
    by_answer: defaultdict[str, list[Question]] = defaultdict(list)
    for shot_index in references.scopes(clip, rng):
        fact = facts.of_shot(clip, kind, shot_index)
        if fact:
            by_answer[fact.answer].append(fact)
    usual, share = _USUAL[kind]
    if not by_answer or (set(by_answer) == {usual} and rng.random() >= share):
        return None
    candidates = by_answer[rng.choice(sorted(by_answer))]
    fact = candidates[0]  # scopes() has drawn whether the whole clip or a shot comes first
    return fact.worded(say(rng, clip.split, kind, fact.shot_index))
