"""What is wrong with a published checkpoint is said in one line, and nothing is loaded by halves."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from videollm import load_model
from videollm.checkpoints.importing import import_model
from videollm.errors import VideoLLMError

from .published_models import save_published


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    directory = tmp_path_factory.mktemp("good") / "model"
    save_published("llava_onevision", directory)
    return directory


@pytest.fixture
def copy(good, tmp_path):
    return shutil.copytree(good, tmp_path / "copy")


def change_weights(directory, change):
    weights = load_file(directory / "model.safetensors")
    change(weights)
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})


def change_json(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def cut_file(directory):
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def lose_shard(directory):
    weights = load_file(directory / "model.safetensors")
    (directory / "model.safetensors").unlink()
    first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    names = sorted(weights)
    save_file({name: weights[name] for name in names[:20]}, directory / first, metadata={"format": "pt"})
    index = {name: first if name in names[:20] else second for name in names}
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))


def rename(weights):
    weights["multi_modal_projector.linear_3.weight"] = weights.pop("multi_modal_projector.linear_2.weight")


def reshape(weights):
    weights["image_newline"] = weights["image_newline"][:-1].clone()


def forget(weights):
    del weights["language_model.model.norm.weight"]


def without_image_token(directory):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        path = directory / name
        path.write_text(path.read_text().replace("<image>", "<picture>"))


def lose_weights(directory):
    (directory / "model.safetensors").unlink()


def leave_a_pointer(directory):
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    (directory / "model.safetensors").write_text(text)


def with_config(**values):
    return lambda directory: change_json(directory / "config.json", **values)


def with_weights(change):
    return lambda directory: change_weights(directory, change)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (cut_file, r"model\.safetensors: the file is broken"),
        (leave_a_pointer, r"model\.safetensors: a pointer of Git LFS"),
        (lose_weights, r"neither model\.safetensors nor .* is there"),
        (lose_shard, r"1 of 2 files of weights are missing \(model-00002-of-00002\.safetensors\)"),
        (with_weights(rename), r"1 tensors are none of LLaVA-OneVision's \(multi_modal_projector\.linear_3"),
        (with_weights(reshape), r"wrong shape \(whole_frames\.newline \(63,\) instead of \(64,\)"),
        (with_weights(forget), r"1 missing \(language_model\.model\.norm\.weight\)"),
        (with_config(model_type="dancer"), r"models of type 'dancer' cannot be loaded"),
        (with_config(projector_hidden_act="relu"), r"projector_hidden_act 'relu' is not supported"),
        (without_image_token, r"no special token '<image>'"),
    ],
)
def test_one_line_says_what_is_wrong(spoil, said, copy):
    spoil(copy)
    with pytest.raises(VideoLLMError, match=said) as caught:
        load_model(str(copy), device="cpu")
    assert "\n" not in str(caught.value)


@pytest.fixture
def hub(good, tmp_path, monkeypatch):
    """The hub's cache with one model, and no network."""
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    snapshot = cache / "models--someone--tiny" / "snapshots" / ("0" * 40)
    shutil.copytree(good, snapshot)
    refs = cache / "models--someone--tiny" / "refs"
    refs.mkdir()
    (refs / "main").write_text("0" * 40)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.mark.usefixtures("hub")
def test_a_model_in_the_hubs_cache_is_loaded_by_its_name_without_a_network():
    assert load_model("someone/tiny", device="cpu").config.compressor.kind == "frames"


@pytest.mark.usefixtures("hub")
def test_a_model_that_is_not_there_is_said_in_one_line():
    with pytest.raises(VideoLLMError, match="no such directory, it is not in the hub's cache") as caught:
        load_model("someone/other", device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "spoil", [cut_file, lose_shard, with_weights(rename), with_weights(reshape), with_weights(forget)]
)
def test_what_is_wrong_is_not_imported(spoil, copy, tmp_path):
    spoil(copy)
    with pytest.raises(VideoLLMError) as caught:
        import_model(copy, tmp_path / "own")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]
