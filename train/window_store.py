"""Windows of frames kept on disk: to think of a clip and to render it takes as long as learning from it.

Each window is a safetensors file of its own that appears under its name only when it is complete, so any number of
processes may fill a store together.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from .claims import claim


@dataclass(frozen=True, slots=True)
class Window:
    """A run of frames of one clip with what their patches show.

    Attributes:
        frames_THW3: Frames in the size in which they are prepared, uint8.
        classes_TPK: Labels of every patch, int8, see :class:`.patch_labels.Labels`.
        centres_TP: Whether a patch shows the centre of an object.
        motions_TPM: Motions of every patch, float32, see :mod:`.patch_motion`.
        captions: Ids of each frame's caption.
    """

    frames_THW3: NDArray[np.uint8]
    classes_TPK: torch.Tensor
    centres_TP: torch.Tensor
    motions_TPM: torch.Tensor
    captions: list[list[int]]


class WindowStore:
    """Makes each window once.

    Args:
        directory: Where they are kept; made if it is not there.
        record: What they depend on.

    Raises:
        DataError: ``directory`` holds windows that depend on something else.
    """

    def __init__(self, directory: Path, record: dict[str, Any]) -> None:
        claim(directory, "windows.json", record, "windows of other clips")
        self._directory = directory

    def load(self, number: int, make: Callable[[int], Window]) -> Window:
        """Returns a window, made by ``make`` if it is not there."""
        path = self._directory / f"{number // 1000:03d}" / f"{number:06d}.safetensors"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            partial = path.with_suffix(f".partial-{os.getpid()}")
            save_file(_to_tensors(make(number)), partial)
            partial.rename(path)
        return _from_tensors(load_file(path))


def _to_tensors(window: Window) -> dict[str, torch.Tensor]:
    return {
        "frames": torch.from_numpy(window.frames_THW3),
        "classes": window.classes_TPK,
        "centres": window.centres_TP,
        "motions": window.motions_TPM.contiguous(),
        "captions": torch.tensor([id for ids in window.captions for id in ids], dtype=torch.int32),
        "lengths": torch.tensor([len(ids) for ids in window.captions]),
    }


def _from_tensors(tensors: dict[str, torch.Tensor]) -> Window:
    captions = tensors["captions"].split(tensors["lengths"].tolist())
    return Window(
        tensors["frames"].numpy(),
        tensors["classes"],
        tensors["centres"],
        tensors["motions"],
        [ids.tolist() for ids in captions],
    )
