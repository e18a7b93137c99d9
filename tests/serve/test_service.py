"""A service says which model it holds, what that can see, and where its controls start; several have several names."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videollm.errors import ConfigError, UnsupportedModelError, VideoLLMError
from videollm.model.modeling import VideoLLM
from videollm_serve.loading import find_models, load_models
from videollm_serve.service.models import Models, tell_apart
from videollm_serve.service.service import ChatService, card_summary

DIRECTORIES = st.lists(st.sampled_from(["a", "b", "a-b", "b-2"]), min_size=1, max_size=4)


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


def test_models_are_found_by_their_names_in_order(tiny_model: VideoLLM) -> None:
    services = [ChatService(tiny_model, name) for name in ("b", "a")]
    models = Models(services)
    assert (models.names, models.first, len(models)) == (("b", "a"), services[0], 2)
    assert [*models] == [models["b"], models["a"]] == services
    with pytest.raises(UnsupportedModelError, match="no model 'c' here: 'b', 'a' are served"):
        models["c"]
    assert models.close(grace_s=0)


@pytest.mark.parametrize(
    ("directories", "names"),
    [
        (["/runs/mine/final"], ["final"]),
        (["/runs/mine/final", "/runs/yours/final", "/runs/third"], ["mine-final", "yours-final", "third"]),
        (["/a/x/final", "/b/x/final"], ["a-x-final", "b-x-final"]),
        (["/pocket", "/runs/pocket"], ["pocket", "runs-pocket"]),
        (["/a-b", "/a/b", "/b"], ["a-b", "a-b-2", "b"]),
        (["/"], ["model"]),
    ],
)
def test_models_of_one_name_are_told_apart_by_what_stands_above_them(
    directories: list[str], names: list[str]
) -> None:
    assert tell_apart([Path(one) for one in directories]) == names


@given(st.lists(DIRECTORIES, min_size=1, max_size=5, unique_by=tuple))
def test_different_directories_have_different_names(directories: list[list[str]]) -> None:
    names = tell_apart([Path("/", *parts) for parts in directories])
    assert len({*names}) == len(names) == len(directories)
    for name, parts in zip(names, directories, strict=True):
        assert re.sub(r"-\d+$", "", "-".join(parts)).endswith(re.sub(r"-\d+$", "", name))


def test_models_are_loaded_in_order_and_share_what_is_kept(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copies = [shutil.copytree(tiny_checkpoint, tmp_path / name / "copy") for name in ("mine", "yours")]
    found = find_models([str(copy) for copy in copies])
    models = load_models(found, {"device": "cpu"}, keeps_encoded=False)
    assert models.names == ("mine-copy", "yours-copy")
    assert len({service.memory for service in models}) == 1
    assert [line for line in capsys.readouterr().err.splitlines() if line.startswith("loading")] == [
        f"loading {copy} …" for copy in copies
    ]
    models.close(grace_s=0)


def test_a_model_that_cannot_be_served_is_named_before_others_are_loaded(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedModelError, match=r"^nowhere: there is no such directory"):
        find_models([str(tiny_checkpoint), "nowhere"])
    with pytest.raises(ConfigError, match=f"^--model {tiny_checkpoint} is given twice"):
        find_models([str(tiny_checkpoint), str(tiny_checkpoint)])
    broken = shutil.copytree(tiny_checkpoint, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(VideoLLMError, match=str(broken)):
        load_models(find_models([str(broken)]), {"device": "cpu"}, keeps_encoded=False)
