"""The vocabulary of the pocket world and the exact truth of a clip, as frozen values.

A :class:`Clip` holds everything that rendering needs and everything that can be asked: nothing is measured back from
pixels. All times are exact seconds from the clip's start; all lengths are fractions, so a clip can be rendered at any
size. The world itself (what may occur, how things are named) is documented in ``docs/world.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "white", "black", "gray")
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "heart", "diamond")
SIZES = ("small", "large")
ACTIONS = (
    "stays still",
    "moves left",
    "moves right",
    "moves up",
    "moves down",
    "grows",
    "shrinks",
    "spins",
    "blinks",
    "appears",
    "disappears",
)
CAMERAS = ("is static", "pans left", "pans right", "tilts up", "tilts down", "zooms in", "zooms out")
LIGHTS = ("normal", "dark", "bright", "fades in", "fades out")
TONES = ("in colour", "in black and white")
BACKDROPS = ("plain", "gradient", "texture", "photo")
SPLITS = ("train", "test")
#: In place of a name, of a colour between those that have one, and of a shape unlike those that have one.
UNNAMED = "unnamed"

# Combinations that training never shows in one object.
HELD_OUT_COLOURED = frozenset(
    {
        ("purple", "star"),
        ("pink", "ring"),
        ("orange", "heart"),
        ("green", "diamond"),
        ("blue", "triangle"),
        ("brown", "square"),
        ("white", "cross"),
        ("black", "circle"),
    }
)
HELD_OUT_ACTING = frozenset(
    {
        ("star", "spins"),
        ("ring", "grows"),
        ("heart", "blinks"),
        ("diamond", "disappears"),
        ("triangle", "appears"),
        ("square", "shrinks"),
        ("cross", "moves up"),
        ("circle", "moves right"),
    }
)


@dataclass(frozen=True, slots=True)
class Action:
    """What an object does and when.

    Attributes:
        kind: One of ``ACTIONS``.
        start_s: Exact start, seconds from the clip's start; the shot's start for ``stays still``.
        end_s: Exact end; the shot's end for ``stays still``.
        amount: How much: fraction of the frame's width (height for up and down) moved; factor of the final against the
            initial size for growing (> 1) and shrinking (< 1); signed turns for spinning; number of on-offs for
            blinking; unused (0) otherwise.
        easing: ``"linear"`` or ``"smooth"`` progress between start and end.
    """

    kind: str
    start_s: float
    end_s: float
    amount: float = 0.0
    easing: str = "linear"


@dataclass(frozen=True, slots=True)
class WorldObject:
    """One shape of a shot.

    Attributes:
        colour: One of ``COLOURS``; ``UNNAMED`` only in training.
        shape: One of ``SHAPES``; ``UNNAMED`` only in training.
        size: ``"small"`` or ``"large"`` by its longer side at its start.
        action: Its one action.
        x: Centre at its start as a fraction of the frame's width, 0 at the left.
        y: Centre at its start as a fraction of the frame's height, 0 at the top.
        extent: Longer side of its bounding box at its start as a fraction of the frame's shorter side.
        rgb: The shade it is drawn in, 0 to 255.
        angle_turns: Tilt at its start in turns, a small jitter around upright.
        proportion: Where it lies, 0 to 1, in the range of its shape's free proportion (how wide a ring's hole is, how
            thin a cross's arms are, ...).
    """

    colour: str
    shape: str
    size: str
    action: Action
    x: float
    y: float
    extent: float
    rgb: tuple[int, int, int]
    angle_turns: float = 0.0
    proportion: float = 0.5


@dataclass(frozen=True, slots=True)
class Backdrop:
    """What is behind the objects of a shot.

    Attributes:
        kind: One of ``BACKDROPS``.
        colours: Names: one for plain, two for a gradient (from left or top), none otherwise.
        rgbs: The shades of ``colours`` (two or more arbitrary shades for a texture).
        axis: ``"horizontal"`` (left to right) or ``"vertical"`` (top to bottom); for gradients.
        texture: Name of the procedural texture.
        photo: Name of the photograph.
        seed: Seed of the texture's pattern or of the photograph's crop.
        contrast: Contrast a photograph is shown with, 1 for its own.
        brightness: Mean luma a photograph is brought to, 0 to 255; 0 leaves it as it is.
    """

    kind: str
    colours: tuple[str, ...] = ()
    rgbs: tuple[tuple[int, int, int], ...] = ()
    axis: str = "horizontal"
    texture: str = ""
    photo: str = ""
    seed: int = 0
    contrast: float = 1.0
    brightness: float = 0.0


@dataclass(frozen=True, slots=True)
class Passer:
    """Something without a name that moves through a scene without objects.

    Attributes:
        photo: Name of the photograph that it is a piece of.
        seed: Seed of the piece and of its outline.
        extent: Its size as a fraction of the frame's shorter side.
        x: Centre at the shot's start as a fraction of the frame's width; may lie outside.
        y: Centre at the shot's start as a fraction of the frame's height.
        shift_x: How far it moves to the right during the shot, evenly.
        shift_y: How far it moves down.
        sway: How far it swings about that way.
        sways_per_s: Swings a second.
        phase: Where in a swing it is at the shot's start, in swings.
    """

    photo: str
    seed: int
    extent: float
    x: float
    y: float
    shift_x: float
    shift_y: float
    sway: float = 0.0
    sways_per_s: float = 1.0
    phase: float = 0.0


@dataclass(frozen=True, slots=True)
class Shot:
    """A stretch between two cuts.

    Attributes:
        start_s: Exact start in seconds of the clip.
        end_s: Exact end.
        backdrop: What is behind everything.
        camera: One of ``CAMERAS``; a move spans the shot.
        camera_amount: Fraction of the frame's width (height for tilts) that the view shifts by, or the zoom's factor.
        light: One of ``LIGHTS``.
        light_amount: Gain of a dark or bright shot; seconds of a fade.
        tone: One of ``TONES``.
        objects: 0 to 3 objects, in no meaningful order.
        camera_easing: ``"linear"`` or ``"smooth"`` progress of a camera move.
        light_curve: How a dark or bright shot bends the luma scale by ``light_amount``: ``"gain"`` (multiplied, then
            clipped), ``"gamma"`` or ``"lift"`` (the distance to white divided; bright only).
        passers: What moves through a scene without objects; nothing is asked about it.
    """

    start_s: float
    end_s: float
    backdrop: Backdrop
    camera: str = "is static"
    camera_amount: float = 0.0
    light: str = "normal"
    light_amount: float = 1.0
    tone: str = "in colour"
    objects: tuple[WorldObject, ...] = ()
    camera_easing: str = "linear"
    light_curve: str = "gain"
    passers: tuple[Passer, ...] = ()


@dataclass(frozen=True, slots=True)
class Clip:
    """A whole clip: shots joined by hard cuts.

    Attributes:
        seed: The seed that made it.
        split: ``"train"`` or ``"test"``.
        width: Frame width in pixels.
        height: Frame height in pixels.
        fps: Frames per second of a rendered file.
        shots: 1 to 4 shots, back to back from second 0.
        noise: Standard deviation of the sensor noise added to frames, in 8-bit steps.
    """

    seed: int
    split: str
    width: int
    height: int
    fps: float
    shots: tuple[Shot, ...]
    noise: float = 0.0

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.shots[-1].end_s

    @property
    def objects(self) -> tuple[WorldObject, ...]:
        """All objects of all shots."""
        return tuple(thing for shot in self.shots for thing in shot.objects)
