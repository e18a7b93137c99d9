"""Where things are at a moment: what an object's action and the camera make of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .scenes import Action, Shot, WorldObject

_MOVES = {"moves left": (-1, 0), "moves right": (1, 0), "moves up": (0, -1), "moves down": (0, 1)}
_VIEW_SHIFTS = {"pans left": (-1, 0), "pans right": (1, 0), "tilts up": (0, -1), "tilts down": (0, 1)}


@dataclass(frozen=True, slots=True)
class Pose:
    """An object at a moment: centre in fractions of the frame, size against its start, tilt in turns, opacity."""

    x: float
    y: float
    scale: float
    turns: float
    opacity: float


@dataclass(frozen=True, slots=True)
class View:
    """What the camera shows at a moment, against the shot's start: shift in fractions of the frame, and scale."""

    shift_x: float = 0.0
    shift_y: float = 0.0
    scale: float = 1.0


def _eased(progress: float, easing: str) -> float:
    progress = min(max(progress, 0.0), 1.0)
    return progress * progress * (3 - 2 * progress) if easing == "smooth" else progress


def progress(action: Action, time_s: float) -> float:
    """Returns how far an action has come, 0 before its start and 1 from its end on."""
    return _eased((time_s - action.start_s) / (action.end_s - action.start_s), action.easing)


def is_off(action: Action, time_s: float) -> bool:
    """Tells whether a blinking object is off: ``amount`` offs alternate with ons, the first starts the action."""
    done = (time_s - action.start_s) / (action.end_s - action.start_s)
    return 0 <= done < 1 and int(done * (2 * action.amount - 1)) % 2 == 0


def pose(thing: WorldObject, time_s: float) -> Pose:
    """Returns how an object is at a second of its clip, before the camera."""
    action = thing.action
    x, y, scale, turns, opacity = thing.x, thing.y, 1.0, thing.angle_turns, 1.0
    done = 0.0 if action.kind == "stays still" else progress(action, time_s)
    if action.kind in _MOVES:
        step_x, step_y = _MOVES[action.kind]
        x, y = x + step_x * action.amount * done, y + step_y * action.amount * done
    elif action.kind in ("grows", "shrinks"):
        scale = 1 + (action.amount - 1) * done
    elif action.kind == "spins":
        turns += action.amount * done
    elif action.kind == "blinks":
        opacity = 0.0 if is_off(action, time_s) else 1.0
    elif action.kind == "appears":
        opacity = done
    elif action.kind == "disappears":
        opacity = 1 - done
    return Pose(x, y, scale, turns, opacity)


def view(shot: Shot, time_s: float) -> View:
    """Returns what the camera shows at a second of the clip. A zoom is even in its ratio, not in its size."""
    done = _eased((time_s - shot.start_s) / (shot.end_s - shot.start_s), shot.camera_easing)
    if shot.camera in _VIEW_SHIFTS:
        step_x, step_y = _VIEW_SHIFTS[shot.camera]
        return View(step_x * shot.camera_amount * done, step_y * shot.camera_amount * done)
    if shot.camera in ("zooms in", "zooms out"):
        return View(scale=math.pow(shot.camera_amount, done if shot.camera == "zooms in" else -done))
    return View()


def brightness(shot: Shot, time_s: float) -> float:
    """Returns the factor that a fade leaves of the picture, 0 (black) to 1."""
    if shot.light == "fades in":
        return min(max((time_s - shot.start_s) / shot.light_amount, 0.0), 1.0)
    if shot.light == "fades out":
        return min(max((shot.end_s - time_s) / shot.light_amount, 0.0), 1.0)
    return 1.0
