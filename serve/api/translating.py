"""A request's messages as the model's conversation: turns that alternate, with a mark where each medium stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile

from videollm.model.prompting import escape_marks
from videollm.values import Message, Role

from ..web.errors import RequestError
from .schemas import (
    ImagePart,
    Look,
    Said,
    SystemMessage,
    TextPart,
    VideoPart,
)

_MARK = "<video>\n"


@dataclass(frozen=True, slots=True)
class WishedMedium:
    """A medium that a request names.

    Attributes:
        url: Id of an upload, ``data:`` or http(s) URL.
        look: How it is looked at, as far as the medium itself says.
        param: Which field of the request names it.
        place: What stands before the names of the fields of its look in the request, as ``messages[0].``.
    """

    url: str
    look: Look
    param: str
    place: str

    def field(self, name: str) -> str:
        """Returns which field of the request says something of how it is looked at, if one does."""
        says_itself = getattr(self.look, name) is not None
        return f"{self.place}{name}" if says_itself else f"videollm.{name}"


@dataclass(frozen=True, slots=True)
class Talk:
    """A request's messages.

    Attributes:
        messages: Turns: perhaps the system's, then the person's and the model's in turn, the person's last.
        media: What their ``<video>`` marks stand for, in order.
    """

    messages: tuple[Message, ...]
    media: tuple[WishedMedium, ...]


def translate(said: Sequence[Said]) -> Talk:
    """Returns the conversation that a request's messages are.

    Neighbouring messages of one side become one turn.

    Raises:
        RequestError: They are no conversation that the model could go on with (400).
    """
    media: list[WishedMedium] = []
    written = [
        (_role(message), _content(message, f"messages[{place}].content", media))
        for place, message in enumerate(said)
    ]
    turns = [
        Message(role, "\n".join(text for _, text in texts))
        for role, texts in groupby(written, key=lambda one: one[0])
    ]
    _check(said, turns)
    return Talk(tuple(turns), tuple(media))


def _role(message: Said) -> Role:
    return "system" if isinstance(message, SystemMessage) else message.role


def _content(message: Said, param: str, media: list[WishedMedium]) -> str:
    """The text of a message; its media are added to ``media``."""
    if isinstance(message.content, str):
        return escape_marks(message.content)
    pieces = []
    for place, part in enumerate(message.content):
        if isinstance(part, TextPart):
            pieces.append(escape_marks(part.text))
            continue
        if pieces and not pieces[-1].endswith("\n"):
            pieces.append("\n")
        pieces.append(_MARK)
        media.append(_wished(part, f"{param}[{place}]"))
    return "".join(_spaced(pieces))


def _spaced(pieces: Sequence[str]) -> Iterator[str]:
    """Texts that follow one another stand on lines of their own."""
    for place, piece in enumerate(pieces):
        before = pieces[place - 1] if place else "\n"
        if not before.endswith("\n") and piece != "\n":
            yield "\n"
        yield piece


def _wished(part: VideoPart | ImagePart, param: str) -> WishedMedium:
    if isinstance(part, ImagePart):
        return WishedMedium(part.image_url.url, Look(), f"{param}.image_url.url", f"{param}.image_url.")
    look = Look(**part.video_url.model_dump(exclude={"url"}))
    return WishedMedium(part.video_url.url, look, f"{param}.video_url.url", f"{param}.video_url.")


def _check(said: Sequence[Said], turns: Sequence[Message]) -> None:
    roles, last = [_role(message) for message in said], len(said) - 1
    told = sum(1 for _ in takewhile(lambda role: role == "system", roles))
    if "system" in roles[told:]:
        late = roles.index("system", told)
        raise _wrong("a system message may only stand before all others", f"messages[{late}].role")
    if roles[-1] != "user":
        message = f"the last message must be the user's, got the {roles[-1]}'s: it is what gets answered"
        raise _wrong(message, f"messages[{last}].role")
    if roles[told] != "user":
        message = f"the first message after the system's must be the user's, got the {roles[told]}'s"
        raise _wrong(message, f"messages[{told}].role")
    if not turns[-1].content.replace(_MARK, "").strip():
        raise _wrong("the last message asks nothing; add a text", f"messages[{last}].content")


def _wrong(message: str, param: str) -> RequestError:
    return RequestError(400, message, code="invalid_messages", param=param)
