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


def describing(clip: Clip, rng: random.Random, turns: int) -> list[Question]:
    """Returns requests for descriptions of a clip, for the written log among them."""
    asked = [_ask_log(clip)]
    for _ in range(turns - 1):
        asked.insert(rng.randrange(len(asked) + 1), _describe(clip, rng))
    return asked


def questioning(
    clip: Clip, rng: random.Random, turns: int, balance: KindBalance, description_share: float
) -> list[Question]:
    """Returns independent questions of all kinds.

    ``description_share`` of them are requests for descriptions, the written log among them: stage 1 asks for it, while
    the language model is frozen. A clip with objects that have no name is not described.
    """
    described = 0.0 if has_unnamed(clip) else description_share
    return [
        _described(clip, rng) if rng.random() < described else balance.draw(clip, rng) for _ in range(turns)
    ]


def following(clip: Clip, rng: random.Random, turns: int) -> list[Question]:
    """Returns a dialogue, in which many questions refer to an earlier one."""
    return dialogue(clip, rng, turns)


def as_messages(questions: list[Question], context: str) -> list[Message]:
    """Returns questions and answers as messages; ``context``, such as ``<video>``, stands before the first question."""
    messages: list[Message] = []
    for question in questions:
        asked = f"{context}\n{question.text}" if not messages else question.text
        messages += [Message("user", asked), Message("assistant", question.answer)]
    return messages


def _described(clip: Clip, rng: random.Random) -> Question:
    return _ask_log(clip) if rng.randrange(len(DESCRIPTIONS) + 1) == 0 else _describe(clip, rng)


def _ask_log(clip: Clip) -> Question:
    return Question("log", log(clip), _LOG_REQUEST, about=clip.objects)


def _describe(clip: Clip, rng: random.Random) -> Question:
    question = ask(clip, rng, rng.choice(DESCRIPTIONS))
    assert question is not None
    return question
