"""A pretrained frame encoder on disk: the tower in transformers' layout, the stem beside it."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save_file
from transformers import CLIPVisionModel

from videollm.errors import CheckpointError
from videollm.model.encoder import FrameEncoder

_STEM = "stem.safetensors"


def save_encoder(encoder: FrameEncoder, directory: Path) -> None:
    """Writes tower and stem of ``encoder`` into ``directory``."""
    encoder.tower.save_pretrained(directory)
    if encoder.stem is not None:
        save_file(encoder.stem.state_dict(), directory / _STEM)


def load_encoder(encoder: FrameEncoder, directory: Path) -> None:
    """Gives ``encoder`` the weights that :func:`save_encoder` wrote.

    Raises:
        CheckpointError: One of them has a stem and the other has none.
    """
    tower = CLIPVisionModel.from_pretrained(directory, local_files_only=True)
    encoder.tower.load_state_dict(tower.state_dict())
    if (encoder.stem is not None) != (directory / _STEM).exists():
        raise CheckpointError(
            f"{directory}: the model's settings and the pretrained encoder must both have a stem, or none"
        )
    if encoder.stem is not None:
        encoder.stem.load_state_dict(load_file(directory / _STEM))
