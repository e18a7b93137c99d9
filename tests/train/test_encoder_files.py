"""A frame encoder comes back from disk with everything that it is made of."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import CLIPVisionConfig

from videollm.errors import CheckpointError
from videollm.model.encoder import FrameEncoder
from videollm.model.settings import StemSettings, TemporalSettings
from videollm_train.encoder_files import load_encoder, save_encoder

STEM = StemSettings(channels=(4, 6), strides=(2, 2), frames=3)
TEMPORAL = TemporalSettings(hidden_size=8, heads=2)


def encoder(stem: StemSettings | None, temporal: TemporalSettings | None) -> FrameEncoder:
    config = CLIPVisionConfig(
        image_size=4 if stem else 16,
        patch_size=1 if stem else 4,
        num_channels=6 if stem else 3,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
    )
    made = FrameEncoder(config, stem=stem, temporal=temporal)
    for gate in made.temporal.values():
        torch.nn.init.constant_(gate.alpha, 0.5)
    return made.eval()


@pytest.mark.parametrize("stem", [None, STEM])
@pytest.mark.parametrize("temporal", [None, TEMPORAL])
def test_what_is_loaded_sees_what_was_saved(
    tmp_path: Path, stem: StemSettings | None, temporal: TemporalSettings | None
) -> None:
    saved, loaded = encoder(stem, temporal), encoder(stem, temporal)
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
    ],
)
def test_an_encoder_of_other_parts_is_refused(tmp_path: Path, saved, wanted, part: str) -> None:
    save_encoder(encoder(*saved), tmp_path)
    other = encoder(*wanted)
    other.tower = encoder(*saved).tower
    with pytest.raises(CheckpointError, match=f"must both have '{part}', or neither"):
        load_encoder(other, tmp_path)


def test_temporal_attention_that_was_not_pretrained_stays_fresh(tmp_path: Path) -> None:
    save_encoder(encoder(None, None), tmp_path)
    loaded = encoder(None, TEMPORAL)
    before = {name: weight.clone() for name, weight in loaded.temporal.state_dict().items()}
    load_encoder(loaded, tmp_path)
    assert all(weight.equal(before[name]) for name, weight in loaded.temporal.state_dict().items())
