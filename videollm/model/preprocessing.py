"""From decoded frames to the encoder's input, in plain torch: letterbox, rescale, normalise.

The numbers are those of transformers' CLIP image processor (bicubic with antialiasing, as in Pillow), with one
difference on purpose: a picture that is not square keeps its aspect and all of its content between two bars.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..errors import DataError
from .settings import ImageSettings

#: Frames that are resized together; bounds the memory that large frames take as floats.
_CHUNK_FRAMES = 8


def prepare_frames(frames_THW3: NDArray[np.uint8] | Tensor, settings: ImageSettings) -> Tensor:
    """Letterboxes, rescales and normalises frames.

    Args:
        frames_THW3: Red, green and blue from 0 to 255, uint8; all of one size.
        settings: Size, mean, standard deviation and the colour of the bars.

    Returns:
        Frames of shape (T, 3, size, size), float32, on the device of the input.

    Raises:
        DataError: The input is not such an array.
    """
    frames = torch.as_tensor(frames_THW3)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != torch.uint8 or 0 in frames.shape:
        raise DataError(
            f"frames must be uint8 of shape (T, H, W, 3), got {frames.dtype} of shape {tuple(frames.shape)}"
        )
    height, width = (int(side) for side in frames.shape[1:3])
    top, left, high, wide = letterbox(height, width, settings.size)
    mean, std, fill = (
        torch.tensor(colour, device=frames.device).view(3, 1, 1)
        for colour in (settings.mean, settings.std, settings.fill)
    )
    bars = ((fill - mean) / std).expand(3, settings.size, settings.size)
    prepared = bars.repeat(len(frames), 1, 1, 1)
    inside = prepared[:, :, top : top + high, left : left + wide]
    for first in range(0, len(frames), _CHUNK_FRAMES):
        chunk = frames[first : first + _CHUNK_FRAMES].movedim(-1, 1).float()
        inside[first : first + _CHUNK_FRAMES] = (_resize(chunk, high, wide) / 255 - mean) / std
    return prepared


def shrink_frames(frames_THW3: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Resizes frames as :func:`prepare_frames` does, for keeping: preparing what this gives leads to the same.

    Args:
        frames_THW3: As for :func:`prepare_frames`.
        size: The side that they are to be prepared for.

    Returns:
        uint8, the longer side of which is ``size``.
    """
    height, width = frames_THW3.shape[1:3]
    _, _, high, wide = letterbox(height, width, size)
    resized_T3HW = _resize(torch.from_numpy(frames_THW3).movedim(-1, 1).float(), high, wide)
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


def _resize(frames_T3HW: Tensor, height: int, width: int) -> Tensor:
    if frames_T3HW.shape[-2:] == (height, width):
        return frames_T3HW
    resized = F.interpolate(frames_T3HW, (height, width), mode="bicubic", antialias=True, align_corners=False)
    # Bicubic weights overshoot at edges; a picture's values are whole numbers from 0 to 255, as Pillow's are.
    return resized.round_().clamp_(0, 255)
