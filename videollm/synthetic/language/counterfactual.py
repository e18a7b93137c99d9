"""The same question about a clip and about a twin of it for which the answer is another."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from ...clock import format_time
from .. import truth, twins, words
from ..scenes import Clip, WorldObject
from . import facts
from .phrasings import say
from .question import Question
from .scoring import TOLERANCE_S

Fact = Callable[[Clip], Question | None]
FactOfThing = Callable[[Clip, WorldObject], Question | None]


@dataclass(frozen=True, slots=True)
class CounterfactualPair:
    """One text, two clips, two answers: right only if both are.

    Attributes:
        change: ``"backwards"``, ``"recut"`` or ``"recoloured"``.
        twin: The changed clip.
        question: The question with the answer that is true of the clip.
        twin_question: The same text with the answer that is true of the twin.
    """

    change: str
    twin: Clip
    question: Question
    twin_question: Question


@dataclass(frozen=True, slots=True)
class _Probe:
    """Something that can be asked in the same words of two clips."""

    key: str
    fact: Fact
    shot_index: int | None = None
    slots: dict[str, str] = field(default_factory=dict)


def counterfactual(clip: Clip, rng: random.Random) -> list[CounterfactualPair]:
    """Draws counterfactual pairs: for each twin of the clip, one of each kind of question whose answer changes."""
    made = {
        "backwards": twins.backwards(clip),
        "recut": twins.recut(clip, rng),
        "recoloured": twins.recoloured(clip, rng),
    }
    return [pair for change, twin in made.items() if twin for pair in _pairs(clip, twin, change, rng)]


def _pairs(clip: Clip, twin: Clip, change: str, rng: random.Random) -> Iterator[CounterfactualPair]:
    probes = list(_probes(clip))
    rng.shuffle(probes)
    done: set[str] = set()
    for probe in probes:
        here, there = probe.fact(clip), probe.fact(twin)
        if here and there and here.kind not in done and _differ(here, there):
            done.add(here.kind)
            wording = say(rng, clip.split, probe.key, probe.shot_index, **probe.slots)
            yield CounterfactualPair(change, twin, here.worded(wording), there.worded(wording))


def _differ(here: Question, there: Question) -> bool:
    """Whether no answer is right for both: of times, even one between them that is near enough to each."""
    if not here.exact_s:
        return here.answer != there.answer
    ends = zip(here.exact_s[0], there.exact_s[0], strict=True)
    return any(abs(one - other) > 2 * TOLERANCE_S for one, other in ends)


def _probes(clip: Clip) -> Iterator[_Probe]:
    yield _Probe("first", facts.first)
    yield _Probe("last", facts.last)
    for thing in clip.objects:
        yield from _thing_probes(thing)
    for one, other in itertools.permutations([event.thing for event in truth.events(clip)], 2):
        slots = _event_slots(one) | {"other": _the(other), "other_does": other.action.kind}
        for relation in ("before", "after"):
            yield _Probe("order", partial(_order, one, other, relation), slots=slots | {"relation": relation})
    for second in range(1, int(clip.duration_s)):
        slots = {"time": format_time(second), "seconds": f"{second} seconds"}
        yield _Probe("at", partial(facts.at, second=second), slots=slots)
    yield from _shot_probes(clip)


def _thing_probes(thing: WorldObject) -> Iterator[_Probe]:
    bare = words.name(thing)
    yield _Probe("action", partial(_of_thing, thing, facts.action), slots={"thing": _the(thing)})
    yield _Probe("colour", partial(_colour, thing.shape), slots={"thing": f"the {thing.shape}"})
    yield _Probe("exists", partial(_exists, bare), slots={"some": words.with_article(bare), "bare": bare})
    if thing.action.kind != "stays still":
        slots = _event_slots(thing)
        yield _Probe("when", partial(_of_event, thing, facts.when), slots=slots)
        for form in ("after", "before"):
            yield _Probe(form, partial(_of_event, thing, partial(facts.next_to, form=form)), slots=slots)


def _shot_probes(clip: Clip) -> Iterator[_Probe]:
    shots: list[int | None] = [None, *(range(len(clip.shots)) if len(clip.shots) > 1 else ())]
    for index in shots:
        for kind in facts.SHOT_KINDS:
            yield _Probe(kind, partial(facts.of_shot, kind=kind, shot_index=index), index)
        yield _Probe("contents", partial(facts.contents, shot_index=index), index)
        count = partial(facts.count_objects, shot_index=index)
        yield _Probe("count_objects", count, index, {"things": "objects"})
    for index in range(len(clip.shots) - 1):
        yield _Probe(
            "cut", partial(facts.cut, index=index), slots={"cut": f"the {words.ORDINALS[index]} cut"}
        )


def _the(thing: WorldObject) -> str:
    return f"the {words.name(thing)}"


def _event_slots(thing: WorldObject) -> dict[str, str]:
    return {"thing": _the(thing), **words.verb_forms(thing.action.kind)}


def _same(clip: Clip, thing: WorldObject) -> WorldObject | None:
    """Returns the clip's object of the same name."""
    return next((other for other in clip.objects if words.name(other) == words.name(thing)), None)


def _same_actor(clip: Clip, thing: WorldObject) -> WorldObject | None:
    """Returns the clip's object of the same name if it also does the same."""
    same = _same(clip, thing)
    return same if same and same.action.kind == thing.action.kind else None


def _of_thing(thing: WorldObject, fact_of: FactOfThing, clip: Clip) -> Question | None:
    same = _same(clip, thing)
    return fact_of(clip, same) if same else None


def _of_event(thing: WorldObject, fact_of: FactOfThing, clip: Clip) -> Question | None:
    same = _same_actor(clip, thing)
    return fact_of(clip, same) if same else None


def _order(one: WorldObject, other: WorldObject, relation: str, clip: Clip) -> Question | None:
    here, there = _same_actor(clip, one), _same_actor(clip, other)
    return facts.order(clip, here, there, relation) if here and there else None


def _colour(shape: str, clip: Clip) -> Question | None:
    things = [thing for thing in clip.objects if thing.shape == shape]
    return facts.colour(things[0]) if len(things) == 1 else None


def _exists(bare: str, clip: Clip) -> Question:
    there = tuple(thing for thing in clip.objects if words.name(thing) == bare)
    return Question("exists", "yes" if there else "no", form="pair", about=there)
