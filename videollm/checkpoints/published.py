"""A published checkpoint as ours: its configuration translated, its tensors renamed, strictly."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import CheckpointError, UnsupportedModelError
from ..model.configuration import VideoLLMConfig
from ..model.modeling import VideoLLM
from .families import Family
from .hub import fetch, is_hub_name

_ONE_FILE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_NAMED = 8


def find_part(source: str, family: Family) -> Path:
    """Returns the directory of a published model that another one is made of, after a look at what it is.

    Args:
        source: Its directory, or its name on the hub.
        family: What it has to be.

    Raises:
        UnsupportedModelError: It is not there, or is something else.
        CheckpointError: Its configuration cannot be read.
    """
    directory = Path(source).expanduser()
    if not directory.exists() and is_hub_name(source):
        directory = fetch(source, family.recognise)
    if not (directory / "config.json").is_file():
        raise UnsupportedModelError(f"{source}: there is no such directory with a config.json")
    if not family.recognise(read_config(directory)):
        raise UnsupportedModelError(f"{source}: this is not {family.name}, which is wanted here")
    return directory


def read_config(directory: Path) -> dict[str, Any]:
    """Reads a published ``config.json``.

    Raises:
        CheckpointError: It cannot be read.
    """
    try:
        config: dict[str, Any] = json.loads((directory / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{directory / 'config.json'}: it cannot be read ({error})") from error
    return config


def weight_files(directory: Path) -> list[Path]:
    """Returns the files that a published checkpoint's weights lie in.

    Raises:
        CheckpointError: There are none, or the index names one that is not there.
    """
    index = directory / _INDEX
    if not index.is_file():
        if (directory / _ONE_FILE).is_file():
            return [directory / _ONE_FILE]
        raise CheckpointError(
            f"{directory}: neither {_ONE_FILE} nor {_INDEX} is there; get the checkpoint again"
        )
    try:
        names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(
            f"{index}: not an index of weights ({error}); get the checkpoint again"
        ) from error
    missing = [name for name in names if not (directory / name).is_file()]
    if missing:
        raise CheckpointError(
            f"{directory}: {len(missing)} of {len(names)} files of weights are missing ({missing[0]}); "
            "get the checkpoint again"
        )
    return [directory / name for name in names]


def read_weights(directory: Path, family: Family, config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Reads a published checkpoint's tensors under our names; until they are looked at they stay on disk.

    Args:
        directory: Where it lies.
        family: What it is one of.
        config: Its published configuration.

    Raises:
        CheckpointError: A file is missing or broken, or holds tensors that the family does not have.
    """
    return {
        name: tensor
        for path in weight_files(directory)
        for name, tensor in read_file(path, family, config)[0].items()
    }


def read_file(path: Path, family: Family, config: Mapping[str, Any]) -> tuple[dict[str, Tensor], list[str]]:
    """Reads one file of a published checkpoint.

    Returns:
        Its tensors under our names, and the published names of those that the model does without.

    Raises:
        CheckpointError: The file is broken, or holds tensors that the family does not have.
    """
    try:
        with safe_open(path, framework="pt") as file:
            named, unused, unknown = family.sort(file.keys())
            tensors = {ours: file.get_tensor(published) for published, ours in named.items()}
    except (SafetensorError, OSError) as error:
        reason = (
            "a pointer of Git LFS, not the weights" if _is_pointer(path) else f"the file is broken ({error})"
        )
        raise CheckpointError(f"{path}: {reason}; get the checkpoint again") from error
    if unknown:
        raise CheckpointError(
            f"{path}: {len(unknown)} tensors are none of {family.name}'s ({_first(unknown)})"
        )
    return tensors | family.derive(config, tensors), unused


def _is_pointer(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(32).startswith(b"version https://git-lfs")


def wanted_shapes(config: VideoLLMConfig) -> dict[str, torch.Size]:
    """Names and shapes of the weights that a checkpoint of this configuration holds."""
    with torch.device("meta"):
        model = VideoLLM(config)
    tied = set(model.all_tied_weights_keys)
    return {name: weight.shape for name, weight in model.state_dict().items() if name not in tied}


def check_shapes(source: str, tensors: Mapping[str, Tensor], wanted: Mapping[str, torch.Size]) -> None:
    """Refuses tensors that a model does not have, or has in another shape.

    Raises:
        CheckpointError: There are any.
    """
    unexpected = [name for name in tensors if name not in wanted]
    misshapen = [
        f"{name} {tuple(tensor.shape)} instead of {tuple(wanted[name])}"
        for name, tensor in tensors.items()
        if name in wanted and wanted[name] != tensor.shape
    ]
    wrong = [
        f"{len(names)} {kind} ({_first(names)})"
        for kind, names in (("unexpected", unexpected), ("of the wrong shape", misshapen))
        if names
    ]
    if wrong:
        raise CheckpointError(f"{source} does not hold the weights of this model: {'; '.join(wrong)}")


def refuse_missing(source: str, missing: Collection[str]) -> None:
    """Refuses a checkpoint that lacks tensors.

    Raises:
        CheckpointError: It does.
    """
    if missing:
        raise CheckpointError(
            f"{source} does not hold the weights of this model: {len(missing)} missing ({_first(missing)})"
        )


def _first(names: Collection[str]) -> str:
    return ", ".join(sorted(names)[:_NAMED]) + (", …" if len(names) > _NAMED else "")
