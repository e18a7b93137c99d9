"""Two renderers that share only the world's definitions show the same clip in the same way."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from videollm.synthetic.rendering import render_frames
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import Clip

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_SIZE, _FPS = (160, 120), 3


@pytest.fixture(scope="module")
def renderer(browser: Browser, repository: Path) -> Any:
    """The benchmark's renderer."""
    place = repository / "benchmarks" / "other_renderer.py"
    spec = importlib.util.spec_from_file_location("other_renderer", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CanvasRenderer(browser.new_page())


def clips() -> list[Clip]:
    """Clips over backdrops that leave nothing open: textures and photographs may be painted in many ways."""
    found = (sample_clip(seed, "test", duration_s=(2, 12)) for seed in range(200))
    plain = (clip for clip in found if {shot.backdrop.kind for shot in clip.shots} <= {"plain", "gradient"})
    return list(islice((clip for clip in plain if clip.objects), 12))


def render(clip: Clip, times_s: list[float]) -> np.ndarray:
    """Our own frames."""
    return render_frames(clip, times_s, width=_SIZE[0], height=_SIZE[1]).astype(int)


def differing(frames: np.ndarray, others: np.ndarray) -> int:
    """How many pixels are clearly not the same."""
    return int((np.abs(frames - others).max(axis=-1) > 50).sum())


@pytest.mark.parametrize("clip", clips(), ids=lambda clip: str(clip.seed))
def test_what_happens_in_a_clip_is_seen_alike(renderer: Any, clip: Clip) -> None:
    theirs = np.stack(list(renderer.frames(clip, _SIZE, _FPS))).astype(int)
    times = np.arange(len(theirs)) / _FPS
    empty = replace(clip, shots=tuple(replace(shot, objects=()) for shot in clip.shots))
    ours, without = (render(drawn, times.tolist()) for drawn in (clip, empty))
    objects, differs = differing(ours, without), differing(ours, theirs)
    # Outlines have free proportions (a star up to a third of its pixels); an object elsewhere differs in all, twice.
    assert differs < 0.4 * objects, (differs, objects)
