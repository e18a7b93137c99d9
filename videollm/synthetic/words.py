"""Small pieces of English that every sentence of the pocket world is made of: articles, lists, verbs and times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..clock import format_time
from .scenes import COLOURS, SHAPES, UNNAMED, Backdrop, WorldObject

ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
)  # fmt: skip
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six")
LETTERS = ("A", "B", "C", "D")
_COLOURS_IN_ORDER = (*COLOURS, UNNAMED)
_SHAPES_IN_ORDER = (*SHAPES, UNNAMED)


def with_article(noun: str) -> str:
    """Returns the noun phrase with "a", or "an" before a vowel."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def join_list(items: Sequence[str]) -> str:
    """Returns ``a``, ``a and b`` or ``a, b and c``; nothing for no items."""
    return " and ".join(part for part in (", ".join(items[:-1]), *items[-1:]) if part)


def capitalised(text: str) -> str:
    """Returns the text with its first letter in upper case and the rest as it is."""
    return text[:1].upper() + text[1:]


def span(start_s: float, end_s: float) -> str:
    """Returns a stretch of time the way questions of time are answered: ``from 0:03 to 0:05``."""
    return f"from {format_time(start_s)} to {format_time(end_s)}"


def in_order(things: Iterable[WorldObject]) -> list[WorldObject]:
    """Returns objects in the order in which they are named where time gives none: by colour, then by shape."""
    return sorted(
        things,
        key=lambda thing: (_COLOURS_IN_ORDER.index(thing.colour), _SHAPES_IN_ORDER.index(thing.shape)),
    )


def name(thing: WorldObject) -> str:
    """Returns an object's name, unique in its clip: ``red star``."""
    return f"{thing.colour} {thing.shape}"


def full_name(thing: WorldObject) -> str:
    """Returns an object as answers introduce it: ``a small red star``."""
    return with_article(f"{thing.size} {name(thing)}")


def plural(shape: str) -> str:
    """Returns a shape's plural."""
    return f"{shape}es" if shape.endswith("s") else f"{shape}s"


def base_form(action: str) -> str:
    """Returns an action's verb after "does": ``moves left`` becomes ``move left``."""
    verb, *rest = action.split(" ")
    return " ".join([verb.removesuffix("s"), *rest])


def gerund(action: str) -> str:
    """Returns an action's verb after "is": ``moves left`` becomes ``moving left``."""
    verb, *rest = base_form(action).split(" ")
    stem = {"spin": "spinn", "move": "mov"}.get(verb, verb)
    return " ".join([f"{stem}ing", *rest])


def verb_forms(action: str) -> dict[str, str]:
    """Returns an action's verb in the forms that wordings have slots for."""
    return {"does": action, "do": base_form(action), "doing": gerund(action)}


def backdrop_name(backdrop: Backdrop) -> str:
    """Returns a backdrop without its article: ``gray background``, ``red and blue gradient``, ``textured scene``."""
    match backdrop.kind:
        case "plain":
            return f"{backdrop.colours[0]} background"
        case "gradient":
            return f"{join_list(backdrop.colours)} gradient"
        case "texture":
            return "textured scene"
        case _:
            return "photographed scene"
