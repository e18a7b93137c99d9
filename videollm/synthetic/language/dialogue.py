"""Conversations about a clip, in which many turns refer to an earlier one: "and what does it do?"."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from .. import truth
from ..scenes import Clip, WorldObject
from . import facts, references
from .phrasings import say_follow_up, shot_name
from .question import KINDS, Question
from .questions import ask
from .questions_time import cut_name

_FOLLOW_UP_SHARE = 0.6
_TELLS_EVENT = frozenset({"action", "first_last", "after_before", "when", "at"})
_INTRODUCES = _TELLS_EVENT | {"colour", "shape", "size", "exists", "contents"}
_MOVES_ON: dict[str, Callable[[Clip, WorldObject], Question | None]] = {
    "size": facts.size,
    "action": facts.action,
    "when": facts.when,
}

Topic = tuple[Question, str, dict[str, str]]  # the fact, the key of its wordings, their slots


def dialogue(clip: Clip, rng: random.Random, turns: int) -> list[Question]:
    """Draws a conversation of up to ``turns`` questions, each after the first often about what the last one was."""
    asked: list[Question] = []
    while len(asked) < turns:
        question = None
        if asked and rng.random() < _FOLLOW_UP_SHARE:
            question = follow_up(clip, rng, asked[-1])
        if question is None or any(question.text == earlier.text for earlier in asked):
            question = _fresh(clip, rng, asked)
        asked.append(question)
    return asked


def follow_up(clip: Clip, rng: random.Random, previous: Question) -> Question | None:
    """Draws a question that is understood only together with the one before it, or ``None`` where none fits.

    Args:
        clip: The clip.
        rng: Source of the choices.
        previous: The turn before.

    Returns:
        A question of the same kinds, with the same canonical answers.
    """
    topics = list(_topics(clip, rng, previous))
    if not topics:
        return None
    fact, key, slots = rng.choice(topics)
    return fact.worded(say_follow_up(rng, clip.split, key, **slots))


def _fresh(clip: Clip, rng: random.Random, asked: list[Question]) -> Question:
    while True:
        question = ask(clip, rng, rng.choice(KINDS))
        if question and all(question.text != earlier.text for earlier in asked):
            return question


def _topics(clip: Clip, rng: random.Random, previous: Question) -> Iterator[Topic]:
    thing = _it(previous)
    if thing:
        yield from _about_it(clip, previous, thing)
        yield from _about_others(clip, rng, previous, thing)
    if previous.shot_index is not None:
        yield from _of_other_shots(clip, rng, previous, previous.shot_index)
    if previous.kind == "first_last":
        other = "last" if previous.form == "first" else "first"
        fact = facts.last(clip) if other == "last" else facts.first(clip)
        if fact:
            yield fact, other, {}
    if previous.kind == "cut":
        count = len(truth.cuts_s(clip))
        for index in {*range(count)} - {int(previous.form) - 1}:
            yield facts.cut(clip, index), "other_cut", {"cut": cut_name(rng, index, count)}


def _it(previous: Question) -> WorldObject | None:
    """Returns the one object that "it" would stand for after a question, if there is one."""
    if previous.kind not in _INTRODUCES or previous.answer == facts.NOTHING:
        return None
    if previous.kind == "after_before":
        return previous.about[0]
    return previous.about[0] if len(previous.about) == 1 else None


def _about_it(clip: Clip, previous: Question, thing: WorldObject) -> Iterator[Topic]:
    """Yields what has not been said of the object yet, and what happens around its event."""
    said = f"{previous.text} {previous.answer}".lower().replace("grey", "gray")
    if thing.colour not in said:
        yield facts.colour(thing), "colour", {}
    if thing.shape not in said:
        yield facts.shape(thing), "shape", {}
    told = previous.kind in _TELLS_EVENT
    wanted: dict[str, Callable[[], Question | None]] = {
        "size": lambda: None if thing.size in said else facts.size(clip, thing),
        "action": lambda: None if told or thing.action.kind in said else facts.action(clip, thing),
        "when": lambda: facts.when(clip, thing) if told and previous.kind != "when" else None,
        "after": lambda: facts.next_to(clip, thing, "after") if told else None,
        "before": lambda: facts.next_to(clip, thing, "before") if told else None,
    }
    for key, fact_of in wanted.items():
        fact = fact_of()
        if fact:
            yield fact, key, {}


def _about_others(clip: Clip, rng: random.Random, previous: Question, thing: WorldObject) -> Iterator[Topic]:
    """Yields the same question about another object of the clip."""
    if previous.kind not in _MOVES_ON:
        return
    for other in clip.objects:
        fact = _MOVES_ON[previous.kind](clip, other)
        if fact and other != thing:
            yield fact, "other_thing", {"thing": references.refer(rng, clip, other)}


def _of_other_shots(clip: Clip, rng: random.Random, previous: Question, shot_index: int) -> Iterator[Topic]:
    """Yields the same question about another shot."""
    for other in {*range(len(clip.shots))} - {shot_index}:
        if previous.kind in facts.SHOT_KINDS:
            fact = facts.of_shot(clip, previous.kind, other)
        elif previous.kind == "contents":
            fact = facts.contents(clip, other)
        elif (previous.kind, previous.form) == ("count_objects", "all"):
            fact = facts.count_objects(clip, other)
        else:
            return
        if fact:
            yield fact, "other_shot", {"shot": shot_name(rng, other)}
