"""A published model written as a checkpoint of ours, one file of weights after the other."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from ..errors import ConfigError
from ..model.configuration import VideoLLMConfig
from ..model.modeling import VideoLLM
from ..model.processing import VideoLLMProcessor
from .directories import find_model
from .loading import load_config, load_processor
from .published import check_shapes, read_file, refuse_missing, wanted_shapes, weight_files


@dataclass(frozen=True, slots=True)
class Import:
    """What was written.

    Attributes:
        directory: Where it lies.
        family: The family that it is of.
        parameters: Its weights.
        left_out: Published tensors that the model does without.
    """

    directory: Path
    family: str
    parameters: int
    left_out: tuple[str, ...]


def import_model(source: str | os.PathLike[str], out: Path, *, overwrite: bool = False) -> Import:
    """Writes a published model as a checkpoint of ours, in the precision it has.

    No more than one file of its weights is in memory at a time. ``out`` appears when it is complete.

    Args:
        source: Its directory, or its name on the hub.
        out: Directory of the checkpoint.
        overwrite: Replace ``out`` if it exists.

    Raises:
        UnsupportedModelError: There is no such model, or it is of no supported family.
        ConfigError: ``source`` is one of ours already, or ``out`` exists.
        CheckpointError: A file is broken, or tensors are missing, unknown or of the wrong shape.
    """
    found = find_model(source)
    if (family := found.family) is None or found.adapter is not None:
        raise ConfigError(f"{source}: this is a checkpoint of ours already, it can be used as it is")
    check_free(out, overwrite=overwrite)
    published = found.read_published()
    parts = [partial(read_file, path, family, published) for path in weight_files(found.base)]
    config = load_config(found)
    return write_checkpoint(
        found.name, family.name, parts, config, load_processor(found, config), out, beside=_beside(found.base)
    )


def check_free(out: Path, *, overwrite: bool) -> None:
    """Makes sure that ``out`` may be written.

    Raises:
        ConfigError: It exists.
    """
    if out.exists() and not overwrite:
        raise ConfigError(f"{out} exists; give --overwrite to replace it, or another directory")


def write_checkpoint(
    source: str,
    family: str,
    parts: Sequence[Callable[[], tuple[dict[str, Tensor], list[str]]]],
    config: VideoLLMConfig,
    processor: VideoLLMProcessor,
    out: Path,
    *,
    beside: Sequence[Path] = (),
) -> Import:
    """Writes a checkpoint part by part; it appears when it is complete.

    Args:
        source: Where it comes from, for messages.
        family: The family that it is of.
        parts: Each gives some tensors under our names, and the published names of what is left out.
        config: Its configuration.
        processor: Its processor.
        out: Directory of the checkpoint.
        beside: Files that are copied as they are.

    Raises:
        CheckpointError: A part is broken, or tensors are missing or of the wrong shape.
    """
    directory = out.with_name(f"{out.name}.partial-{os.getpid()}")
    directory.mkdir(parents=True)
    try:
        parameters, left_out = _write_weights(source, parts, config, directory)
        config.architectures = [VideoLLM.__name__]
        config.save_pretrained(directory)
        processor.save_pretrained(directory)
        for path in beside:
            shutil.copyfile(path, directory / path.name)
        if out.exists():
            shutil.rmtree(out)
        directory.rename(out)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return Import(out, family, parameters, left_out)


def _write_weights(
    source: str,
    parts: Sequence[Callable[[], tuple[dict[str, Tensor], list[str]]]],
    config: Any,
    directory: Path,
) -> tuple[int, tuple[str, ...]]:
    """Writes a file for each part, and returns the number of weights and what was left out."""
    wanted = wanted_shapes(config)
    index: dict[str, str] = {}
    left_out: list[str] = []
    parameters = size = 0
    for number, read in enumerate(parts, 1):
        tensors, unused = read()
        check_shapes(source, tensors, wanted)
        left_out += unused
        name = "model.safetensors" if len(parts) == 1 else f"model-{number:05}-of-{len(parts):05}.safetensors"
        contiguous = {key: tensor.contiguous() for key, tensor in tensors.items()}
        save_file(contiguous, directory / name, {"format": "pt"})
        index |= dict.fromkeys(tensors, name)
        parameters += sum(tensor.numel() for tensor in tensors.values())
        size += sum(tensor.nbytes for tensor in tensors.values())
        config.dtype = next((tensor.dtype for tensor in tensors.values()), config.dtype)
    refuse_missing(source, wanted.keys() - index.keys())
    if len(parts) > 1:
        content = {"metadata": {"total_size": size}, "weight_map": index}
        (directory / "model.safetensors.index.json").write_text(
            json.dumps(content, indent=2), encoding="utf-8"
        )
    return parameters, tuple(left_out)


def _beside(directory: Path) -> list[Path]:
    """How answers are drawn, and the published card, whose licence holds on."""
    files = [directory / name for name in ("generation_config.json", "README.md")]
    return [path for path in files if path.is_file()]
