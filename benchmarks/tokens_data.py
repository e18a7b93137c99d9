"""The features that ``tokens.py`` compresses: noise, the built-in model's, and panned photographs.

Shapes: T frames, P patches a frame, C width.
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import videollm
from videollm.model.preprocessing import prepare_frames
from videollm.model.settings import CLIP_MEAN, CLIP_STD
from videollm.synthetic.backdrops import paint_backdrop
from videollm.synthetic.photos import photo_names
from videollm.synthetic.reading import plan_clip
from videollm.synthetic.rendering import render_frames
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import Backdrop

PATCH_PIXELS = 14
# Slow pan: the same photograph for so many frames, moved by so many pixels (across, down) from one to the next.
PHOTO_FRAMES, PAN = 30, (3, 1)
SENSOR_NOISE = 2.0
# Frames of noise that are drawn; a longer video repeats them, each time with its channels shifted by one.
DRAWN_FRAMES = 60


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of a video's features.

    Attributes:
        frames: Frames T.
        side: Patches along a side of a frame, so that P is its square.
        width: Width C.
        half: Whether they are float16.
    """

    frames: int
    side: int
    width: int
    half: bool = False

    def empty(self) -> Tensor:
        """Room for them, (T, P, C)."""
        dtype = torch.float16 if self.half else torch.float32
        return torch.empty(self.frames, self.side**2, self.width, dtype=dtype)


def noise(shape: Shape) -> Tensor:
    """Independent normal numbers: nothing resembles anything."""
    features = shape.empty()
    drawn = features[:DRAWN_FRAMES].normal_(generator=torch.Generator().manual_seed(0))
    for shift, first in enumerate(range(0, shape.frames, DRAWN_FRAMES)):
        part = features[first : first + DRAWN_FRAMES]
        if shift:
            part.copy_(drawn[: len(part)].roll(shift, dims=-1))
    return features


def photographs(shape: Shape) -> Tensor:
    """Patches of 14 x 14 pixels of slowly panned photographs, through a fixed random projection."""
    features = shape.empty()
    pixels = 3 * PATCH_PIXELS**2
    projection = torch.randn(pixels, shape.width, generator=torch.Generator().manual_seed(0)) / pixels**0.5
    rng = np.random.default_rng(0)
    names = itertools.cycle(photo_names("test") + photo_names("train"))
    for first in range(0, shape.frames, PHOTO_FRAMES):
        part = features[first : first + PHOTO_FRAMES]
        frames_THW3 = _pan(next(names), first, len(part), shape.side * PATCH_PIXELS, rng)
        part.copy_(_patches(frames_THW3, shape.side) @ projection)
    return features


def _pan(name: str, seed: int, frames: int, size: int, rng: np.random.Generator) -> Tensor:
    across, down = (step * (PHOTO_FRAMES - 1) for step in PAN)
    backdrop = Backdrop("photo", photo=name, seed=seed)
    canvas = np.asarray(paint_backdrop(backdrop, (1.0, 1.0), (size + across, size + down)), dtype=np.float32)
    crops = [
        canvas[PAN[1] * frame : PAN[1] * frame + size, PAN[0] * frame : PAN[0] * frame + size]
        for frame in range(frames)
    ]
    seen = np.stack(crops) + rng.normal(0, SENSOR_NOISE, (frames, size, size, 3))
    return torch.from_numpy(np.rint(seen.clip(0, 255)).astype(np.float32))


def _patches(frames_THW3: Tensor, side: int) -> Tensor:
    normalised = (frames_THW3 / 255 - torch.tensor(CLIP_MEAN)) / torch.tensor(CLIP_STD)
    cut = normalised.view(-1, side, PATCH_PIXELS, side, PATCH_PIXELS, 3).transpose(2, 3)
    return cut.reshape(len(cut), side**2, -1)


@torch.no_grad()
def pocket(shape: Shape) -> Tensor:
    """The built-in model's features of rendered clips at 1 frame/s, one clip after the other."""
    model = videollm.load_model("pocket")
    reading = dataclasses.replace(model.config.video, fps=1.0)
    features, first = shape.empty(), 0
    seeds = itertools.count()
    while first < shape.frames:
        clip = sample_clip(next(seeds), "test", duration_s=(10.0, 30.0), max_short_side=240)
        frames_THW3 = render_frames(clip, plan_clip(clip, reading).times_s)
        seen = model.vision(prepare_frames(frames_THW3, model.config.image)).patches_TPC
        part = features[first : first + len(seen)]
        part.copy_(seen[: len(part)])
        first += len(part)
    return features


DATA = {"noise": noise, "photographs": photographs, "pocket": pocket}
