"""Text about clips that needs no pictures: a log that holds all their truth, and questions with answers about it.

A small language model learns the world's language from it, and to reason over what is told, before it sees anything.
"""

from __future__ import annotations

import random

from ...clock import format_time
from .. import truth, words
from ..scenes import Clip, Shot, WorldObject
from .dialogue import dialogue
from .question import DESCRIPTIONS, Question
from .questions import ask

_DESCRIPTION_SHARE = 0.4


def log(clip: Clip) -> str:
    """Returns a clip's whole truth as timed text, a line for each shot.

    Objects are told with where they are at first, in tenths of the picture from its left and from its top: nothing else
    that is asked for in training needs to know that.

    Example::

        shot 1 0:00-0:04: gray background; camera is static; light normal; in colour; small red star at 6 2 moves left
        0:01-0:03; large white cross at 2 7 stays still
    """
    return "\n".join(f"shot {index + 1} {_shot_log(shot, index)}" for index, shot in enumerate(clip.shots))


def _shot_log(shot: Shot, shot_index: int) -> str:
    found = truth.shot_events(shot, shot_index)
    still = [thing for thing in words.in_order(shot.objects) if thing.action.kind == "stays still"]
    parts = [words.backdrop_name(shot.backdrop), f"camera {shot.camera}", f"light {shot.light}", shot.tone]
    parts += [f"{_acting(event.thing)} {_times(event.start_s, event.end_s)}" for event in found]
    parts += [_acting(thing) for thing in still]
    return f"{_times(shot.start_s, shot.end_s)}: {'; '.join(parts)}"


def _acting(thing: WorldObject) -> str:
    return f"{thing.size} {words.name(thing)} at {int(10 * thing.x)} {int(10 * thing.y)} {thing.action.kind}"


def _times(start_s: float, end_s: float) -> str:
    return f"{format_time(start_s)}-{format_time(end_s)}"


def world_exchange(clip: Clip, rng: random.Random, turns: int = 6) -> tuple[str, list[Question]]:
    """Draws a context and a conversation about it that the context alone lets one answer.

    Args:
        clip: The clip.
        rng: Source of the choices.
        turns: Number of questions, follow-ups included.

    Returns:
        The log, and the questions; the first is now and then the request for a description.
    """
    asked = dialogue(clip, rng, turns)
    if rng.random() < _DESCRIPTION_SHARE:
        description = ask(clip, rng, rng.choice(DESCRIPTIONS))
        asked[:1] = [description] if description else asked[:1]
    return log(clip), asked


def world_text(clip: Clip, rng: random.Random, turns: int = 6) -> str:
    """Returns a log followed by questions and canonical answers about it, as one plain text."""
    context, asked = world_exchange(clip, rng, turns)
    return "\n".join([context, *(f"Q: {question.text}\nA: {question.answer}" for question in asked)])
