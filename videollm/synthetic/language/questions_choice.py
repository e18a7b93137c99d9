"""Questions with four options of one form, exactly one of them true."""

from __future__ import annotations

import random

from .. import truth, words
from ..scenes import ACTIONS, CAMERAS, COLOURS, LIGHTS, SHAPES, Clip, WorldObject
from . import facts, references
from .phrasings import Wording, say
from .question import Question
from .questions_objects import ask_colour, ask_shape
from .questions_shots import ask_of_shot

_FORMS = ("event", "event", "event", "object", "colour", "shape", "camera", "light", "first")
_ATTRIBUTES = {"colour": COLOURS, "shape": SHAPES, "camera": CAMERAS, "light": LIGHTS}
_OTHERS = 3

Happening = tuple[str, str, str]  # colour, shape, action


def ask_choice(clip: Clip, rng: random.Random) -> Question | None:
    """Asks for the letter of the one true option; each letter is as likely."""
    for form in rng.sample(_FORMS, len(_FORMS)):
        question = _ask(clip, rng, form)
        if question:
            return question
    return None


def _ask(clip: Clip, rng: random.Random, form: str) -> Question | None:
    match form:
        case "event":
            return _ask_event(clip, rng)
        case "first":
            return _ask_first(clip, rng)
        case "object":
            return _ask_object(clip, rng)
        case _:
            return _ask_attribute(clip, rng, form)


def _ask_event(clip: Clip, rng: random.Random) -> Question | None:
    found = truth.events(clip)
    if not found:
        return None
    thing = rng.choice(found).thing
    wording = say(rng, clip.split, "choice_event")
    return _choice(
        rng, "event", wording, _event_text(thing), _false_events(clip, rng, thing, _OTHERS), (thing,)
    )


def _ask_first(clip: Clip, rng: random.Random) -> Question | None:
    fact, found = facts.first(clip), truth.events(clip)
    if fact is None or len(found) < 2:
        return None
    thing, *later = [event.thing for event in found]
    others = [_event_text(other) for other in later[:_OTHERS]]
    others += _false_events(clip, rng, thing, _OTHERS - len(others))
    return _choice(rng, "first", say(rng, clip.split, "first"), _event_text(thing), others, (thing,))


def _ask_object(clip: Clip, rng: random.Random) -> Question | None:
    for shot_index in references.scopes(clip, rng):
        things = truth.things_in(clip, shot_index)
        if not things:
            continue
        thing, others = rng.choice(things), set[str]()
        while len(others) < _OTHERS:
            pair = references.absent_pair(rng, clip, shot_index)
            others |= {words.with_article(" ".join(pair))} if pair else set()
        wording = say(rng, clip.split, "choice_object", shot_index)
        true = words.with_article(words.name(thing))
        return _choice(rng, "object", wording, true, sorted(others), (thing,), shot_index)
    return None


def _ask_attribute(clip: Clip, rng: random.Random, form: str) -> Question | None:
    ask = {"colour": ask_colour, "shape": ask_shape}.get(form)
    question = ask(clip, rng) if ask else ask_of_shot(clip, rng, form)
    if question is None:
        return None
    others = rng.sample([value for value in _ATTRIBUTES[form] if value != question.answer], _OTHERS)
    wording = Wording(question.text, question.only_in_test)
    return _choice(rng, form, wording, question.answer, others, question.about, question.shot_index)


def _choice(
    rng: random.Random,
    form: str,
    wording: Wording,
    true: str,
    others: list[str],
    about: tuple[WorldObject, ...],
    shot_index: int | None = None,
) -> Question:
    options = rng.sample(others, len(others))
    index = rng.randrange(len(options) + 1)
    options.insert(index, true)
    lines = [f"{letter}) {option}" for letter, option in zip(words.LETTERS, options, strict=True)]
    gap = rng.choice((" ", " ", "\n"))
    fact = Question("choice", words.LETTERS[index], form=form, shot_index=shot_index, about=about)
    return fact.worded(Wording(gap.join([wording.text, *lines]), wording.only_in_test))


def _event_text(thing: WorldObject) -> str:
    return f"the {words.name(thing)} {thing.action.kind}"


def _false_events(clip: Clip, rng: random.Random, thing: WorldObject, count: int) -> list[str]:
    """Draws events that do not happen, each one change away from the true one or from another false one.

    So the true option is not the one that the others resemble most.
    """
    chosen = [(thing.colour, thing.shape, thing.action.kind)]
    actors = [
        (event.thing.colour, event.thing.shape, event.thing.action.kind) for event in truth.events(clip)
    ]
    while len(chosen) <= count:
        candidate = _changed(rng, rng.choice([*chosen, *actors]))
        if candidate not in chosen and _is_false(clip, candidate):
            chosen.append(candidate)
    return [f"the {colour} {shape} {action}" for colour, shape, action in chosen[1:]]


def _changed(rng: random.Random, happening: Happening) -> Happening:
    colour, shape, action = happening
    match rng.choice(("colour", "shape", "action", "action")):
        case "colour":
            return rng.choice(COLOURS), shape, action
        case "shape":
            return colour, rng.choice(SHAPES), action
        case _:
            return colour, shape, rng.choice(ACTIONS[1:])


def _is_false(clip: Clip, happening: Happening) -> bool:
    """Whether an event clearly does not happen, and may be named."""
    colour, shape, action = happening
    for thing in clip.objects:
        if (thing.colour, thing.shape) == (colour, shape):
            return truth.shows_actions(truth.shot_of(clip, thing)) and action in references.wrong_actions(
                clip, thing
            )
    may_spin = action != "spins" or shape not in ("circle", "ring")
    return may_spin and references.may_act(clip, shape, action) and references.may_pair(clip, (colour, shape))
