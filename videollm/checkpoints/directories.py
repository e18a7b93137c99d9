"""From a model's name to its directories, and what their JSON files say; nothing here imports torch."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, UnsupportedModelError
from ..model.settings import ImageSettings, VideoSettings, read_settings
from .families import FAMILIES, Family, family_of
from .hub import fetch, is_hub_name

#: Directory of the built-in model.
POCKET = Path(__file__).resolve().parent.parent / "pocket"
MODEL_TYPE = "videollm"
_CONFIG, _ADAPTER_CONFIG = "config.json", "adapter_config.json"
# What the training programs leave in a run's directory: from the first step on, and at its end.
_RUN_RECORD, _RUN_RESULT = "training.json", "final"
_SUPPORTED = (
    "a model is 'pocket' (built in), a directory of save_pretrained, one with a PEFT adapter, or a published model of "
    + ", ".join(family.name for family in FAMILIES)
)


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

    @property
    def family(self) -> Family | None:
        """The family of published models that the base belongs to; ``None`` for one of our own."""
        return family_of(self.read_published())

    def read_published(self) -> dict[str, Any]:
        """Returns ``config.json`` of the base as it stands in the file.

        Raises:
            CheckpointError: It cannot be read.
        """
        return _read_json(self.base / _CONFIG)

    def read_config(self) -> dict[str, Any]:
        """Returns ``config.json`` of the base: as it stands in the file, or a published one in our terms.

        Raises:
            CheckpointError: It cannot be read.
            UnsupportedModelError: It is a published one with a setting that is not supported.
        """
        config = self.read_published()
        family = family_of(config)
        return config if family is None else family.translate(config)

    def read_reading_settings(self) -> tuple[VideoSettings, ImageSettings]:
        """Returns how the checkpoint reads videos, and how it prepares pictures.

        Raises:
            CheckpointError: ``config.json`` cannot be read, or does not say.
            ConfigError: It says what is out of range.
        """
        config = self.read_config()
        if "image" not in config:
            raise CheckpointError(f"{self.base / _CONFIG}: the settings of image are missing")
        video = read_settings(VideoSettings, "video", config.get("video"))
        return video, read_settings(ImageSettings, "image", config["image"])


def find_model(name_or_directory: str | os.PathLike[str]) -> ModelDirectory:
    """Finds the directories of a model and checks that they hold one of ours.

    Args:
        name_or_directory: ``"pocket"``, a checkpoint or adapter directory, that of a training run, or a name on the
            hub.

    Returns:
        The base's directory, and the adapter's if it is one; of a run, those of its result.

    Raises:
        UnsupportedModelError: There is no such model, it is of another kind, or the run has not ended.
        CheckpointError: A JSON file in the directory is broken.
    """
    name = os.fspath(name_or_directory)
    directory = POCKET if name == "pocket" else Path(name).expanduser()
    if not directory.exists() and is_hub_name(name):
        directory = fetch(name, _is_known)
    if directory == POCKET and not (directory / _CONFIG).is_file():
        raise UnsupportedModelError(
            "pocket: the built-in model's weights are not part of this installation; "
            "train them with 'make pocket', or name another model's directory"
        )
    if not directory.is_dir():
        absence = "this is a file, not a directory" if directory.exists() else "there is no such directory"
        raise UnsupportedModelError(f"{name}: {absence}; {_SUPPORTED}")
    directory = _result_of(directory)
    if (directory / _ADAPTER_CONFIG).is_file():
        return ModelDirectory(name, _base_of(name, directory), directory)
    _check_model_type(name, directory)
    return ModelDirectory(name, directory)


def _result_of(directory: Path) -> Path:
    """The directory itself, or the result of the training run that lies there."""
    result = directory / _RUN_RESULT
    if _holds_model(directory) or not (_holds_model(result) or (directory / _RUN_RECORD).is_file()):
        return directory
    if not result.is_dir():
        raise UnsupportedModelError(
            f"{directory}: this training run has not ended, there is no {_RUN_RESULT} in it yet; "
            "give its 'videollm train' command --resume to go on with it"
        )
    return result


def _holds_model(directory: Path) -> bool:
    return any((directory / name).is_file() for name in (_CONFIG, _ADAPTER_CONFIG))


def _base_of(name: str, adapter: Path) -> Path:
    """The base that an adapter names: ``pocket``, a directory, or one relative to the adapter's."""
    base = _read_json(adapter / _ADAPTER_CONFIG).get("base_model_name_or_path")
    if not base:
        raise CheckpointError(
            f"{adapter / _ADAPTER_CONFIG}: base_model_name_or_path is missing; name the base's directory"
        )
    candidates = [POCKET] if base == "pocket" else [Path(base).expanduser(), adapter / base]
    if is_hub_name(base) and not any(directory.is_dir() for directory in candidates):
        candidates = [fetch(base, _is_known)]
    for directory in candidates:
        if directory.is_dir():
            base_directory = _result_of(directory)
            _check_model_type(name, base_directory)
            return base_directory
    raise UnsupportedModelError(
        f"{name}: this adapter goes over {base!r}, which is no directory here; "
        f"put the base there or correct base_model_name_or_path in {_ADAPTER_CONFIG}"
    )


def _check_model_type(name: str, directory: Path) -> None:
    if not (directory / _CONFIG).is_file():
        raise UnsupportedModelError(f"{name}: the directory holds no {_CONFIG}; {_SUPPORTED}")
    config = _read_json(directory / _CONFIG)
    if not _is_known(config):
        model_type = config.get("model_type")
        raise UnsupportedModelError(f"{name}: models of type {model_type!r} cannot be loaded; {_SUPPORTED}")


def _is_known(config: dict[str, Any]) -> bool:
    """Whether a model is one of ours, or of a family of published ones."""
    return config.get("model_type") == MODEL_TYPE or family_of(config) is not None


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
