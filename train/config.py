"""Training settings read from YAML: one typed class per stage, overridable as ``key=value``.

A YAML file lists only what differs from the defaults. Unknown keys are refused with the nearest valid name, so that a
misspelt setting never trains the wrong thing.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from videollm.errors import ConfigError

from .settings import Assembly, FeatureSettings, Settings, StageSettings, TokenizerSettings, VisionPretraining
from .tuning_settings import Alignment, Instruction

S = TypeVar("S", bound=Settings)

# What pydantic says of these is about Python's types.
_WANTED = {
    "path_type": "a path",
    "tuple_type": "a list, as [one, another]",
    "model_type": "settings of its own, as {key: value}",
    "model_attributes_type": "settings of its own, as {key: value}",
    "dict_type": "a mapping, as {key: value}",
}

# What makes the built-in model, in order: names of the YAML files and of the runs' folders.
POCKET_CHAIN = ("tokenizer", "vision", "start", "told", "language", "features", "align", "instruct", "refine")

STAGES: dict[str, type[StageSettings]] = {
    "tokenizer": TokenizerSettings,
    "assemble": Assembly,
    "features": FeatureSettings,
    "pretrain-vision": VisionPretraining,
    "align": Alignment,
    "instruct": Instruction,
}


def load_settings(
    path: Path, overrides: tuple[str, ...] = (), *, out: Path = Path("runs/pocket")
) -> StageSettings:
    """Reads a stage's settings.

    Args:
        path: YAML file with at least ``stage`` and what has no default.
        overrides: ``key=value`` strings; dots reach into nested settings, values are YAML.
        out: Directory that ``{out}`` stands for in the file's paths.

    Returns:
        The settings of the class that belongs to the file's stage.

    Raises:
        ConfigError: The file is missing or malformed, a key is unknown or a value is out of range.
    """
    fields = _read_yaml(path, out)
    for override in overrides:
        _apply_override(fields, override)
    kind = STAGES.get(str(fields.get("stage")))
    if kind is None:
        raise ConfigError(f"{path}: stage must be one of {', '.join(STAGES)}, got {fields.get('stage')!r}")
    return _parse(kind, fields, str(path), overrides)


def load_chain(
    configs: Path, overrides: tuple[str, ...] = (), *, out: Path = Path("runs/pocket")
) -> list[StageSettings]:
    """Reads the settings of every stage of ``POCKET_CHAIN``.

    Args:
        configs: Directory of the stages' YAML files.
        overrides: ``stage:key=value`` changes of single settings, where ``stage`` is the name of its file.
        out: Directory of all runs.

    Raises:
        ConfigError: As :func:`load_settings`, or an override names no stage.
    """
    changes: dict[str, list[str]] = {name: [] for name in POCKET_CHAIN}
    for override in overrides:
        name, _, change = override.partition(":")
        if name not in changes:
            raise ConfigError(f"an override of the chain is written stage:key=value, got {override!r}")
        changes[name].append(change)
    return [load_settings(configs / f"{name}.yaml", tuple(changes[name]), out=out) for name in POCKET_CHAIN]


def _parse(kind: type[S], fields: dict[str, Any], source: str, overrides: tuple[str, ...]) -> S:
    """Validates ``fields`` as settings of class ``kind``.

    Raises:
        ConfigError: One line that names the first offending key, where it comes from and, for an unknown one, the
            nearest valid key.
    """
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        # A misspelt key often leaves another one missing: it is what to say.
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"])
        given = [override for override in overrides if _is_about(override, key)]
        place = f"{repr(given[-1]) if given else source}: {key}" if key else source
        raise ConfigError(f"{place}: {_reason(kind, first)}") from error


def _is_about(override: str, key: str) -> bool:
    """Whether an override gave this key's value, or part of it."""
    name = override.partition("=")[0]
    return f"{key}.".startswith(f"{name}.") or f"{name}.".startswith(f"{key}.")


def _reason(kind: type[Settings], error: ErrorDetails) -> str:
    """What is wrong with a value, in words for people who have not read the classes of settings."""
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(error["loc"][-1]), _all_keys(kind), n=1)
        return "unknown key" + (f", did you mean {near[0]!r}?" if near else "")
    if error["type"] == "missing":
        return "is missing"
    wanted = _WANTED.get(error["type"])
    if wanted is not None:
        return f"expected {wanted}, got {error['input']!r}"
    return error["msg"].removeprefix("Value error, ")


def _read_yaml(path: Path, out: Path) -> dict[str, Any]:
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8").replace("{out}", str(out)))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(fields, dict):
        raise ConfigError(f"{path}: expected a mapping of settings, got {type(fields).__name__}")
    return fields


def _apply_override(fields: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    if not separator:
        raise ConfigError(f"an override is written key=value, got {override!r}")
    *parents, last = key.split(".")
    for parent in parents:
        fields = fields.setdefault(parent, {})
        if not isinstance(fields, dict):
            raise ConfigError(f"{override!r}: {parent!r} is a single value, it has no keys below it")
    try:
        fields[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"{override!r}: the value is not valid YAML ({getattr(error, 'problem', error)})"
        ) from error


def _all_keys(kind: type[Settings]) -> list[str]:
    keys = list(kind.model_fields)
    for field in kind.model_fields.values():
        for part in _types_in(field.annotation):
            keys += _all_keys(part)
    return keys


def _types_in(annotation: Any) -> list[type[Settings]]:
    """The classes of settings that an annotation admits."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    return [found for part in get_args(annotation) for found in _types_in(part)]
