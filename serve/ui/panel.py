"""The parts of the page that are plain HTML: players, the strip of frames the model saw, the line about costs."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from urllib.parse import quote

from videollm.clock import format_time
from videollm.values import Answer

from ..service.events import MediumView, SeenFrame
from ..service.receipts import Receipt

_CANNOT_PLAY = (
    "This browser cannot play this kind of file. The model reads it: the frames below are what it saw."
)

_ENDINGS = {"cancelled": ("stopped",), "length": ("cut short: raise “Answer tokens, at most”",)}


def players(views: Sequence[MediumView]) -> str:
    """Returns a player (or the picture) and the facts of each medium, in the order of the conversation."""
    return "".join(_player(number, view) for number, view in enumerate(views))


def about(description: str) -> str:
    """Returns the line that says which model answers, and what it can see."""
    return f'<p id="model-line">{escape(description)}</p>'


def gone(names: Sequence[str]) -> str:
    """Returns the lines about media of a kept conversation that are not there any more."""
    return "".join(
        f'<p class="gone">{escape(name)} is not kept any more. Bring it again to ask about it.</p>'
        for name in names
    )


def strips(views: Sequence[MediumView]) -> str:
    """Returns for each medium the frames that the model saw with their times; a click takes the player there."""
    several = len(views) > 1
    return "".join(_strip(number, view, several) for number, view in enumerate(views))


def reading(name: str) -> str:
    """Returns the line shown while a file is being read."""
    return f'<p class="look reading" role="status">Reading {escape(name)} …</p>'


def stopping() -> str:
    """Returns the line shown from the wish to stop until the work has ended."""
    return '<p class="usage" role="status">Stopping …</p>'


def waiting(place: int) -> str:
    """Returns the line shown while others come before."""
    before = "One question comes" if place == 1 else f"{place} questions come"
    return f'<p class="usage" role="status">{before} before yours …</p>'


def receipt(lines: Sequence[tuple[str, int, int]]) -> str:
    """Returns what the next answer would look at: for each medium its name, frames and most visual tokens."""
    return "".join(
        f'<p class="receipt">{escape(name)}: {_counted(frames, "frame")}, '
        f"at most {_counted(tokens, 'visual token')}</p>"
        for name, frames, tokens in lines
    )


def held(receipt: Receipt) -> str:
    """Returns what reading a long file will take, before it is read."""
    every_s = receipt.window_s / max(1, receipt.frames)
    facts = (
        f"{_counted(receipt.frames, 'frame')}, one every {every_s:.2g} s",
        f"at most {_counted(receipt.visual_tokens, 'visual token')}",
        f"about {_duration(receipt.seconds)}",
        f"{max(1, round(receipt.nbytes / 1e6))} MB of memory",
    )
    name, length = escape(receipt.file.name), format_time(receipt.info.duration_s, decimals=1)
    return (
        f'<section class="look held" aria-label="Before {name} is read"><p><b>{name}</b> lasts {length}. '
        f"Looking at it takes {' · '.join(facts)}.</p>"
        "<p>Settings say how many frames are looked at, and of which part. A question reads it at once.</p></section>"
    )


def problem(line: str) -> str:
    """Returns the line that says what is wrong with a setting."""
    return f'<p class="notice" role="alert">{escape(line)}</p>'


def usage(answer: Answer, model: str | None = None) -> str:
    """Returns what an answer cost as one small line, with what else should be known.

    Args:
        answer: The answer.
        model: Whose it is, where there are several.
    """
    cost = answer.usage
    facts = [
        *([escape(model)] if model else []),
        *_ENDINGS.get(answer.finish_reason, ()),
        _counted(cost.frames, "frame"),
        _counted(cost.visual_tokens, "visual token"),
        f"{_counted(cost.prompt_tokens, 'prompt token')} ({cost.cached_tokens} kept)",
        _counted(cost.completion_tokens, "answer token"),
        f"{sum(cost.seconds.values()):.1f} s",
    ]
    spent = ", ".join(f"{phase} {seconds:.2f} s" for phase, seconds in cost.seconds.items())
    notices = "".join(f'<p class="notice">{escape(notice)}</p>' for notice in answer.notices)
    return f'<p class="usage" title="{escape(spent)}">{" · ".join(facts)}</p>{notices}'


def _duration(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _player(number: int, view: MediumView) -> str:
    name, source = escape(view.file.name), f"media/{quote(view.file.id, safe='')}"
    attributes = f'data-player="{number}" src="{escape(source)}"'
    if _is_picture(view):
        medium = f'<img {attributes} alt="{name}">'
    else:
        attributes += f' data-duration="{view.info.duration_s:.3f}" aria-label="{name}"'
        medium = f'<video {attributes} controls playsinline preload="metadata"></video>'
    note = f'<p class="unplayable" hidden>{_CANNOT_PLAY}</p>'
    return f'<figure class="medium">{medium}{note}<figcaption>{_facts(view)}</figcaption></figure>'


def _is_picture(view: MediumView) -> bool:
    return view.info.kind == "image" or view.info.container == "gif"


def _facts(view: MediumView) -> str:
    info = view.info
    facts = [f"{info.width} × {info.height}", info.codec]
    if info.kind == "video":
        facts = [format_time(info.duration_s, decimals=1), *facts, f"{info.fps:.3g} fps"]
    line = f"<b>{escape(view.file.name)}</b> {escape(' · '.join(facts))}"
    return line + "".join(f'<span class="notice">{escape(notice)}</span>' for notice in view.notices)


def _strip(number: int, view: MediumView, named: bool) -> str:
    name = escape(view.file.name)
    frames = "".join(_frame(number, frame) for frame in view.frames)
    title = f"What the model saw of {name}" if named else "What the model saw"
    cost = f"{_counted(len(view.frames), 'frame')}, {_counted(view.visual_tokens, 'visual token')}"
    heading = f'<p class="seen"><b>{title}</b> {cost}</p>'
    body = f'{heading}<ol class="strip">{frames}</ol>'
    return f'<section class="look" aria-label="Frames seen of {name}">{body}</section>'


def _frame(number: int, frame: SeenFrame) -> str:
    time = format_time(frame.time_s, decimals=1)
    picture = f"data:image/jpeg;base64,{base64.b64encode(frame.jpeg).decode('ascii')}"
    return (
        f'<li><button data-medium="{number}" data-seek="{frame.time_s:.3f}" aria-label="Go to {time}">'
        f'<img src="{picture}" alt=""><span>{time}</span></button></li>'
    )
