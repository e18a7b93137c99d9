"""Facts of a clip, each with the canonical answer that states it; a fact in words is a question.

Functions return ``None`` where the world forbids the question: it cannot be seen, or has no single answer.
"""

from __future__ import annotations

from collections.abc import Callable

from ...clock import format_time
from .. import truth, words
from ..scenes import Clip, Shot, WorldObject
from .descriptions import backdrop_phrase, caption, dense
from .question import Question

CANNOT_NAME = "I cannot name what is in this scene."
NO_SINGLE_COLOUR = "The background has no single colour."
NOTHING = "nothing"


def colour(thing: WorldObject, shot_index: int | None = None) -> Question:
    """The colour of an object."""
    return Question("colour", thing.colour, shot_index=shot_index, about=(thing,))


def shape(thing: WorldObject, shot_index: int | None = None) -> Question:
    """The shape of an object."""
    return Question("shape", thing.shape, shot_index=shot_index, about=(thing,))


def size(clip: Clip, thing: WorldObject, shot_index: int | None = None) -> Question | None:
    """The size of an object, unless a zoom changes it."""
    if not truth.shows_sizes(truth.shot_of(clip, thing)):
        return None
    return Question("size", thing.size, shot_index=shot_index, about=(thing,))


def action(clip: Clip, thing: WorldObject, shot_index: int | None = None) -> Question | None:
    """What an object does, unless the camera moves."""
    if not truth.shows_actions(truth.shot_of(clip, thing)):
        return None
    return Question("action", thing.action.kind, shot_index=shot_index, about=(thing,))


def contents(clip: Clip, shot_index: int | None) -> Question | None:
    """All objects of a shot or of the clip; what to say instead where there are none."""
    things, shots = truth.things_in(clip, shot_index), truth.scope(clip, shot_index)
    if things:
        answer = words.join_list([words.full_name(thing) for thing in things])
    elif all(shot.backdrop.kind in ("texture", "photo") for shot in shots):
        answer = CANNOT_NAME
    elif len({backdrop_phrase(shot) for shot in shots}) == 1:
        answer = f"nothing but {backdrop_phrase(shots[0])}"
    else:
        return None
    return Question("contents", answer, shot_index=shot_index, about=tuple(things))


def count_objects(clip: Clip, shot_index: int | None) -> Question | None:
    """The number of objects of a shot or of the clip; "0" only where nothing else could be taken for an object."""
    things, shots = truth.things_in(clip, shot_index), truth.scope(clip, shot_index)
    if not things and any(shot.backdrop.kind in ("texture", "photo") for shot in shots):
        return None
    return Question("count_objects", str(len(things)), form="all", shot_index=shot_index, about=tuple(things))


def first(clip: Clip) -> Question | None:
    """The first event, unless it is simultaneous with another."""
    return _outermost(clip, "first", 0)


def last(clip: Clip) -> Question | None:
    """The event that starts last, unless it is simultaneous with another."""
    return _outermost(clip, "last", -1)


def _outermost(clip: Clip, form: str, index: int) -> Question | None:
    found = truth.events(clip)
    if not found or not truth.untied(found, index % len(found)):
        return None
    return Question("first_last", found[index].text, form=form, about=(found[index].thing,))


def no_event(clip: Clip, form: str) -> Question | None:
    """That nothing happens ``"first"`` or ``"last"``, where nothing does and it can be seen."""
    hidden = any(shot.objects and not truth.shows_actions(shot) for shot in clip.shots)
    return None if hidden or truth.events(clip) else Question("first_last", NOTHING, form=form)


def next_to(clip: Clip, thing: WorldObject, form: str) -> Question | None:
    """The event right ``"after"`` or right ``"before"`` an object's, by starts; "nothing" where there is none."""
    found = truth.events(clip)
    index = next((index for index, event in enumerate(found) if event.thing == thing), None)
    if index is None or not truth.untied(found, index):
        return None
    neighbour = index + (1 if form == "after" else -1)
    if not 0 <= neighbour < len(found):
        return Question("after_before", NOTHING, form=form, about=(thing,))
    if not truth.untied(found, neighbour):
        return None
    return Question("after_before", found[neighbour].text, form=form, about=(found[neighbour].thing, thing))


def order(clip: Clip, one: WorldObject, other: WorldObject, relation: str) -> Question | None:
    """Whether an object's event starts ``"before"`` (or ``"after"``) another's, unless they are simultaneous."""
    by_thing = {event.thing: event for event in truth.events(clip)}
    first_event, second_event = by_thing.get(one), by_thing.get(other)
    if first_event is None or second_event is None or truth.tie(first_event, second_event):
        return None
    true = (first_event.start_s < second_event.start_s) == (relation == "before")
    return Question("order", "yes" if true else "no", form=relation, about=(one, other))


def when(clip: Clip, thing: WorldObject) -> Question | None:
    """When an object's event starts and ends."""
    for event in truth.events(clip):
        if event.thing == thing:
            times = (event.start_s, event.end_s)
            return Question("when", words.span(*times), about=(thing,), exact_s=(times,))
    return None


def at(clip: Clip, second: int) -> Question | None:
    """What goes on at a second, unless an event is too close to its start or end, or three go on at once."""
    going_on = truth.happening(truth.events(clip), second)
    if going_on is None or len(going_on) > 2:
        return None
    answer = words.join_list([event.text for event in going_on]) or NOTHING
    return Question("at", answer, about=tuple(event.thing for event in going_on))


def count_shots(clip: Clip) -> Question:
    """The number of shots."""
    return Question("count_shots", str(len(clip.shots)))


def cut(clip: Clip, index: int) -> Question:
    """The time of the cut with this index."""
    second = truth.cuts_s(clip)[index]
    return Question("cut", f"at {format_time(second)}", form=str(index + 1), exact_s=((second, second),))


def caption_of(clip: Clip) -> Question:
    """The caption of the clip."""
    return Question("caption", caption(clip), about=clip.objects)


def dense_of(clip: Clip) -> Question:
    """The dense description of the clip."""
    times = tuple((shot.start_s, shot.end_s) for shot in clip.shots)
    return Question("dense", dense(clip), about=clip.objects, exact_s=times)


def _backdrop_answer(shot: Shot) -> str:
    return shot.backdrop.colours[0] if shot.backdrop.kind == "plain" else NO_SINGLE_COLOUR


_SHOT_FACTS: dict[str, tuple[Callable[[Shot], bool], Callable[[Shot], str]]] = {
    "camera": (truth.shows_camera, lambda shot: shot.camera),
    "light": (truth.shows_light, lambda shot: shot.light),
    "tone": (truth.shows_tone, lambda shot: shot.tone),
    "backdrop": (lambda shot: True, _backdrop_answer),
}
SHOT_KINDS = tuple(_SHOT_FACTS)


def of_shot(clip: Clip, kind: str, shot_index: int | None) -> Question | None:
    """Camera, light, tone or backdrop of a shot (``None``: of the clip, where all shots agree), if it can be seen."""
    shows, answer = _SHOT_FACTS[kind]
    shots = truth.scope(clip, shot_index)
    answers = {answer(shot) for shot in shots}
    if len(answers) > 1 or not all(shows(shot) for shot in shots):
        return None
    return Question(kind, answers.pop(), shot_index=shot_index)
