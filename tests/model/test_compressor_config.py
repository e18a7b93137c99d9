"""The compressor's settings: what is wrong with them is said in one line, and they come back from JSON as they were."""

import dataclasses
import json

import pytest

from videollm.errors import ConfigError
from videollm.model.compressor_config import KINDS, CompressorConfig, QFormerConfig, VQConfig

QFORMER = QFormerConfig(layers=1, hidden_size=14, heads=2, intermediate_size=18)
VQ = VQConfig(codes=9, heads=2, hidden_size=16, time_bins=3, place_bins=2, time_frequencies=5)
CONFIG = CompressorConfig(
    merged_tokens=7, merge_heads=2, num_queries=5, memory_layers=2, qformer=QFORMER, vq=VQ
)


@pytest.mark.parametrize("kind", KINDS)
def test_settings_survive_json(kind):
    config = dataclasses.replace(CONFIG, kind=kind)
    assert CompressorConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        (
            {"kind": "vqq"},
            "kind must be one of merge.qformer, merge, vq, merge.vq, qformer, pool, frames, none, got 'vqq'",
        ),
        ({"merge_method": "k"}, "merge_method must be one of bipartite, kmeans, got 'k'"),
        ({"segments": "x"}, "segments must be one of plan, content, got 'x'"),
        ({"budget_split": "x"}, "budget_split must be one of even, change, got 'x'"),
        ({"vq": {"map": "x"}}, "vq.map must be one of full, random, none, got 'x'"),
        ({"vq": {"code": 3}}, "unknown vq setting 'code': did you mean codes"),
        ({"vq": {"codes": 0}}, "vq.codes must be a whole number of at least 1, got 0"),
        ({"vq": {"adaptive": "yes"}}, "vq.adaptive must be true or false, got 'yes'"),
        ({"vq": None}, "vq settings must be a mapping or a VQConfig, got None"),
        ({"qformer": 3}, "qformer settings must be a mapping or a QFormerConfig, got 3"),
        ({"qformer": VQ}, "qformer settings must be a mapping or a QFormerConfig, got VQConfig"),
        ({"qformer": {"layers": 0}}, "qformer.layers must be a whole number of at least 1, got 0"),
        (
            {"qformer": {"place_frequencies": -1}},
            "qformer.place_frequencies must be a whole number of at least 0",
        ),
        (
            {"qformer": {"proportional_attention": 1}},
            "qformer.proportional_attention must be true or false, got 1",
        ),
        ({"vq": {"longest_period_s": 0.1}}, "vq.shortest_period_s must be above 0 and below"),
        ({"num_query": 3}, "unknown compressor setting 'num_query': did you mean num_queries"),
        ({"xyz": 3}, "unknown compressor setting 'xyz': known are kind"),
        ({"qformer": {"layer": 3}}, "unknown qformer setting 'layer': did you mean layers"),
        ({"merged_tokens": 0}, "compressor.merged_tokens must be a whole number of at least 1, got 0"),
        ({"num_queries": 2.5}, "compressor.num_queries must be a whole number of at least 1, got 2.5"),
        ({"memory_layers": -1}, "compressor.memory_layers must be a whole number of at least 0, got -1"),
        ({"merge_share": 0.7}, "merge_share must be above 0 and at most 0.5, got 0.7"),
        ({"merge_share": "half"}, "merge_share must be above 0 and at most 0.5, got 'half'"),
        ({"qformer": {"heads": 3}}, "heads must divide qformer.hidden_size 256, got 3"),
        ({"qformer": {"dropout": 1}}, "dropout must be a number from 0 to below 1, got 1"),
        ({"qformer": {"shortest_period_s": 0}}, "shortest_period_s must be above 0"),
    ],
)
def test_wrong_settings_are_refused_in_one_clear_line(settings_, message):
    with pytest.raises(ConfigError, match=message) as caught:
        CompressorConfig.from_dict(settings_)
    assert "\n" not in str(caught.value)


def test_settings_that_are_no_mapping_are_refused():
    with pytest.raises(
        ConfigError, match="compressor settings must be a mapping or a CompressorConfig, got 3"
    ):
        CompressorConfig.from_dict(3)


def test_nested_settings_may_be_given_by_name():
    by_name = CompressorConfig(kind="vq", vq={"codes": 16, "adaptive": True}, qformer={"layers": 1})
    assert by_name.vq == VQConfig(codes=16, adaptive=True)
    assert by_name.qformer == QFormerConfig(layers=1)
    assert by_name.needs_scouting
    assert hash(by_name) == hash(CompressorConfig.from_dict(by_name.to_dict()))
    with pytest.raises(ConfigError, match="unknown vq setting 'code': did you mean codes"):
        CompressorConfig(vq={"code": 3})
