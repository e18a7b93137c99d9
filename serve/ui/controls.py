"""From the values of the page's controls to how media are looked at and how answers are sampled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

from videollm.commands.options import parse_seconds
from videollm.errors import ConfigError
from videollm.media import ReadOptions

from ..service.service import Defaults
from .widgets import LookControls, SamplingControls

LookValues = tuple[int, float, int, str, str]


def look_and_sampling(values: Sequence[Any]) -> tuple[ReadOptions, dict[str, Any]]:
    """Reads the controls of the look and, behind them, those of sampling.

    Raises:
        ConfigError: A value is not what its control takes.
    """
    looks = len(LookControls._fields)
    return look(values[:looks]), _sampling(values[looks:])


def look(values: Sequence[Any]) -> ReadOptions:
    """Reads the controls of the look.

    Raises:
        ConfigError: A value is not what its control takes.
    """
    settings = dict(zip(LookControls._fields, values, strict=True))
    whole = {name: _whole(settings[name]) for name in ("max_visual_tokens", "max_frames")}
    seconds = {name: _seconds(settings[name]) for name in ("start_s", "end_s")}
    return ReadOptions(**settings | whole | seconds)


def of_look(options: ReadOptions, defaults: Defaults) -> LookValues:
    """Returns what the controls of the look show for options, in their order."""
    start_s, end_s = (
        None if second is None else f"{second:g}" for second in (options.start_s, options.end_s)
    )
    return (
        options.max_visual_tokens or defaults.max_visual_tokens,
        options.fps or defaults.fps,
        options.max_frames or defaults.max_frames,
        start_s or "",
        end_s or "",
    )


def _seconds(text: str | None) -> float | None:
    if not (text and text.strip()):
        return None
    try:
        return parse_seconds(text)
    except typer.BadParameter as error:
        raise ConfigError(error.message) from None


def _sampling(values: Sequence[Any]) -> dict[str, Any]:
    settings = dict(zip(SamplingControls._fields, values, strict=True))
    return settings | {"max_new_tokens": _whole(settings["max_new_tokens"]), "seed": _seed(settings["seed"])}


def _seed(text: str | None) -> int | None:
    if not (text and text.strip()):
        return None
    if not text.strip().isdecimal():
        raise ConfigError(
            f"the seed must be a whole number from 0, got {text.strip()!r}; leave it empty for a new one each time"
        )
    return int(text)


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)
