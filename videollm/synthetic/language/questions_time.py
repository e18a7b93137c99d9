"""Questions about time: what happens first and last, after and before, in which order, when, and when shots change."""

from __future__ import annotations

import itertools
import math
import random
from typing import TypeVar

from ...clock import format_time
from .. import truth, words
from ..scenes import Clip, WorldObject
from . import facts, references
from .phrasings import say
from .question import Question

_NOTHING_SHARE = 0.2  # where something could be asked for instead
_ONLY_NOTHING_SHARE = 0.2  # of the clips where nothing else can be asked for

_TAUGHT_RELATIONS = (4, 1)  # weights of "before" and "after"

T = TypeVar("T")


def ask_first_last(clip: Clip, rng: random.Random) -> Question | None:
    """Asks what happens first or last; in training now and then of a clip in which nothing does."""
    found = [fact for fact in (facts.first(clip), facts.last(clip)) if fact]
    if not found and clip.split == "train" and rng.random() < _ONLY_NOTHING_SHARE:
        found = [fact for fact in (facts.no_event(clip, "first"), facts.no_event(clip, "last")) if fact]
    if not found:
        return None
    fact = rng.choice(found)
    return fact.worded(say(rng, clip.split, fact.form))


def ask_after_before(clip: Clip, rng: random.Random) -> Question | None:
    """Asks what happens right after or right before an event."""
    acting = [event.thing for event in truth.events(clip)]
    asked = [(thing, facts.next_to(clip, thing, form)) for thing in acting for form in ("after", "before")]
    picked = _seldom_nothing(rng, [(thing, fact) for thing, fact in asked if fact])
    if not picked:
        return None
    thing, fact = picked
    return fact.worded(say(rng, clip.split, fact.form, **_event_slots(rng, clip, thing)))


def _seldom_nothing(rng: random.Random, found: list[tuple[T, Question]]) -> tuple[T, Question] | None:
    """Draws a pair such that over many clips "nothing" is a frequent answer, but not the answer to most questions."""
    empty = [pair for pair in found if pair[1].answer == facts.NOTHING]
    telling = [pair for pair in found if pair[1].answer != facts.NOTHING]
    share = _NOTHING_SHARE if telling else _ONLY_NOTHING_SHARE
    pool = empty if empty and rng.random() < share else telling
    return rng.choice(pool) if pool else None


def _event_slots(rng: random.Random, clip: Clip, thing: WorldObject) -> dict[str, str]:
    return {"thing": references.refer(rng, clip, thing), **words.verb_forms(thing.action.kind)}


def ask_order(clip: Clip, rng: random.Random) -> Question | None:
    """Asks whether one event starts before, or after, another; "yes" and "no" are as likely.

    In training "after" is asked for seldom. Where both are as likely, the answer is the exclusive or of the relation
    and of what came first: neither alone says anything about it, and learning has nothing to set out from.
    """
    acting = [event.thing for event in truth.events(clip)]
    (relation,) = rng.choices(("before", "after"), _TAUGHT_RELATIONS if clip.split == "train" else (1, 1))
    pairs = list(itertools.permutations(acting, 2))
    asked = [(one, other, facts.order(clip, one, other, relation)) for one, other in pairs]
    possible = [(one, other, fact) for one, other, fact in asked if fact]
    if not possible:
        return None
    one, other, fact = rng.choice(possible)
    slots = {
        "relation": relation,
        "other": references.refer(rng, clip, other),
        "other_does": other.action.kind,
    }
    return fact.worded(say(rng, clip.split, "order", **_event_slots(rng, clip, one), **slots))


def ask_when(clip: Clip, rng: random.Random) -> Question | None:
    """Asks from when to when an event goes on."""
    found = truth.events(clip)
    if not found:
        return None
    thing = rng.choice(found).thing
    fact = facts.when(clip, thing)
    return fact and fact.worded(say(rng, clip.split, "when", **_event_slots(rng, clip, thing)))


def ask_at(clip: Clip, rng: random.Random) -> Question | None:
    """Asks what goes on at a whole second."""
    asked = [(second, facts.at(clip, second)) for second in range(1, math.ceil(clip.duration_s))]
    picked = _seldom_nothing(rng, [(second, fact) for second, fact in asked if fact])
    if not picked:
        return None
    second, fact = picked
    seconds = "1 second" if second == 1 else f"{second} seconds"
    return fact.worded(say(rng, clip.split, "at", time=format_time(second), seconds=seconds))


def ask_count_shots(clip: Clip, rng: random.Random) -> Question:
    """Asks for the number of shots."""
    return facts.count_shots(clip).worded(say(rng, clip.split, "count_shots"))


def ask_cut(clip: Clip, rng: random.Random) -> Question | None:
    """Asks when a cut happens."""
    count = len(truth.cuts_s(clip))
    if not count:
        return None
    index = rng.randrange(count)
    return facts.cut(clip, index).worded(say(rng, clip.split, "cut", cut=cut_name(rng, index, count)))


def cut_name(rng: random.Random, index: int, count: int) -> str:
    """Returns words for the cut with this index of ``count`` cuts."""
    options = [f"the {words.ORDINALS[index]} cut"] * 3
    options += ["the last cut"] * (index == count - 1)
    options += ["the cut", "the only cut"] * (count == 1)
    return rng.choice(options)
