"""The example clips are rendered once, are real videos of the test split, and are never found half-written."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from videollm.synthetic.sampling import sample_clip
from videollm.video import probe
from videollm_serve.ui.examples import EXAMPLE_SEEDS, data_directory, prepare_examples


def test_an_example_is_rendered_once_and_found_afterwards(tmp_path: Path) -> None:
    (example,) = prepare_examples(tmp_path, seeds=[42])
    clip = sample_clip(42, "test")
    assert probe(example.path).duration_s == pytest.approx(clip.duration_s, abs=0.15)
    with Image.open(example.poster) as poster:
        assert poster.height == 180
    assert example.title == "0:06"
    written = example.path.stat().st_mtime_ns
    assert prepare_examples(tmp_path, seeds=[42]) == (example,)
    assert example.path.stat().st_mtime_ns == written


def test_a_half_written_file_is_not_taken_for_a_clip(tmp_path: Path) -> None:
    (tmp_path / "scene-42.part.mp4").write_bytes(b"half")
    (example,) = prepare_examples(tmp_path, seeds=[42])
    assert probe(example.path).kind == "video"
    assert [path.name for path in tmp_path.glob("*.part.*")] == []


def test_the_examples_are_short_and_differ() -> None:
    clips = [sample_clip(seed, "test") for seed in EXAMPLE_SEEDS]
    assert all(clip.duration_s <= 15 for clip in clips)
    assert len({len(clip.shots) for clip in clips}) > 1


def test_the_cache_directory_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIDEOLLM_CACHE", str(tmp_path))
    assert data_directory() == tmp_path
    monkeypatch.delenv("VIDEOLLM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data_directory() == tmp_path / "videollm"
