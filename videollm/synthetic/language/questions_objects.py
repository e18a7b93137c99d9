"""Questions about objects: colour, shape, size, action, count, existence and contents."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from functools import partial

from .. import truth, words
from ..scenes import Clip, WorldObject
from . import facts, references
from .phrasings import say
from .question import Question

_YES_SHARE = 0.66  # where there are objects; with empty clips, half of all answers
_ALL_SHARE = 0.6
_ALL_OBJECTS = ("objects", "objects", "shapes", "things")

Pointer = Callable[[random.Random, Clip, WorldObject, int | None], str | None]
Absent = Callable[[random.Random, Clip, int | None], str | None]
TraitOf = Callable[[WorldObject, int | None], Question | None]

_ABSENT: dict[str, Absent] = {
    "pair": references.absent_name,
    "shape": references.absent_shape,
    "colour": references.absent_object,
}


def ask_colour(clip: Clip, rng: random.Random) -> Question | None:
    """Asks for the colour of an object that is told apart by its shape, size or action."""
    return _ask_trait(clip, rng, "colour", references.without_colour, facts.colour)


def ask_shape(clip: Clip, rng: random.Random) -> Question | None:
    """Asks for the shape of an object that is told apart by its colour, size or action."""
    return _ask_trait(clip, rng, "shape", references.without_shape, facts.shape)


def ask_size(clip: Clip, rng: random.Random) -> Question | None:
    """Asks how big an object is."""
    return _ask_trait(clip, rng, "size", references.refer, partial(facts.size, clip))


def ask_action(clip: Clip, rng: random.Random) -> Question | None:
    """Asks what an object does."""
    return _ask_trait(clip, rng, "action", references.refer, partial(facts.action, clip))


def _ask_trait(
    clip: Clip, rng: random.Random, key: str, point_at: Pointer, fact_of: TraitOf
) -> Question | None:
    for shot_index in references.scopes(clip, rng):
        things = truth.things_in(clip, shot_index)
        rng.shuffle(things)
        for thing in things:
            fact, pointer = fact_of(thing, shot_index), point_at(rng, clip, thing, shot_index)
            if fact and pointer:
                return fact.worded(say(rng, clip.split, key, shot_index, thing=pointer))
    return None


def ask_count(clip: Clip, rng: random.Random) -> Question | None:
    """Asks for a number of objects, mostly of all; every number that can be asked for is as likely."""
    counts = [
        count for shot_index in references.scopes(clip, rng) for count in _counts(clip, rng, shot_index)
    ]
    totals = [(fact, noun) for fact, noun in counts if fact.form == "all"]
    pool = totals if totals and rng.random() < _ALL_SHARE else counts
    if not pool:
        return None
    number = rng.choice(sorted({fact.answer for fact, _ in pool}))
    fact, noun = next((fact, noun) for fact, noun in pool if fact.answer == number)
    return fact.worded(say(rng, clip.split, "count_objects", fact.shot_index, things=noun))


def _counts(clip: Clip, rng: random.Random, shot_index: int | None) -> list[tuple[Question, str]]:
    """Returns what may be counted, each with its plural."""
    total = facts.count_objects(clip, shot_index)
    things = truth.things_in(clip, shot_index)
    shapes, colours = Counter(thing.shape for thing in things), Counter(thing.colour for thing in things)
    may_name = partial(references.may_name_alone, clip, shot_index)
    some = [
        ("shape", count, words.plural(shape)) for shape, count in shapes.items() if may_name("shape", shape)
    ]
    some += [
        ("colour", count, f"{colour} objects")
        for colour, count in colours.items()
        if may_name("colour", colour)
    ]
    rng.shuffle(some)
    facts_of_some = [
        (Question("count_objects", str(count), form=form, shot_index=shot_index), noun)
        for form, count, noun in some
    ]
    return [(total, rng.choice(_ALL_OBJECTS)), *facts_of_some] if total else facts_of_some


def ask_exists(clip: Clip, rng: random.Random) -> Question | None:
    """Asks whether something is there; what is not there often shares a trait with what is."""
    for shot_index in references.scopes(clip, rng):
        things = truth.things_in(clip, shot_index)
        there = bool(things) and rng.random() < _YES_SHARE
        named = (
            _present(rng, clip, rng.choice(things), shot_index) if there else _absent(rng, clip, shot_index)
        )
        if named:
            form, bare = named
            about = tuple(thing for thing in things if there and _fits(thing, bare))
            fact = Question("exists", "yes" if there else "no", form=form, shot_index=shot_index, about=about)
            bare = references.in_other_words(rng, bare)
            slots = {"some": words.with_article(bare), "bare": bare}
            return fact.worded(say(rng, clip.split, "exists", shot_index, **slots))
    return None


def _present(rng: random.Random, clip: Clip, thing: WorldObject, shot_index: int | None) -> tuple[str, str]:
    options = [("pair", words.name(thing))] * 3
    if references.may_name_alone(clip, shot_index, "shape", thing.shape):
        options.append(("shape", thing.shape))
    if references.may_name_alone(clip, shot_index, "colour", thing.colour):
        options.append(("colour", f"{thing.colour} object"))
    if truth.shows_sizes(truth.shot_of(clip, thing)):
        options.append(("size", f"{thing.size} {words.name(thing)}"))
    return rng.choice(options)


def _absent(rng: random.Random, clip: Clip, shot_index: int | None) -> tuple[str, str] | None:
    things = truth.things_in(clip, shot_index)
    sized = [thing for thing in things if truth.shows_sizes(truth.shot_of(clip, thing))]
    form = rng.choice(["pair", "pair", "pair", "shape", "colour", *(["size"] if sized else [])])
    if form == "size":
        thing = rng.choice(sized)
        return form, f"{references.wrong_size(thing.size)} {words.name(thing)}"
    noun = _ABSENT[form](rng, clip, shot_index)
    return (form, noun) if noun else None


def _fits(thing: WorldObject, bare: str) -> bool:
    traits = {thing.size, thing.colour, thing.shape, "object"}
    return set(bare.split(" ")) <= traits


def ask_contents(clip: Clip, rng: random.Random) -> Question | None:
    """Asks for everything that is in the clip or in a shot."""
    for shot_index in references.scopes(clip, rng):
        fact = facts.contents(clip, shot_index)
        if fact:
            return fact.worded(say(rng, clip.split, "contents", shot_index))
    return None
