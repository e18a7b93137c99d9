"""Configurations round-trip exactly, and a misspelt or impossible setting is refused with a hint."""

from __future__ import annotations

import copy
import json

import pytest
from transformers import AutoConfig

from videollm.errors import ConfigError
from videollm.model import VideoLLMConfig


@pytest.fixture
def config(make_config):
    return make_config(
        video={"fps": 1.5, "max_visual_tokens": 99},
        image={"size": 40, "std": [0.5, 0.4, 0.3]},
        prompt={"vision_end": None, "write_times": False},
        projector={"layers": 3, "hidden_size": 20},
        compressor={"kind": "qformer"},
        vision_layer=-1,
    )


def test_a_saved_configuration_loads_as_the_same(config, tmp_path):
    config.save_pretrained(tmp_path)
    loaded = VideoLLMConfig.from_pretrained(tmp_path)
    assert loaded == config
    for name in ("video", "image", "prompt", "projector", "compressor"):
        assert getattr(loaded, name) == getattr(config, name)
    assert loaded.text_config.hidden_size == 48
    assert loaded.vision_config.patch_size == 8


def test_saving_twice_gives_the_same_file(config, tmp_path):
    config.save_pretrained(tmp_path / "first")
    VideoLLMConfig.from_pretrained(tmp_path / "first").save_pretrained(tmp_path / "second")
    first, second = (
        json.loads((tmp_path / name / "config.json").read_text()) for name in ("first", "second")
    )
    assert first == second


def test_where_its_towers_once_lay_is_not_written(config, tmp_path):
    config.text_config._name_or_path = config.vision_config._name_or_path = "/home/someone/towers"
    config.save_pretrained(tmp_path)
    assert "someone" not in (tmp_path / "config.json").read_text("utf-8")


def test_auto_config_knows_the_type(config, tmp_path, model):
    config.save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path) == config


def test_configurations_that_differ_in_one_nested_setting_are_not_equal(config):
    values = config.to_dict()
    assert VideoLLMConfig(**values) == config == copy.deepcopy(config)
    values["compressor"]["qformer"]["dropout"] = 0.5
    assert VideoLLMConfig(**values) != config


def test_the_picture_size_follows_the_encoder(make_config):
    assert make_config().image.size == 40


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"video": {"fsp": 2}}, "unknown video setting 'fsp': did you mean fps"),
        ({"image": {"sizes": 40}}, "unknown image setting 'sizes': did you mean size"),
        ({"prompt": {"place_holder": "x"}}, "did you mean placeholder"),
        ({"projector": {"layer": 1}}, "did you mean layers"),
        ({"compressor": {"num_querys": 3}}, "did you mean num_queries"),
        ({"vidoe": {}}, "did you mean video"),
        ({"video": {"fps": 0}}, "video.fps must be above 0, got 0"),
        ({"video": {"max_frames": 0}}, "max_frames must be a whole number of at least 1"),
        ({"video": 3}, "video settings must be a mapping, got 3"),
        ({"image": {"size": 224}}, "image.size 224 is not the encoder's vision_config.image_size 40"),
        ({"image": {"std": [1, 1, 0]}}, "image.std must be above 0"),
        ({"image": {"mean": [1, 1]}}, "image.mean must be three numbers"),
        (
            {"text_config": {"model_type": "lama"}},
            "unknown text_config.model_type 'lama': did you mean llama",
        ),
        (
            {"text_config": {"vocab_size": 5}},
            "placeholder_token_id must be an id of the language model's vocabulary",
        ),
        (
            {"vision_config": {"num_attention_heads": 5}},
            "vision_config: .*not a multiple of the number of attention",
        ),
    ],
)
def test_wrong_settings_are_refused_in_one_line_that_helps(make_config, parts, message):
    with pytest.raises(ConfigError, match=message) as caught:
        make_config(**parts)
    assert "\n" not in str(caught.value)
