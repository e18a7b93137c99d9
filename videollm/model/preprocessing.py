"""From decoded frames to the encoder's input, in plain torch: fit into a square, rescale, normalise.

The numbers are those of transformers' CLIP image processor (bicubic with antialiasing, as in Pillow), with one
difference on purpose: unless a published model was trained otherwise, a picture that is not square keeps its aspect and
all of its content between two bars.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import DataError
from .settings import ImageSettings
from .tiling import cut, resize

#: Frames that are resized together; bounds the memory that large frames take as floats.
_CHUNK_FRAMES = 8


def prepare(
    frames_THW3: NDArray[np.uint8] | Tensor, settings: ImageSettings, *, kind: Literal["video", "image"]
) -> Tensor:
    """Prepares the frames of a video, or an image: as :func:`prepare_frames`, unless images are cut into tiles.

    Args:
        frames_THW3: As for :func:`prepare_frames`.
        settings: The same.
        kind: What they are frames of.

    Returns:
        As :func:`prepare_frames`; of an image that is cut the whole and then the tiles.

    Raises:
        DataError: The input is not such an array.
    """
    if kind == "video" or not settings.tiles:
        return prepare_frames(frames_THW3, settings)
    frames = _checked(frames_THW3)
    mean, std = _colours(frames.device, settings.mean, settings.std)
    return (cut(frames[0].movedim(-1, 0).float(), settings) / 255 - mean) / std


def prepare_frames(frames_THW3: NDArray[np.uint8] | Tensor, settings: ImageSettings) -> Tensor:
    """Fits frames into the encoder's square, rescales and normalises them.

    Args:
        frames_THW3: Red, green and blue from 0 to 255, uint8; all of one size.
        settings: Size and fit, mean, standard deviation and the colour of the bars.

    Returns:
        Frames of shape (T, 3, size, size), float32, on the device of the input.

    Raises:
        DataError: The input is not such an array.
    """
    frames = _checked(frames_THW3)
    height, width = (int(side) for side in frames.shape[1:3])
    mean, std, fill = _colours(frames.device, settings.mean, settings.std, settings.fill)
    bars = ((fill - mean) / std).expand(3, settings.size, settings.size)
    prepared = bars.repeat(len(frames), 1, 1, 1)
    scaled, outside, inside = _fit(height, width, settings)
    for first in range(0, len(frames), _CHUNK_FRAMES):
        chunk = frames[first : first + _CHUNK_FRAMES].movedim(-1, 1).float()
        fitted = resize(chunk, *scaled)[..., *outside]
        prepared[first : first + _CHUNK_FRAMES][..., *inside] = (fitted / 255 - mean) / std
    return prepared


def _checked(frames_THW3: NDArray[np.uint8] | Tensor) -> Tensor:
    frames = torch.as_tensor(frames_THW3)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != torch.uint8 or 0 in frames.shape:
        raise DataError(
            f"frames must be uint8 of shape (T, H, W, 3), got {frames.dtype} of shape {tuple(frames.shape)}"
        )
    return frames


def _colours(device: torch.device, *colours: tuple[float, float, float]) -> list[Tensor]:
    return [torch.tensor(colour, device=device).view(3, 1, 1) for colour in colours]


def _fit(
    height: int, width: int, settings: ImageSettings
) -> tuple[tuple[int, int], tuple[slice, slice], tuple[slice, slice]]:
    """The size a picture is scaled to, the part of that which is seen, and where in the square it lies."""
    size = settings.size
    whole = (slice(0, size), slice(0, size))
    match settings.fit:
        case "stretch":
            return (size, size), whole, whole
        case "crop":
            shorter = min(height, width)
            high, wide = int(size * height / shorter), int(size * width / shorter)
            top, left = (high - size) // 2, (wide - size) // 2
            return (high, wide), (slice(top, top + size), slice(left, left + size)), whole
        case _:
            top, left, high, wide = letterbox(height, width, size)
            return (
                (high, wide),
                (slice(0, high), slice(0, wide)),
                (slice(top, top + high), slice(left, left + wide)),
            )


def shrink_frames(frames_THW3: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Resizes frames as :func:`prepare_frames` letterboxes them, for keeping: preparing what this gives is the same.

    Args:
        frames_THW3: As for :func:`prepare_frames`.
        size: The side that they are to be prepared for.

    Returns:
        uint8, the longer side of which is ``size``.
    """
    height, width = frames_THW3.shape[1:3]
    _, _, high, wide = letterbox(height, width, size)
    resized_T3HW = resize(torch.from_numpy(frames_THW3).movedim(-1, 1).float(), high, wide)
    shrunk: NDArray[np.uint8] = resized_T3HW.to(torch.uint8).movedim(1, -1).contiguous().numpy()
    return shrunk


def letterbox(height: int, width: int, size: int) -> tuple[int, int, int, int]:
    """Where a picture lies in a square, as large as it goes and in the middle.

    Args:
        height: Height of the picture.
        width: Width of the picture.
        size: Side of the square.

    Returns:
        Top, left, height and width in the square.
    """
    longer = max(height, width)
    high, wide = (max(1, round(side * size / longer)) for side in (height, width))
    return (size - high) // 2, (size - wide) // 2, high, wide
