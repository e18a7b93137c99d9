"""Canonical descriptions of a clip: a caption in one sentence, a dense one with a line per shot, and still pictures."""

from __future__ import annotations

from typing import NamedTuple

from ...clock import format_time
from .. import motion, truth, words
from ..scenes import Clip, Shot, WorldObject

_PLACES = (
    ("at the upper left", "at the top", "at the upper right"),
    ("at the left", "at the center", "at the right"),
    ("at the lower left", "at the bottom", "at the lower right"),
)
_LARGE_FROM = (
    0.2  # longer side against the frame's shorter one, between the largest small and the smallest large
)
_SEEN_FROM_OPACITY = 0.4
_DARK_BELOW_GAIN = 0.5
_BLACK_BELOW_GAIN = 0.15


class _Spot(NamedTuple):
    """What stands in which of three rows and columns; spots sort in reading order."""

    row: int
    column: int
    x: float
    phrase: str


def caption(clip: Clip) -> str:
    """Describes a clip in one sentence.

    Shots are joined by "; then ". Camera and light are told only of shots in which nothing happens.
    """
    return (
        words.capitalised("; then ".join(_told(shot, index) for index, shot in enumerate(clip.shots))) + "."
    )


def dense(clip: Clip) -> str:
    """Describes a clip with a line for each shot: its times, what happens, the setting, camera, light and tone."""
    return "\n".join(
        f"[{format_time(shot.start_s)}-{format_time(shot.end_s)}] {shot_description(shot, index)}"
        for index, shot in enumerate(clip.shots)
    )


def shot_description(shot: Shot, shot_index: int) -> str:
    """Describes one shot in full sentences, as a dense line does after its times."""
    return _sentences(
        [_clause(shot, shot_index), *_camera_remark(shot), *_light_remark(shot), *_tone_remark(shot)]
    )


def frame_caption(clip: Clip, time_s: float, placed: bool = False) -> str:
    """Describes the still picture at a time: the objects to be seen then, the setting, light and tone.

    Args:
        clip: The clip.
        time_s: Seconds from its start.
        placed: Whether each object gets one of nine places by where it stands then, and they are told in reading order
            instead of the world's own.

    Returns:
        ``A small red star and a large blue ring, on a gray background.`` or, placed, ``At the upper left a small red
        star and at the center a large blue ring, on a gray background.``
    """
    shot = next((shot for shot in clip.shots if time_s < shot.end_s), clip.shots[-1])
    gain = motion.brightness(shot, time_s)
    if gain < _BLACK_BELOW_GAIN:
        return "A black picture."
    seen = [spot for thing in words.in_order(shot.objects) if (spot := _seen(thing, shot, time_s))]
    if placed:
        named = [f"{_PLACES[spot.row][spot.column]} {spot.phrase}" for spot in sorted(seen)]
    else:
        named = [spot.phrase for spot in seen]
    scene = words.join_list(named) + _setting(shot) if named else _empty(shot)
    light = "dark" if gain < _DARK_BELOW_GAIN else shot.light
    remarks = [f"it is {light}"] if light in ("dark", "bright") else []
    return _sentences([scene, *remarks, *_tone_remark(shot)])


def backdrop_phrase(shot: Shot) -> str:
    """Returns a shot's backdrop with its article: ``a gray background``."""
    return words.with_article(words.backdrop_name(shot.backdrop))


def _told(shot: Shot, shot_index: int) -> str:
    clause, remarks = _clause(shot, shot_index), _tone_remark(shot)
    if not truth.shot_events(shot, shot_index):
        camera, remarks = _camera_remark(shot), [*_light_remark(shot), *remarks]
        if camera and not shot.objects:
            clause = f"{camera[0]} over {backdrop_phrase(shot)}"
        else:
            remarks = camera + remarks
    return f"{clause}, and {words.join_list(remarks)}" if remarks else clause


def _clause(shot: Shot, shot_index: int) -> str:
    if not shot.objects:
        return _empty(shot)
    still = [
        words.full_name(thing) for thing in words.in_order(shot.objects) if thing.action.kind == "stays still"
    ]
    found = truth.moments(truth.shot_events(shot, shot_index))
    if not found:
        return words.join_list(still) + _setting(shot)
    told = ", then ".join(" while ".join(event.text for event in moment) for moment in found)
    return told + (f" beside {words.join_list(still)}" if still else "") + _setting(shot)


def _empty(shot: Shot) -> str:
    scene = words.backdrop_name(shot.backdrop)
    return words.with_article(f"empty {scene}" if shot.backdrop.kind == "plain" else scene)


def _setting(shot: Shot) -> str:
    preposition = "on" if shot.backdrop.kind in ("plain", "gradient") else "over"
    return f", {preposition} {backdrop_phrase(shot)}"


def _camera_remark(shot: Shot) -> list[str]:
    return [] if shot.camera == "is static" else [f"the camera {shot.camera}"]


def _light_remark(shot: Shot) -> list[str]:
    match shot.light:
        case "normal":
            return []
        case "fades in":
            return ["it fades in from black"]
        case "fades out":
            return ["it fades out to black"]
        case _:
            return [f"it is {shot.light}"]


def _tone_remark(shot: Shot) -> list[str]:
    return [] if shot.tone == "in colour" else [f"it is {shot.tone}"]


def _sentences(parts: list[str]) -> str:
    return " ".join(f"{words.capitalised(part)}." for part in parts)


def _seen(thing: WorldObject, shot: Shot, time_s: float) -> _Spot | None:
    pose, view = motion.pose(thing, time_s), motion.view(shot, time_s)
    x = (pose.x - view.shift_x - 0.5) * view.scale + 0.5
    y = (pose.y - view.shift_y - 0.5) * view.scale + 0.5
    if pose.opacity < _SEEN_FROM_OPACITY or not (0 <= x <= 1 and 0 <= y <= 1):
        return None
    phrase = words.with_article(f"{_size(thing, pose.scale * view.scale)} {words.name(thing)}")
    return _Spot(min(2, int(y * 3)), min(2, int(x * 3)), x, phrase)


def _size(thing: WorldObject, scale: float) -> str:
    if scale == 1:
        return thing.size
    return "large" if thing.extent * scale >= _LARGE_FROM else "small"
