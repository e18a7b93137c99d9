"""Clips made on the spot whose frames carry their own number, so that a reader can be caught giving the wrong one."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

_CLIPS = Path(__file__).resolve().parents[2] / "benchmarks" / "clips.py"


@pytest.fixture(scope="session")
def clips() -> ModuleType:
    """The clip maker that the benchmarks use too."""
    spec = importlib.util.spec_from_file_location("benchmark_clips", _CLIPS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["benchmark_clips"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def make_clip(clips: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a numbered clip, or returns the one written before with the same settings."""
    folder = tmp_path_factory.mktemp("clips")
    written: dict[str, Path] = {}

    def make(suffix: str, codec: str = "libx264", **settings: object) -> Path:
        settings = {"seconds": 2, "fps": 20, "width": 160, "height": 120, "gop": 12, **settings}
        key = repr((suffix, codec, sorted(settings.items(), key=str)))
        if key not in written:
            path = folder / f"clip{len(written)}.{suffix}"
            written[key] = clips.write_clip(path, clips.ClipSpec(codec, **settings))
        return written[key]

    return make


@pytest.fixture(scope="session")
def numbers(clips: ModuleType) -> Callable[..., list[int]]:
    """Reads the numbers back from decoded frames."""
    return lambda frames: [clips.read_stamp(frame) for frame in frames]
