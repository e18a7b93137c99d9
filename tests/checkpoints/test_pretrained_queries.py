"""A compressor's Q-Former that begins with BLIP-2's published one."""

import pytest
import torch
from transformers import Blip2ForConditionalGeneration

from videollm.errors import ConfigError, UnsupportedModelError
from videollm.model.compressor import Compressor
from videollm.model.compressor_config import CompressorConfig
from videollm_train.pretrained_queries import begin_with_blip2

from .published_models import save_published

SIZES = {"layers": 2, "hidden_size": 24, "heads": 4, "intermediate_size": 48, "cross_attention_every": 2}


@pytest.fixture(scope="module")
def blip2(tmp_path_factory):
    directory = tmp_path_factory.mktemp("blip2") / "model"
    save_published("blip-2", directory)
    return directory


def compressor(encoder_width, kind="merge+qformer", num_queries=4, **sizes):
    torch.manual_seed(1)
    config = CompressorConfig(kind=kind, num_queries=num_queries, qformer={**SIZES, **sizes}, memory_layers=0)
    return Compressor(config, encoder_width=encoder_width, grid=(4, 4))


def test_queries_and_layers_are_the_published_ones(blip2):
    """Also fewer layers than it has, and fewer queries."""
    ours, theirs = compressor(32), Blip2ForConditionalGeneration.from_pretrained(blip2)
    begun = begin_with_blip2(ours, str(blip2))
    assert torch.equal(ours.qformer.queries_KH, theirs.query_tokens[0, :4])
    own, published = (
        dict(ours.qformer.transformer.named_parameters()),
        dict(theirs.qformer.named_parameters()),
    )
    assert all(torch.equal(weight, published[name]) for name, weight in own.items())
    assert begun.taken == ours.qformer.queries_KH.numel() + sum(weight.numel() for weight in own.values())
    assert begun.fresh == tuple(
        name for name, _ in ours.qformer.named_parameters() if name.startswith("token_") or "time" in name
    )


def test_what_looks_at_a_vit_of_another_width_stays_fresh(blip2):
    ours, theirs = compressor(20), Blip2ForConditionalGeneration.from_pretrained(blip2)
    begun = begin_with_blip2(ours, str(blip2))
    published = dict(theirs.qformer.named_parameters())
    for name, weight in ours.qformer.transformer.named_parameters():
        same = weight.shape == published[name].shape and torch.equal(weight, published[name])
        assert same != (f"transformer.{name}" in begun.fresh), name
    fresh = [name for name in begun.fresh if name.startswith("transformer.")]
    assert len(fresh) == 2  # key and value of the one layer that looks at frames
    assert all(".crossattention." in name for name in fresh)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"kind": "merge"}, "has a Q-Former"),
        ({"hidden_size": 16}, "hidden_size 16 instead of 24"),
        (
            {"heads": 2, "cross_attention_every": 1},
            "heads 2 instead of 4, cross_attention_every 1 instead of 2",
        ),
        ({"layers": 4}, "layers 4 instead of at most 3"),
        ({"num_queries": 9}, "num_queries 9 instead of at most 8"),
    ],
)
def test_other_sizes_are_refused(blip2, changed, message):
    with pytest.raises(ConfigError, match=message):
        begin_with_blip2(compressor(32, **changed), str(blip2))


def test_another_model_is_refused(tmp_path):
    save_published("llava", tmp_path / "model")
    with pytest.raises(UnsupportedModelError, match="not BLIP-2"):
        begin_with_blip2(compressor(32), str(tmp_path / "model"))
