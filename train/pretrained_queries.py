"""BLIP-2's published Q-Former as the beginning of a compressor's: it has learnt to ask what a language model wants.

Its queries become the compressor's, its layers the compressor's. Only what looks at the ViT stays fresh where it has
another width, and so do the maps of time and place, which BLIP-2 lacks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from videollm.checkpoints.families import BLIP2
from videollm.checkpoints.families.blip2 import translate_vision
from videollm.checkpoints.published import find_part, read_config, read_file, weight_files
from videollm.errors import ConfigError
from videollm.model.compressor import Compressor
from videollm.model.compressor_config import CompressorConfig

_QUERIES, _LAYERS = "vision.queries.query_tokens", "vision.queries.qformer."
_LOOKS_AT_VIT = (".crossattention.attention.key.weight", ".crossattention.attention.value.weight")


@dataclass(frozen=True, slots=True)
class Taken:
    """What a compressor's Q-Former began with.

    Attributes:
        taken: Weights that are BLIP-2's.
        fresh: Names of tensors that stayed fresh.
    """

    taken: int
    fresh: tuple[str, ...]


@torch.no_grad()
def begin_with_blip2(compressor: Compressor, source: str) -> Taken:
    """Puts BLIP-2's Q-Former into a compressor.

    Args:
        compressor: One whose kind has queries.
        source: BLIP-2's directory, or its name on the hub; its language model does not matter.

    Raises:
        ConfigError: The compressor has no queries, or its Q-Former has other sizes.
        UnsupportedModelError: The source is not there, or is something else.
        CheckpointError: A file is broken.
    """
    if not compressor.config.has_queries:
        raise ConfigError(
            f"queries go with a compressor that has a Q-Former, got the kind {compressor.config.kind!r}; "
            "set model.compressor.kind=merge+qformer"
        )
    directory = find_part(source, BLIP2)
    published_config = read_config(directory)
    _check_sizes(compressor.config, translate_vision(published_config)["frame_queries"], source)
    published = _read(directory, published_config)
    qformer = compressor.qformer
    queries_QH = published[_QUERIES][0]
    count = len(qformer.queries_KH)
    qformer.queries_KH.copy_(queries_QH[:count])
    taken = qformer.queries_KH.numel()
    fresh = [
        name for name, _ in qformer.named_parameters() if not name.startswith(("transformer.", "queries_KH"))
    ]
    for name, weight in qformer.transformer.named_parameters():
        found = published[f"{_LAYERS}{name}"]
        if found.shape == weight.shape:
            weight.copy_(found)
            taken += weight.numel()
        else:
            assert name.endswith(_LOOKS_AT_VIT)
            fresh.append(f"transformer.{name}")
    return Taken(taken, tuple(fresh))


def _check_sizes(config: CompressorConfig, theirs: Mapping[str, int], source: str) -> None:
    ours = {**dataclasses.asdict(config.qformer), "num_queries": config.num_queries}
    most = ("num_queries", "layers")  # the first ones may do
    wrong = [
        f"{name} {ours[name]} instead of {'at most ' if name in most else ''}{size}"
        for name, size in theirs.items()
        if (ours[name] > size if name in most else ours[name] != size)
    ]
    if wrong:
        raise ConfigError(f"the compressor's Q-Former is not of the sizes of {source}'s: {', '.join(wrong)}")


def _read(directory: Path, config: Mapping[str, Any]) -> dict[str, Tensor]:
    return {
        name: tensor
        for path in weight_files(directory)
        for name, tensor in read_file(path, BLIP2, config)[0].items()
        if name == _QUERIES or name.startswith(_LAYERS)
    }
