"""A pretrained frame encoder on disk: the tower in transformers' layout, beside it what else it is made of."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import nn

from videollm.errors import CheckpointError
from videollm.model.encoder import FrameEncoder

from .parts import from_source

_WITHOUT_EFFECT_AT_FIRST = ("matching", "temporal")
_BLOCKS = "blocks."  # of the stem: they are without effect at first as well


def save_encoder(encoder: FrameEncoder, directory: Path) -> None:
    """Writes tower, stem, matching and temporal attention of ``encoder`` into ``directory``."""
    encoder.tower.save_pretrained(directory)
    for name, part in _parts(encoder).items():
        if part is not None:
            save_file(part.state_dict(), directory / f"{name}.safetensors")


def load_encoder(encoder: FrameEncoder, directory: Path) -> None:
    """Gives ``encoder`` the weights that :func:`save_encoder` wrote, or those of a published tower.

    Matching, temporal attention and blocks of the stem stay fresh, and so without effect, where the files have none.

    Args:
        encoder: An encoder of the same shape.
        directory: Directory, or name of a repository on the hub.

    Raises:
        ConfigError: There is nothing of that name.
        CheckpointError: Weights are missing, only one of the two has a stem, or only the files have matching,
            temporal attention or blocks.
    """
    wanted = encoder.tower.config
    tower, info = from_source(type(encoder.tower), directory, config=wanted, output_loading_info=True)
    if info["missing_keys"] or info["mismatched_keys"]:
        first = sorted([*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])])[0]
        raise CheckpointError(f"{directory}: weights of the vision tower are missing, first: {first}")
    encoder.tower.load_state_dict(tower.state_dict())
    for name, part in _parts(encoder).items():
        path = directory / f"{name}.safetensors"
        fresh = name in _WITHOUT_EFFECT_AT_FIRST and not path.exists()
        if (part is not None) != path.exists() and not fresh:
            raise CheckpointError(
                f"{directory}: the model's settings and the pretrained encoder must both have '{name}', or neither"
            )
        if part is not None and not fresh:
            _load_part(part, path)


def _load_part(part: nn.Module, path: Path) -> None:
    missing, unknown = part.load_state_dict(load_file(path), strict=False)
    if odd := [*unknown, *(name for name in missing if not name.startswith(_BLOCKS))]:
        raise CheckpointError(
            f"{path}: the pretrained encoder is not made as the settings say, first: {odd[0]}"
        )


def _parts(encoder: FrameEncoder) -> dict[str, nn.Module | None]:
    """What stands beside the tower; ``None`` for what this encoder does without."""
    temporal = encoder.temporal if len(encoder.temporal) else None
    return {"stem": encoder.stem, "matching": encoder.matching, "temporal": temporal}
