"""Training conversations about clips of the pocket world."""

from __future__ import annotations

import random

from videollm.synthetic.language.dialogue import dialogue
from videollm.synthetic.language.questions import DESCRIPTIONS, Question, ask
from videollm.synthetic.language.world_text import log
from videollm.synthetic.nameless import has_unnamed
from videollm.synthetic.scenes import Clip
from videollm.values import Message

from .balance import KindBalance

# Asks for the written log of a clip: every object, action and time, more than any description tells.
_LOG_REQUEST = "Write the log of this video."


def describing(clip: Clip, rng: random.Random, turns: int) -> list[tuple[str, str]]:
    """Returns requests for descriptions of a clip with their answers, the written log among them."""
    pairs = [(_LOG_REQUEST, log(clip))]
    for _ in range(turns - 1):
        pairs.insert(rng.randrange(len(pairs) + 1), _pair(_describe(clip, rng)))
    return pairs


def questioning(
    clip: Clip, rng: random.Random, turns: int, balance: KindBalance, description_share: float
) -> list[tuple[str, str]]:
    """Returns independent questions of all kinds with their answers.

    ``description_share`` of them are requests for descriptions, the written log among them: stage 1 asks for it, while
    the language model is frozen. A clip with objects that have no name is not described.
    """
    described = 0.0 if has_unnamed(clip) else description_share
    return [
        _described(clip, rng) if rng.random() < described else _pair(balance.draw(clip, rng))
        for _ in range(turns)
    ]


def following(clip: Clip, rng: random.Random, turns: int) -> list[tuple[str, str]]:
    """Returns a dialogue, in which many questions refer to an earlier one, with its answers."""
    return [_pair(question) for question in dialogue(clip, rng, turns)]


def as_messages(pairs: list[tuple[str, str]], context: str) -> list[Message]:
    """Returns the exchanges as messages; ``context`` (``<video>`` or a log) stands before the first question."""
    messages: list[Message] = []
    for text, answer in pairs:
        asked = f"{context}\n{text}" if not messages else text
        messages += [Message("user", asked), Message("assistant", answer)]
    return messages


def _described(clip: Clip, rng: random.Random) -> tuple[str, str]:
    if rng.randrange(len(DESCRIPTIONS) + 1) == 0:
        return _LOG_REQUEST, log(clip)
    return _pair(_describe(clip, rng))


def _describe(clip: Clip, rng: random.Random) -> Question:
    question = ask(clip, rng, rng.choice(DESCRIPTIONS))
    assert question is not None
    return question


def _pair(question: Question) -> tuple[str, str]:
    return question.text, question.answer
