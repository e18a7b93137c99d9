"""What is true of a clip and what of it can be seen: events in time, and which facts may be asked about.

Nothing here is measured from pixels: a :class:`~videollm.synthetic.scenes.Clip` holds its whole truth.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from . import words
from .scenes import HELD_OUT_ACTING, HELD_OUT_COLOURED, Backdrop, Clip, Shot, WorldObject

SIMULTANEOUS_S = 0.5
CLEAR_OF_SECOND_S = 0.75
GRAYS = frozenset({"white", "black", "gray"})
_CHROMA = 40  # largest difference of an 8-bit shade's channels below which it looks gray


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens: an object's action other than staying still.

    Attributes:
        start_s: Exact start in seconds of the clip.
        end_s: Exact end.
        thing: The object that acts.
        shot_index: Index of the shot it happens in.
    """

    start_s: float
    end_s: float
    thing: WorldObject
    shot_index: int

    @property
    def text(self) -> str:
        """What happens, as answers say it: ``a small red star moves left``."""
        return f"{words.full_name(self.thing)} {self.thing.action.kind}"

    def covers(self, second: float) -> bool:
        """Whether the event goes on at a time, seen well before and well after it."""
        return (
            self.start_s <= second - CLEAR_OF_SECOND_S + 1e-9
            and self.end_s >= second + CLEAR_OF_SECOND_S - 1e-9
        )

    def avoids(self, second: float) -> bool:
        """Whether the event is clearly over, or clearly still to come, at a time."""
        return (
            self.end_s <= second - CLEAR_OF_SECOND_S + 1e-9
            or self.start_s >= second + CLEAR_OF_SECOND_S - 1e-9
        )


def shot_events(shot: Shot, shot_index: int) -> list[Event]:
    """Returns the events of one shot, in order of their starts."""
    acting = (thing for thing in shot.objects if thing.action.kind != "stays still")
    found = [Event(thing.action.start_s, thing.action.end_s, thing, shot_index) for thing in acting]
    return sorted(found, key=lambda event: event.start_s)


def events(clip: Clip) -> list[Event]:
    """Returns all events of a clip, in order of their starts."""
    found = [event for index, shot in enumerate(clip.shots) for event in shot_events(shot, index)]
    return sorted(found, key=lambda event: event.start_s)


def tie(one: Event, other: Event) -> bool:
    """Whether two events count as simultaneous: they start within half a second of each other."""
    return abs(one.start_s - other.start_s) <= SIMULTANEOUS_S + 1e-9


def moments(found: list[Event]) -> list[list[Event]]:
    """Groups events that are sorted by start into simultaneous ones, each group in the order of naming."""
    groups: list[list[Event]] = []
    for event in found:
        if groups and tie(groups[-1][0], event):
            groups[-1].append(event)
        else:
            groups.append([event])
    return [_in_order(group) for group in groups]


def _in_order(group: list[Event]) -> list[Event]:
    by_thing = {words.name(event.thing): event for event in group}
    return [by_thing[words.name(thing)] for thing in words.in_order(event.thing for event in group)]


def untied(found: list[Event], index: int) -> bool:
    """Whether the event at an index of a list sorted by start is simultaneous with none of its neighbours."""
    neighbours = [other for other in (index - 1, index + 1) if 0 <= other < len(found)]
    return not any(tie(found[index], found[other]) for other in neighbours)


def happening(found: list[Event], second: float) -> list[Event] | None:
    """Returns what goes on at a time in the order of naming, or ``None`` where some event is too close to tell."""
    if not all(event.covers(second) or event.avoids(second) for event in found):
        return None
    return _in_order([event for event in found if event.covers(second)])


def cuts_s(clip: Clip) -> list[float]:
    """Returns the exact seconds of a clip's cuts."""
    return [shot.start_s for shot in clip.shots[1:]]


def scope(clip: Clip, shot_index: int | None) -> tuple[Shot, ...]:
    """Returns the shot at an index, or all shots for ``None``."""
    return clip.shots if shot_index is None else (clip.shots[shot_index],)


def things_in(clip: Clip, shot_index: int | None) -> list[WorldObject]:
    """Returns the objects of a shot (or for ``None`` of the clip) in the order of naming."""
    return words.in_order(thing for shot in scope(clip, shot_index) for thing in shot.objects)


def shot_of(clip: Clip, thing: WorldObject) -> Shot:
    """Returns the shot an object belongs to."""
    return next(shot for shot in clip.shots if thing in shot.objects)


def shows_actions(shot: Shot) -> bool:
    """Whether it can be told what the shot's objects do: not while the camera moves."""
    return shot.camera == "is static"


def shows_sizes(shot: Shot) -> bool:
    """Whether the shot's objects have one size to speak of: not during a zoom."""
    return not shot.camera.startswith("zooms")


def shows_camera(shot: Shot) -> bool:
    """Whether it can be told what the camera does: there is a scene, or an object, to see it by."""
    return shot.backdrop.kind in ("texture", "photo") or bool(shot.objects)


def shows_light(shot: Shot) -> bool:
    """Whether it can be told how the light is: an empty plain picture only gives it away by fading from or to black."""
    if shot.objects or shot.backdrop.kind in ("texture", "photo"):
        return True
    if set(shot.backdrop.colours) == {"black"}:
        return False
    return shot.backdrop.kind == "gradient" or shot.light.startswith("fades")


def shows_tone(shot: Shot) -> bool:
    """Whether it can be told if a shot is in colour: something in it has, or would have had, a colour."""
    return _has_colour(shot.backdrop) or any(thing.colour not in GRAYS for thing in shot.objects)


def _has_colour(backdrop: Backdrop) -> bool:
    if backdrop.kind == "texture":
        return not backdrop.rgbs or any(max(shade) - min(shade) > _CHROMA for shade in backdrop.rgbs)
    return backdrop.kind == "photo" or any(colour not in GRAYS for colour in backdrop.colours)


def is_held_out_pair(colour: str, shape: str) -> bool:
    """Whether training never shows this colour on this shape."""
    return (colour, shape) in HELD_OUT_COLOURED


def is_held_out_act(shape: str, action: str) -> bool:
    """Whether training never shows this shape doing this."""
    return (shape, action) in HELD_OUT_ACTING


def is_held_out(thing: WorldObject) -> bool:
    """Whether an object shows a combination that training never shows."""
    return is_held_out_pair(thing.colour, thing.shape) or is_held_out_act(thing.shape, thing.action.kind)


def any_held_out(things: Iterable[WorldObject]) -> bool:
    """Whether at least one of the objects shows a held-out combination."""
    return any(is_held_out(thing) for thing in things)
