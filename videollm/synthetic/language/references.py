"""How questions point at objects: by any words that fit one object only; and at objects that are not there."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

from .. import truth, words
from ..scenes import ACTIONS, COLOURS, SHAPES, SIZES, Clip, WorldObject

_NOUNS = ("object", "object", "thing", "shape")
_NAME = re.compile(f"({'|'.join(COLOURS)}) ({'|'.join(SHAPES)})$")
_TURNED_SHARE = 0.3
# Actions that someone might call by the other's name.
_ALIKE = {"blinks": ("appears", "disappears"), "appears": ("blinks",), "disappears": ("blinks",)}


def scopes(clip: Clip, rng: random.Random) -> Iterator[int | None]:
    """Yields the clip as a whole (``None``) and its shots, in an order in which the whole often comes first.

    The only shot of a clip is never named.
    """
    shots: list[int | None] = list(range(len(clip.shots))) if len(clip.shots) > 1 else []
    rng.shuffle(shots)
    yield from ([None, *shots] if rng.random() < 0.6 else [*shots, None])


def refer(rng: random.Random, clip: Clip, thing: WorldObject, shot_index: int | None = None) -> str:
    """Returns words for an object that fit no other of the clip (or of the shot): "the red star", or shorter ones."""
    options = [in_other_words(rng, f"the {thing.colour} {thing.shape}")] * 2
    options += [f"the {thing.shape}"] * (2 * _only(clip, thing, shot_index, "shape"))
    options += [f"the {thing.colour} {rng.choice(_NOUNS)}"] * (2 * _only(clip, thing, shot_index, "colour"))
    return rng.choice(options)


def by_shape_or_name(rng: random.Random, clip: Clip, thing: WorldObject) -> str:
    """Returns "the red star" or, where it is the only one, now and then "the star": words that answers repeat."""
    short = _only(clip, thing, None, "shape") and rng.random() < 0.25
    return f"the {thing.shape if short else words.name(thing)}"


def without_colour(rng: random.Random, clip: Clip, thing: WorldObject, shot_index: int | None) -> str | None:
    """Returns words for an object that leave its colour open, or ``None`` where they would fit another too."""
    options = [f"the {thing.shape}"] * (4 * _only(clip, thing, shot_index, "shape"))
    if truth.shows_sizes(truth.shot_of(clip, thing)):
        options += [f"the {thing.size} {thing.shape}"] * _only(clip, thing, shot_index, "shape", "size")
    options += _by_action(rng, clip, thing, shot_index)
    return rng.choice(options) if options else None


def without_shape(rng: random.Random, clip: Clip, thing: WorldObject, shot_index: int | None) -> str | None:
    """Returns words for an object that leave its shape open, or ``None`` where they would fit another too."""
    noun = rng.choice(_NOUNS[:3])
    options = [f"the {thing.colour} {noun}"] * (4 * _only(clip, thing, shot_index, "colour"))
    if truth.shows_sizes(truth.shot_of(clip, thing)):
        options += [f"the {thing.size} {thing.colour} {noun}"] * _only(
            clip, thing, shot_index, "colour", "size"
        )
    options += _by_action(rng, clip, thing, shot_index)
    return rng.choice(options) if options else None


def absent_pair(rng: random.Random, clip: Clip, shot_index: int | None) -> tuple[str, str] | None:
    """Draws a colour and a shape that no object of the clip (or shot) has together.

    Often one of them, or each on its own, is there. In the training split no held-out combination is drawn: it would
    be absent every time.
    """
    present = sorted({(thing.colour, thing.shape) for thing in truth.things_in(clip, shot_index)})
    near = [(colour, shape) for colour, _ in present for shape in SHAPES]
    near += [(colour, shape) for _, shape in present for colour in COLOURS]
    near += [(thing.colour, thing.shape) for thing in clip.objects] * 8
    pool = (
        near if near and rng.random() < 0.7 else [(colour, shape) for colour in COLOURS for shape in SHAPES]
    )
    open_to = [pair for pair in pool if pair not in present and may_pair(clip, pair)]
    return rng.choice(open_to) if open_to else None


def absent_shape(rng: random.Random, clip: Clip, shot_index: int | None) -> str | None:
    """Draws a shape that is not there, or ``None`` where every shape is."""
    present = {thing.shape for thing in truth.things_in(clip, shot_index)}
    pool = [shape for shape in SHAPES if may_name_alone(clip, shot_index, "shape", shape)]
    return _absent(rng, pool, present, {thing.shape for thing in clip.objects})


def absent_object(rng: random.Random, clip: Clip, shot_index: int | None) -> str | None:
    """Draws "red object" of a colour that no object there has, or ``None`` where every colour is."""
    present = {thing.colour for thing in truth.things_in(clip, shot_index)}
    pool = [colour for colour in COLOURS if may_name_alone(clip, shot_index, "colour", colour)]
    colour = _absent(rng, pool, present, {thing.colour for thing in clip.objects})
    return f"{colour} object" if colour else None


def absent_name(rng: random.Random, clip: Clip, shot_index: int | None) -> str | None:
    """Draws "red star" as :func:`absent_pair` does."""
    pair = absent_pair(rng, clip, shot_index)
    return " ".join(pair) if pair else None


def absent_doer(rng: random.Random, clip: Clip, shot_index: int | None) -> str | None:
    """Draws "object that blinks" of what no object there does, or ``None`` where that cannot be told."""
    shots = [shot for shot in truth.scope(clip, shot_index) if shot.objects]
    if not all(truth.shows_actions(shot) for shot in shots):
        return None
    done = {thing.action.kind for shot in shots for thing in shot.objects}
    alike = {other for kind in done for other in _ALIKE.get(kind, ())}
    options = [
        kind
        for kind in ACTIONS[1:]
        if kind not in done | alike and may_name_alone(clip, shot_index, "action", kind)
    ]
    return f"object that {rng.choice(options)}" if options else None


def in_other_words(rng: random.Random, noun: str) -> str:
    """Says "thing" or "shape" for "object" and "star that is red" for "red star" now and then.

    Who only ever reads colour and shape side by side may learn the pairs instead of the two.
    """
    noun = noun.replace("object", rng.choice(_NOUNS))
    return _NAME.sub(r"\2 that is \1", noun) if rng.random() < _TURNED_SHARE else noun


def wrong_size(size: str) -> str:
    """Returns the other size."""
    return SIZES[1 - SIZES.index(size)]


def wrong_actions(clip: Clip, thing: WorldObject) -> list[str]:
    """Returns the events that an object clearly does not take part in, and that questions may ascribe to it."""
    impossible = {"stays still", thing.action.kind, *_ALIKE.get(thing.action.kind, ())}
    if thing.shape in ("circle", "ring"):
        impossible.add("spins")
    return [kind for kind in ACTIONS if kind not in impossible and may_act(clip, thing.shape, kind)]


def may_pair(clip: Clip, pair: tuple[str, str]) -> bool:
    """Whether a false statement may name this colour and shape together: training avoids held-out combinations."""
    return clip.split == "test" or not truth.is_held_out_pair(*pair)


def may_act(clip: Clip, shape: str, action: str) -> bool:
    """Whether a false statement may say that this shape does this: training avoids held-out combinations."""
    return clip.split == "test" or not truth.is_held_out_act(shape, action)


def may_name_alone(clip: Clip, shot_index: int | None, trait: str, value: str) -> bool:
    """Whether "the purple object", "the star" or "the object that spins" may be spoken of, be it there or not.

    In training not beside what would show a held-out combination with it: a star tells there that nothing purple is
    meant, and who learns that from being asked will deny the purple star.
    """
    if clip.split == "test":
        return True
    things = truth.things_in(clip, shot_index)
    match trait:
        case "colour":
            return not any(truth.is_held_out_pair(value, thing.shape) for thing in things)
        case "shape":
            return not any(
                truth.is_held_out_pair(thing.colour, value) or truth.is_held_out_act(value, thing.action.kind)
                for thing in things
            )
        case "action":
            return not any(truth.is_held_out_act(thing.shape, value) for thing in things)
    return True


def _only(clip: Clip, thing: WorldObject, shot_index: int | None, *traits: str) -> bool:
    """Whether these traits may name the object, and fit no other there."""

    def values(other: WorldObject) -> list[str]:
        return [getattr(other, trait) for trait in traits]

    fits_one = sum(values(other) == values(thing) for other in truth.things_in(clip, shot_index)) == 1
    return fits_one and all(
        may_name_alone(clip, shot_index, trait, getattr(thing, trait)) for trait in traits
    )


def _by_action(rng: random.Random, clip: Clip, thing: WorldObject, shot_index: int | None) -> list[str]:
    kind = thing.action.kind
    alike = [other for other in truth.things_in(clip, shot_index) if other.action.kind == kind]
    if kind == "stays still" or alike != [thing] or not may_name_alone(clip, shot_index, "action", kind):
        return []
    return [f"the {rng.choice(_NOUNS[:3])} that {kind}"]


def _absent(rng: random.Random, pool: list[str], present: set[str], in_clip: set[str]) -> str | None:
    """Draws from a pool what is not present, every other time what another shot holds."""
    elsewhere = sorted((in_clip - present).intersection(pool))
    if elsewhere and rng.random() < 0.5:
        return rng.choice(elsewhere)
    missing = [value for value in pool if value not in present]
    return rng.choice(missing) if missing else None
