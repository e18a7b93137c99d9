"""The frame encoder against transformers' vision model run in one piece."""

import pytest
import torch
from transformers import CLIPVisionConfig

from videollm.errors import ConfigError
from videollm.model.encoder import FrameEncoder

CONFIG = CLIPVisionConfig(
    hidden_size=24,
    intermediate_size=40,
    num_hidden_layers=3,
    num_attention_heads=2,
    image_size=20,
    patch_size=5,
)


@pytest.fixture
def frames_T3HW():
    return torch.randn(5, 3, 20, 20, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("select_layer", [-1, -2, 0])
def test_patches_and_class_tokens_are_the_towers_hidden_states(frames_T3HW, select_layer):
    encoder = FrameEncoder(CONFIG, select_layer=select_layer, cls_layers=3).eval()
    with torch.no_grad():
        found = encoder(frames_T3HW)
        states = encoder.tower(pixel_values=frames_T3HW, output_hidden_states=True).hidden_states
    assert len(states) == 4
    torch.testing.assert_close(found.patches_TPC, states[select_layer][:, 1:])
    torch.testing.assert_close(found.cls_LTC, torch.stack([state[:, 0] for state in states[1:]]))


@pytest.mark.parametrize("chunk_frames", [1, 2, 5, 100])
def test_the_result_does_not_depend_on_how_many_frames_pass_together(frames_T3HW, chunk_frames):
    encoder = FrameEncoder(CONFIG, cls_layers=2).eval()
    with torch.no_grad():
        whole = encoder(frames_T3HW)
        encoder.chunk_frames = chunk_frames
        parts = encoder(frames_T3HW)
    torch.testing.assert_close(parts.patches_TPC, whole.patches_TPC)
    torch.testing.assert_close(parts.cls_LTC, whole.cls_LTC)


def test_shapes_follow_from_the_config(frames_T3HW):
    encoder = FrameEncoder(CONFIG, cls_layers=0)
    found = encoder(frames_T3HW)
    assert encoder.grid == (4, 4)
    assert found.patches_TPC.shape == (5, 16, encoder.width)
    assert found.cls_LTC.shape == (0, 5, 24)


def test_frames_are_cast_to_the_towers_dtype(frames_T3HW):
    encoder = FrameEncoder(CONFIG, cls_layers=1).to(torch.bfloat16)
    found = encoder(frames_T3HW)
    assert found.patches_TPC.dtype == found.cls_LTC.dtype == torch.bfloat16


def test_gradients_reach_the_tower_through_chunks(frames_T3HW):
    encoder = FrameEncoder(CONFIG, cls_layers=1, chunk_frames=2)
    encoder(frames_T3HW).patches_TPC.square().sum().backward()
    assert encoder.tower.embeddings.patch_embedding.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"select_layer": 4}, "select_layer must be from -4 to 3, got 4"),
        ({"select_layer": -5}, "select_layer must be from -4 to 3, got -5"),
        ({"cls_layers": 5}, "4 class tokens of a frame to remember, got 5"),
        ({"chunk_frames": 0}, "chunk_frames must be at least 1, got 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        FrameEncoder(CONFIG, **settings)
