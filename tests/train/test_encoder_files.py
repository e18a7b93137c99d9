"""A frame encoder comes back from disk with everything that it is made of."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from transformers import CLIPVisionConfig

from videollm.errors import CheckpointError
from videollm.model.encoder import FrameEncoder
from videollm.model.settings import MatchingSettings, StemSettings, TemporalSettings
from videollm_train.encoder_files import load_encoder, save_encoder

STEM = StemSettings(channels=(4, 6), strides=(2, 2), frames=3)
MATCHING = MatchingSettings(channels=5, stride=2, radius=1, hidden_size=8)
TEMPORAL = TemporalSettings(hidden_size=8, heads=2)


def encoder(
    stem: StemSettings | None,
    temporal: TemporalSettings | None,
    matching: MatchingSettings | None = None,
) -> FrameEncoder:
    config = CLIPVisionConfig(
        image_size=4 if stem else 16,
        patch_size=1 if stem else 4,
        num_channels=6 if stem else 3,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
    )
    made = FrameEncoder(config, stem=stem, matching=matching, temporal=temporal)
    for gate in made.temporal.values():
        torch.nn.init.constant_(gate.alpha, 0.5)
    if made.matching is not None:
        torch.nn.init.normal_(made.matching.tell[-1].weight)
    return made.eval()


@pytest.mark.parametrize(
    "parts",
    [
        (None, None),
        (STEM, None),
        (None, TEMPORAL),
        (STEM, TEMPORAL),
        (STEM, None, MATCHING),
        (STEM, TEMPORAL, MATCHING),
    ],
)
def test_what_is_loaded_sees_what_was_saved(tmp_path: Path, parts: tuple) -> None:
    saved, loaded = encoder(*parts), encoder(*parts)
    save_encoder(saved, tmp_path)
    frames = torch.randn(3, 3, 16, 16)
    with torch.no_grad():
        assert not saved(frames).patches_TPC.equal(loaded(frames).patches_TPC)
        load_encoder(loaded, tmp_path)
        assert saved(frames).patches_TPC.equal(loaded(frames).patches_TPC)


@pytest.mark.parametrize(
    ("saved", "wanted", "part"),
    [
        ((None, TEMPORAL), (None, None), "temporal"),
        ((None, None), (STEM, None), "stem"),
        ((STEM, None), (None, None), "stem"),
        ((STEM, None, MATCHING), (STEM, None), "matching"),
    ],
)
def test_an_encoder_of_other_parts_is_refused(tmp_path: Path, saved, wanted, part: str) -> None:
    save_encoder(encoder(*saved), tmp_path)
    other = encoder(*wanted)
    other.tower = encoder(*saved).tower
    with pytest.raises(CheckpointError, match=f"must both have '{part}', or neither"):
        load_encoder(other, tmp_path)


def test_a_stem_is_given_blocks_and_sees_what_it_saw(tmp_path: Path) -> None:
    plain, deeper = encoder(STEM, None), encoder(dataclasses.replace(STEM, blocks=(1, 2)), None)
    save_encoder(plain, tmp_path)
    load_encoder(deeper, tmp_path)
    frames = torch.randn(3, 3, 16, 16)
    with torch.no_grad():
        assert deeper(frames).patches_TPC.equal(plain(frames).patches_TPC)
    save_encoder(deeper, tmp_path / "deeper")
    with pytest.raises(CheckpointError, match=r"not made as the settings say, first: blocks\.0\.0\.look"):
        load_encoder(plain, tmp_path / "deeper")


@pytest.mark.parametrize(
    ("wanted", "part"), [((STEM, TEMPORAL), "temporal"), ((STEM, None, MATCHING), "matching")]
)
def test_what_was_not_pretrained_and_has_no_effect_at_first_stays_fresh(
    tmp_path: Path, wanted: tuple, part: str
) -> None:
    save_encoder(encoder(STEM, None), tmp_path)
    loaded = encoder(*wanted)
    before = {name: weight.clone() for name, weight in getattr(loaded, part).state_dict().items()}
    load_encoder(loaded, tmp_path)
    assert all(weight.equal(before[name]) for name, weight in getattr(loaded, part).state_dict().items())
