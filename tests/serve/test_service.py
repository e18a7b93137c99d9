"""A service says which model it holds, what that can see, and where its controls start."""

from __future__ import annotations

from pathlib import Path

import pytest

from videollm.model.modeling import VideoLLM
from videollm_serve.service import ChatService, card_summary


def test_the_description_names_the_model_its_size_its_place_and_its_card(service: ChatService) -> None:
    assert service.description.startswith("tiny: 117,")
    assert "float32 on cpu. It sees nothing." in service.description


def test_a_model_without_a_card_says_so(tiny_model: VideoLLM) -> None:
    assert "no model card" in ChatService(tiny_model, "tiny").description


def test_the_first_paragraph_of_the_card_is_its_summary(tiny_checkpoint: Path, tmp_path: Path) -> None:
    assert card_summary(tiny_checkpoint) == "A model with random weights. It sees nothing."
    assert card_summary(tmp_path) == ""
    (tmp_path / "README.md").write_text("# Only a title\n", encoding="utf-8")
    assert card_summary(tmp_path) == ""


def test_the_controls_start_from_the_checkpoint(service: ChatService, tiny_model: VideoLLM) -> None:
    defaults, video = service.defaults, tiny_model.config.video
    assert (defaults.fps, defaults.max_frames) == (video.fps, video.max_frames)
    compressor = tiny_model.config.compressor
    everything = compressor.memory_layers + video.max_segments * compressor.num_queries
    assert defaults.most_visual_tokens == defaults.max_visual_tokens == everything


@pytest.mark.parametrize("frames", [1, 200])
def test_the_frame_control_reaches_at_least_as_far_as_the_checkpoint(
    tiny_model: VideoLLM, frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = type(tiny_model.config.video)(max_frames=frames)
    monkeypatch.setattr(tiny_model.config, "video", video)
    assert ChatService(tiny_model).defaults.most_frames == max(128, frames)
