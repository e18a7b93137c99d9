"""A file that was encoded once is neither read nor encoded again, by later runs neither; the answers stay the same."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from videollm import VideoChat, VideoLLM, load_model
from videollm.encodings.cache import EncodedCache
from videollm.encodings.disk import FORMAT, DiskCache
from videollm.encodings.keys import EncodingKey
from videollm.encodings.medium import Medium
from videollm.encodings.memory import MemoryCache
from videollm.encodings.places import cache_directory, open_cache, open_disk_cache
from videollm.errors import ConfigError
from videollm.media import Frames, ReadOptions, load_medium, read_ahead, read_frames
from videollm.values import FrameStates
from videollm.video import DecodeLimits

Clips = tuple[Path, Path]
Reopen = Callable[[], EncodedCache]
Told = Callable[[Medium], dict[str, Any]]
USUAL = ReadOptions()


@pytest.fixture
def reopen(disk: DiskCache) -> Reopen:
    """Opens the cache on disk as a new run would: with nothing in memory."""
    return lambda: EncodedCache(MemoryCache(), DiskCache(disk.directory))


def was_read(medium: Medium) -> bool:
    assert (medium.read_s > 0) == (medium.vision_s > 0)
    return medium.read_s > 0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_later_run_answers_the_same_without_reading(
    tiny_checkpoint: Path, clip_files: Clips, reopen: Reopen, dtype: str
) -> None:
    model = load_model(tiny_checkpoint, dtype=dtype)
    plain, first, later = (VideoChat(model, clip_files, cache=cache) for cache in (None, reopen(), reopen()))
    answers = [chat.ask("What happens?", max_new_tokens=9) for chat in (plain, first, later)]
    assert {answer.text for answer in answers} == {answers[0].text}
    assert [answer.usage.seconds["read"] > 0 for answer in answers] == [True, True, False]
    assert [answer.usage.seconds["vision"] > 0 for answer in answers] == [True, True, False]
    for before, after in zip(plain.videos, later.videos, strict=True):
        assert after.tokens_KD.dtype == before.tokens_KD.dtype
        assert torch.equal(after.tokens_KD, before.tokens_KD)
        assert torch.equal(after.spans_K2, before.spans_K2)


def test_a_later_run_is_told_all_that_the_first_was(
    model: VideoLLM, clip_files: Clips, reopen: Reopen, told: Told
) -> None:
    options = ReadOptions(end_s=60.0, max_visual_tokens=7)
    first, later = (load_medium(model, clip_files[0], options, cache=reopen()) for _ in range(2))
    assert first.notices
    assert told(later) == told(first)
    assert [was_read(medium) for medium in (first, later)] == [True, False]


def test_a_copy_is_found_and_spoken_of_by_its_own_name(
    model: VideoLLM, clip_files: Clips, reopen: Reopen, tmp_path: Path
) -> None:
    copied = shutil.copy(clip_files[0], tmp_path / "elsewhere.mp4")
    options = ReadOptions(end_s=60.0)
    load_medium(model, clip_files[0], options, cache=reopen())
    found = load_medium(model, copied, options, cache=reopen())
    assert not was_read(found)
    assert found.encoded.source == str(copied)
    assert (
        found.notices
        == load_medium(model, read_frames(copied, model.config.video, model.config.image, options)).notices
    )


def test_what_was_found_on_the_disk_stays_in_memory(
    model: VideoLLM, clip_files: Clips, reopen: Reopen, disk: DiskCache
) -> None:
    load_medium(model, clip_files[0], cache=reopen())
    cache = reopen()
    found = load_medium(model, clip_files[0], cache=cache)
    disk.clear()
    assert load_medium(model, clip_files[0], cache=cache).encoded.tokens_KD is found.encoded.tokens_KD


@pytest.mark.parametrize(
    "options",
    [
        ReadOptions(start_s=0.5),
        ReadOptions(end_s=1.5),
        ReadOptions(fps=3.0),
        ReadOptions(max_frames=2),
        ReadOptions(max_visual_tokens=5),
        ReadOptions(backend="pyav"),
    ],
    ids=lambda options: str(options).partition("(")[2],
)
def test_other_options_are_read_anew(
    model: VideoLLM, clip_files: Clips, reopen: Reopen, options: ReadOptions
) -> None:
    load_medium(model, clip_files[0], cache=reopen())
    assert was_read(load_medium(model, clip_files[0], options, cache=reopen()))


@pytest.mark.parametrize(
    ("options", "same"),
    [
        (ReadOptions(fps=2.0), ReadOptions(fps=2)),
        (ReadOptions(max_frames=3), ReadOptions(max_frames=np.int64(3))),  # type: ignore[arg-type]
        (USUAL, ReadOptions(limits=DecodeLimits(seconds=123.0))),
    ],
    ids=["a number is a number", "of numpy too", "limits change nothing"],
)
def test_options_that_give_the_same_are_not(
    model: VideoLLM, clip_files: Clips, reopen: Reopen, options: ReadOptions, same: ReadOptions
) -> None:
    load_medium(model, clip_files[0], options, cache=reopen())
    assert not was_read(load_medium(model, clip_files[0], same, cache=reopen()))


def test_other_weights_settings_and_content_are_read_anew(
    model: VideoLLM, tiny_checkpoint: Path, clip_files: Clips, reopen: Reopen
) -> None:
    load_medium(model, clip_files[0], cache=reopen())
    other = load_model(tiny_checkpoint)
    assert not was_read(load_medium(other, clip_files[0], cache=reopen()))
    other.config.video = replace(other.config.video, fps=3.0)
    assert was_read(load_medium(other, clip_files[0], cache=reopen()))
    other.config.video = model.config.video
    with torch.no_grad():
        next(other.projector.parameters()).add_(1)
    assert was_read(load_medium(other, clip_files[0], cache=reopen()))
    assert was_read(load_medium(model, clip_files[1], cache=reopen()))


def test_a_picture_in_memory_is_kept_too(model: VideoLLM, reopen: Reopen, told: Told) -> None:
    picture = Image.effect_noise((50, 30), 90).convert("RGB")
    first, later = (load_medium(model, picture, cache=reopen()) for _ in range(2))
    assert told(later) == told(first)
    assert not was_read(later)


def test_a_damaged_file_is_encoded_again(
    model: VideoLLM, clip_files: Clips, reopen: Reopen, disk: DiskCache, told: Told
) -> None:
    first = load_medium(model, clip_files[0], cache=reopen())
    (path,) = (disk.directory / FORMAT).iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    again = load_medium(model, clip_files[0], cache=reopen())
    assert was_read(again)
    assert told(again) == told(first)
    assert not was_read(load_medium(model, clip_files[0], cache=reopen()))


def test_a_file_that_changes_while_it_is_read_is_not_kept(
    model: VideoLLM, clip_files: Clips, disk: DiskCache, tmp_path: Path
) -> None:
    growing = tmp_path / "growing.mp4"
    shutil.copy(clip_files[0], growing)

    class Replaced(EncodedCache):
        """The file becomes another one after it was hashed and before it is read."""

        def get(self, key: EncodingKey) -> Medium | None:
            shutil.copy(clip_files[1], growing)
            return super().get(key)

    load_medium(model, growing, cache=Replaced(MemoryCache(), disk))
    assert disk.contents()[FORMAT].entries == 0


def test_frames_are_read_ahead_unless_the_disk_knows_them(
    model: VideoLLM, clip_files: Clips, reopen: Reopen, told: Told
) -> None:
    video, image = model.config.video, model.config.image
    ahead = read_ahead(clip_files[0], video, image, USUAL, reopen())
    assert isinstance(ahead.frames, Frames)
    first = load_medium(model, clip_files[0], cache=reopen(), ahead=ahead)
    assert first.read_s == ahead.frames.seconds
    again = read_ahead(clip_files[0], video, image, USUAL, reopen())
    assert again.frames is None
    later = load_medium(model, clip_files[0], cache=reopen(), ahead=again)
    assert told(later) == told(first)
    assert not was_read(later)


def test_frames_read_ahead_of_another_content_are_not_taken(
    model: VideoLLM, clip_files: Clips, reopen: Reopen, tmp_path: Path, told: Told
) -> None:
    path = tmp_path / "clip.mp4"
    shutil.copy(clip_files[0], path)
    ahead = read_ahead(path, model.config.video, model.config.image, USUAL, reopen())
    shutil.copy(clip_files[1], path)
    found = load_medium(model, path, cache=reopen(), ahead=ahead)
    expected = load_medium(model, clip_files[1])
    assert torch.equal(found.encoded.tokens_KD, expected.encoded.tokens_KD)


def test_what_a_model_reads_anew_for_each_question_comes_along(
    model: VideoLLM, clip_files: Clips, reopen: Reopen, tmp_path: Path
) -> None:
    class WithStates(EncodedCache):
        """Keeps a medium as a model that reads questions would have made it."""

        def put(self, key: EncodingKey, medium: Medium) -> None:
            states = FrameStates(torch.ones(2, 3, 4), medium.encoded.plan, 7)
            super().put(key, replace(medium, encoded=replace(medium.encoded, states=states)))

    cache = reopen()
    load_medium(model, clip_files[0], cache=WithStates(cache.memory, cache.disk))
    copied = shutil.copy(clip_files[0], tmp_path / "elsewhere.mp4")
    states = load_medium(model, copied, cache=reopen()).encoded.states
    assert states is not None
    assert torch.equal(states.states_TNC, torch.ones(2, 3, 4))
    assert states.max_visual_tokens == 7


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_what_was_kept_comes_back_to_the_model_s_device(
    tiny_checkpoint: Path, clip_files: Clips, reopen: Reopen
) -> None:
    model = load_model(tiny_checkpoint, device="cuda")
    first, later = (load_medium(model, clip_files[0], cache=reopen()).encoded for _ in range(2))
    assert (later.tokens_KD.device, later.spans_K2.device) == (model.device, model.device)
    assert torch.equal(later.tokens_KD, first.tokens_KD)


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A user of whom the system knows nothing, as in some containers."""
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    for name in ("VIDEOLLM_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    os.setreuid(2**31 - 7, 0)
    yield
    os.setreuid(0, 0)


def test_the_cache_lies_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIDEOLLM_CACHE_MB", "3")
    monkeypatch.setenv("VIDEOLLM_CACHE", str(tmp_path / "own"))
    disk = open_cache().disk
    assert disk is not None
    assert (disk.directory, disk.max_bytes) == (tmp_path / "own" / "encodings", 3 << 20)
    monkeypatch.delenv("VIDEOLLM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg" / "videollm"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_directory() == tmp_path / ".cache" / "videollm"


@pytest.mark.usefixtures("homeless")
def test_without_a_home_directory_encoded_videos_stay_in_memory(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ConfigError, match="set \\$VIDEOLLM_CACHE to a directory"):
        cache_directory()
    assert open_cache().disk is None
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("size", ["much", "-1", "1.5", "1e3", "²"])
def test_a_size_that_is_no_whole_number_is_refused(monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    monkeypatch.setenv("VIDEOLLM_CACHE_MB", size)
    for opened in (open_cache, open_disk_cache):
        with pytest.raises(ConfigError, match="whole number of at least 0, got"):
            opened()
