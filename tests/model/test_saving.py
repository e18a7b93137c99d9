"""Saving and loading the whole model: bit for bit, and strict."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from videollm.errors import CheckpointError
from videollm.model import VideoLLM
from videollm.values import Message

QUESTION = [Message("user", "<video>\nWhat does the red star do?")]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("model_type", ["llama", "qwen2", "gpt2"])
def test_a_saved_model_loads_bit_for_bit(
    make_model, encode, processor, tmp_path, tied, model_type, inputs_of
):
    model = make_model(text_config={"model_type": model_type, "tie_word_embeddings": tied})
    model.save_pretrained(tmp_path)
    loaded = VideoLLM.from_pretrained(tmp_path)
    assert loaded.config == model.config
    assert loaded.generation_config == model.generation_config
    ours, theirs = model.state_dict(), loaded.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    shared = loaded.get_input_embeddings().weight is loaded.get_output_embeddings().weight
    assert shared == tied
    video = model.encode_video(torch.zeros(5, 3, 40, 40), encode().plan)
    batch = processor(QUESTION, [video])
    with torch.no_grad():
        assert model(**inputs_of(batch)).logits.equal(loaded(**inputs_of(batch)).logits)


def test_auto_classes_load_it(model, tmp_path):
    model.save_pretrained(tmp_path)
    for auto in (AutoModelForCausalLM, AutoModelForImageTextToText):
        assert isinstance(auto.from_pretrained(tmp_path), VideoLLM)


def test_it_loads_in_another_dtype(model, noise, plan, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = VideoLLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert {weight.dtype for weight in loaded.parameters()} == {torch.bfloat16}
    assert loaded.encode_video(noise(), plan).tokens_KD.dtype == torch.bfloat16


def spoil(model, directory, change):
    model.save_pretrained(directory)
    weights = load_file(directory / "model.safetensors")
    change(weights)
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("kept", ["projector.norm.bias", "language_model.model.embed_tokens.weight"])
def test_a_missing_weight_is_named(model, tmp_path, kept):
    spoil(model, tmp_path, lambda weights: weights.pop(kept))
    with pytest.raises(CheckpointError, match=f"missing .*{kept}"):
        VideoLLM.from_pretrained(tmp_path)


def test_an_unexpected_weight_is_named(model, tmp_path):
    spoil(model, tmp_path, lambda weights: weights.update(stray=torch.zeros(1)))
    with pytest.raises(CheckpointError, match=r"1 unexpected \(stray\)"):
        VideoLLM.from_pretrained(tmp_path)


def test_a_weight_of_the_wrong_shape_is_named_with_both_shapes(model, tmp_path):
    def widen(weights):
        weights["projector.norm.bias"] = torch.zeros(99)

    spoil(model, tmp_path, widen)
    with pytest.raises(CheckpointError, match=r"projector.norm.bias \(99,\) instead of \(24,\)"):
        VideoLLM.from_pretrained(tmp_path)


def test_loading_info_is_still_given_to_those_who_ask(model, tmp_path):
    model.save_pretrained(tmp_path)
    _, info = VideoLLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"]


def test_weights_in_several_files_load_the_same(model, tmp_path):
    model.save_pretrained(tmp_path, max_shard_size="100KB")
    assert (tmp_path / "model.safetensors.index.json").exists()
    loaded = VideoLLM.from_pretrained(tmp_path)
    assert all(map(torch.equal, loaded.state_dict().values(), model.state_dict().values()))


def test_where_answers_end_is_saved_with_the_model(model, processor, tmp_path):
    model.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "generation_config.json").read_text())
    assert saved["eos_token_id"] == list(processor.stop_ids)
    assert saved["suppress_tokens"] == [processor.placeholder_id]
