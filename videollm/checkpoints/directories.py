"""From a model's name to its directories, and what their JSON files say; nothing here imports torch."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, UnsupportedModelError
from ..model.settings import VideoSettings, read_settings

#: Directory of the built-in model.
POCKET = Path(__file__).resolve().parent.parent / "pocket"
MODEL_TYPE = "videollm"
_CONFIG, _ADAPTER_CONFIG = "config.json", "adapter_config.json"
_SUPPORTED = "a model is 'pocket' (built in), a directory of save_pretrained, or one with a PEFT adapter"


@dataclass(frozen=True, slots=True)
class ModelDirectory:
    """Where a model lies.

    Attributes:
        name: What the user called it.
        base: Directory with the whole model: config, weights and tokenizer.
        adapter: Directory of an adapter that goes over it, or ``None``.
    """

    name: str
    base: Path
    adapter: Path | None = None

    def read_config(self) -> dict[str, Any]:
        """Returns ``config.json`` of the base as it stands in the file.

        Raises:
            CheckpointError: It cannot be read.
        """
        return _read_json(self.base / _CONFIG)

    def read_reading_settings(self) -> tuple[VideoSettings, int]:
        """Returns how the checkpoint reads videos, and the side of the frames it takes in pixels.

        Raises:
            CheckpointError: ``config.json`` cannot be read, or does not say.
            ConfigError: It says what is out of range.
        """
        config = self.read_config()
        try:
            size = int(config["image"]["size"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{self.base / _CONFIG}: image.size is missing") from error
        return read_settings(VideoSettings, "video", config.get("video")), size


def find_model(name_or_directory: str | os.PathLike[str]) -> ModelDirectory:
    """Finds the directories of a model and checks that they hold one of ours.

    Args:
        name_or_directory: ``"pocket"``, or a checkpoint or adapter directory.

    Returns:
        The base's directory, and the adapter's if it is one.

    Raises:
        UnsupportedModelError: There is no such model, or it is of another kind.
        CheckpointError: A JSON file in the directory is broken.
    """
    name = os.fspath(name_or_directory)
    directory = POCKET if name == "pocket" else Path(name).expanduser()
    if directory == POCKET and not (directory / _CONFIG).is_file():
        raise UnsupportedModelError(
            "pocket: the built-in model's weights are not part of this installation; "
            "train them with 'make pocket', or name another model's directory"
        )
    if not directory.is_dir():
        raise UnsupportedModelError(f"{name}: {_absence(name, directory)}; {_SUPPORTED}")
    if (directory / _ADAPTER_CONFIG).is_file():
        return ModelDirectory(name, _base_of(name, directory), directory)
    _check_model_type(name, directory)
    return ModelDirectory(name, directory)


def _base_of(name: str, adapter: Path) -> Path:
    """The base that an adapter names: ``pocket``, a directory, or one relative to the adapter's."""
    base = _read_json(adapter / _ADAPTER_CONFIG).get("base_model_name_or_path")
    if not base:
        raise CheckpointError(
            f"{adapter / _ADAPTER_CONFIG}: base_model_name_or_path is missing; name the base's directory"
        )
    candidates = [POCKET] if base == "pocket" else [Path(base).expanduser(), adapter / base]
    for directory in candidates:
        if directory.is_dir():
            _check_model_type(name, directory)
            return directory
    raise UnsupportedModelError(
        f"{name}: this adapter goes over {base!r}, which is no directory here; "
        f"put the base there or correct base_model_name_or_path in {_ADAPTER_CONFIG}"
    )


def _check_model_type(name: str, directory: Path) -> None:
    if not (directory / _CONFIG).is_file():
        raise UnsupportedModelError(f"{name}: the directory holds no {_CONFIG}; {_SUPPORTED}")
    model_type = _read_json(directory / _CONFIG).get("model_type")
    if model_type != MODEL_TYPE:
        raise UnsupportedModelError(f"{name}: models of type {model_type!r} cannot be loaded; {_SUPPORTED}")


def _absence(name: str, directory: Path) -> str:
    if directory.exists():
        return "this is a file, not a directory"
    if name.count("/") == 1 and not name.startswith((".", "~", "/")):
        return "there is no such directory, and models of the hub cannot be loaded by their id (download one first)"
    return "there is no such directory"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: it cannot be read as JSON ({error}); copy the checkpoint again"
        ) from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: expected a JSON object, got {type(values).__name__}")
    return values
