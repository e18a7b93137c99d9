"""What each patch of a frame shows, by the renderer's exact truth: targets for every patch of every frame.

Captions teach a small ViT slowly, because a word about a small object has to find its patch first, and never say what
moves where from one frame to the next. Labels that a frame does not give away (the action of an object under a moving
camera, the tone of a gray picture, anything in the dark of a fade) are not asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from videollm.synthetic import motion, truth
from videollm.synthetic.rendering import screen_centre, shot_index
from videollm.synthetic.scenes import (
    ACTIONS,
    BACKDROPS,
    CAMERAS,
    COLOURS,
    LIGHTS,
    SHAPES,
    SIZES,
    TONES,
    UNNAMED,
    Clip,
    Shot,
    WorldObject,
)

from .canvas import SEEN_FROM_BRIGHTNESS, Canvas

#: Label of what cannot be told, or is not asked for.
IGNORED = -100
#: Traits of the object that a patch shows; class 0 is no object, the others are these names.
OBJECT_TRAITS = {"colour": COLOURS, "shape": SHAPES, "size": SIZES, "doing": ACTIONS}
#: Traits of the picture around it. ``ground`` is the named colour behind a patch, class 0 where there is none; ``cut``
#: tells whether the frame before, or else the one after, belongs to another shot.
SCENE_TRAITS = {
    "camera": CAMERAS,
    "light": LIGHTS,
    "tone": TONES,
    "backdrop": BACKDROPS,
    "ground": ("none", *COLOURS),
    "cut": ("none", "before", "after"),
}
#: Number of classes of every trait, in the order of the labels.
CLASSES = {name: len(names) + 1 for name, names in OBJECT_TRAITS.items()} | {
    name: len(names) for name, names in SCENE_TRAITS.items()
}

_SEEN_FROM_OPACITY = 0.4
_OBJECTS = slice(0, len(OBJECT_TRAITS))
_LIGHT = list(CLASSES).index("light")


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels of a few frames of a clip.

    Attributes:
        classes_TPK: Class of every patch by every trait, in the order of ``CLASSES``; int64, ``IGNORED`` where it
            cannot be told.
        centres_TP: Whether a patch shows the centre of an object that can be seen.
    """

    classes_TPK: torch.Tensor
    centres_TP: torch.Tensor


def patch_labels(clip: Clip, times_s: Sequence[float], image_size: int, grid: int) -> Labels:
    """Labels the patches of frames that are seen one after another.

    Args:
        clip: The clip.
        times_s: When, ascending.
        image_size: Side of the letterboxed frame in pixels.
        grid: Patches along a side.

    Returns:
        The labels, patches in raster order.
    """
    labeller = _Labeller(clip, image_size, grid)
    shots = [shot_index(clip, time) for time in times_s]
    classes, centres = [], []
    for number, time in enumerate(times_s):
        shot = clip.shots[shots[number]]
        scene_RCK, centre_RC = labeller.label(shot, time)
        before, after = shots[max(number - 1, 0)], shots[min(number + 1, len(shots) - 1)]
        cut = 1 if before != shots[number] else 2 if after != shots[number] else 0
        scene_RCK[..., -1] = cut
        classes.append(scene_RCK.flatten(0, 1))
        centres.append(centre_RC.flatten())
    return Labels(torch.stack(classes), torch.stack(centres))


class _Labeller:
    """Labels single frames of a clip."""

    def __init__(self, clip: Clip, image_size: int, grid: int) -> None:
        self._canvas = Canvas(clip, image_size, grid)
        self._grid = grid

    def label(self, shot: Shot, time_s: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Classes (R, C, K) of a frame, all but the cut, and the patches (R, C) of its objects' centres."""
        labels_RCK = torch.zeros(self._grid, self._grid, len(CLASSES), dtype=torch.long)
        centre_RC = torch.zeros(self._grid, self._grid, dtype=torch.bool)
        labels_RCK[..., _OBJECTS.stop :] = self._scene(shot, time_s)
        if motion.brightness(shot, time_s) < SEEN_FROM_BRIGHTNESS:
            light_RC = labels_RCK[..., _LIGHT].clone()
            labels_RCK[:] = IGNORED
            labels_RCK[..., _LIGHT] = light_RC
            return labels_RCK, centre_RC
        for thing in shot.objects:
            self._add(thing, shot, time_s, labels_RCK, centre_RC)
        return labels_RCK, centre_RC

    def _add(
        self,
        thing: WorldObject,
        shot: Shot,
        time_s: float,
        labels_RCK: torch.Tensor,
        centre_RC: torch.Tensor,
    ) -> None:
        pose, view = motion.pose(thing, time_s), motion.view(shot, time_s)
        x, y = screen_centre(pose, view)
        gone = pose.opacity <= 0 and thing.action.kind != "blinks"
        if gone or not (0 <= x < 1 and 0 <= y < 1):
            return
        covered_RC = self._canvas.covered(x, y, thing.extent * pose.scale * view.scale)
        seen = pose.opacity >= _SEEN_FROM_OPACITY
        labels_RCK[..., _OBJECTS][covered_RC] = (
            torch.tensor(_object_classes(thing, shot, time_s)) if seen else IGNORED
        )
        centre_RC[self._canvas.patch_of(x, y)] = seen

    def _scene(self, shot: Shot, time_s: float) -> torch.Tensor:
        """Classes (R, C, scene traits) of the picture, with 0 for the cut."""
        shared = [
            CAMERAS.index(shot.camera) if truth.shows_camera(shot) else IGNORED,
            _light_class(shot, time_s),
            TONES.index(shot.tone) if truth.shows_tone(shot) else IGNORED,
            BACKDROPS.index(shot.backdrop.kind),
            0,
            0,
        ]
        scene_RCK = torch.tensor(shared).repeat(self._grid, self._grid, 1)
        if shot.backdrop.colours:
            scene_RCK[..., list(SCENE_TRAITS).index("ground")] = self._ground(shot)
        return scene_RCK

    def _ground(self, shot: Shot) -> torch.Tensor:
        """Class (R, C) of the named colour behind each patch: of a gradient the nearer end's."""
        first, last = (SCENE_TRAITS["ground"].index(shot.backdrop.colours[end]) for end in (0, -1))
        across_C, down_R = self._canvas.places()
        across = shot.backdrop.axis == "horizontal"
        classes_G = torch.where((across_C if across else down_R) < 0.5, first, last)
        ground_RC = classes_G.expand(self._grid, self._grid)
        return ground_RC if across else ground_RC.T


def _object_classes(thing: WorldObject, shot: Shot, time_s: float) -> list[int]:
    """Classes of an object's traits at a time: what it is, and what it is doing just then."""
    action = thing.action
    active = action.start_s <= time_s <= action.end_s
    doing = ACTIONS.index(action.kind if active else "stays still") + 1
    # The size is that at the start: what has grown may look large.
    sized = truth.shows_sizes(shot) and motion.pose(thing, time_s).scale == 1
    return [
        COLOURS.index(thing.colour) + 1 if thing.colour != UNNAMED else IGNORED,
        SHAPES.index(thing.shape) + 1 if thing.shape != UNNAMED else IGNORED,
        SIZES.index(thing.size) + 1 if sized else IGNORED,
        doing if truth.shows_actions(shot) else IGNORED,
    ]


def _light_class(shot: Shot, time_s: float) -> int:
    """The light that can be seen at a time: outside a fade it is normal."""
    if not truth.shows_light(shot):
        return IGNORED
    faded = shot.light.startswith("fades") and motion.brightness(shot, time_s) == 1
    return LIGHTS.index("normal" if faded else shot.light)
