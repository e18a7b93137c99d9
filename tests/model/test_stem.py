"""The convolutional stem: what a frame may see of its neighbours, alone and inside the encoder and the model."""

import dataclasses
import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import CLIPVisionConfig

from videollm.errors import ConfigError
from videollm.model import VideoLLM, VideoLLMConfig
from videollm.model.encoder import FrameEncoder
from videollm.model.settings import StemSettings, TemporalSettings
from videollm.model.stem import ConvStem, neighbours

TOWER = CLIPVisionConfig(
    hidden_size=24,
    intermediate_size=40,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_channels=10,
    image_size=4,
    patch_size=1,
)
STEM = StemSettings(channels=(6, 10), strides=(2, 3), frames=3)


def make_encoder(stem=STEM, **settings):
    torch.manual_seed(3)
    return FrameEncoder(TOWER, stem=stem, cls_layers=2, **settings).eval()


@pytest.fixture
def frames_T3HW():
    return torch.randn(7, 3, 24, 24, generator=torch.Generator().manual_seed(0))


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.sampled_from([1, 3, 5]))
def test_neighbours_are_those_of_the_own_video(lengths, count):
    found = neighbours(itertools.pairwise((0, *itertools.accumulate(lengths))), count)
    assert found.shape == (sum(lengths), count)
    assert found[:, count // 2].tolist() == list(range(sum(lengths)))
    start = 0
    for length in lengths:
        video = found[start : start + length]
        assert video.min() == start
        assert video.max() == start + length - 1
        for offset in range(-(count // 2), count // 2 + 1):
            wanted = [start + min(max(frame + offset, 0), length - 1) for frame in range(length)]
            assert video[:, offset + count // 2].tolist() == wanted
        start += length


def test_the_picture_is_as_small_as_the_strides_say(frames_T3HW):
    stem = ConvStem(STEM)
    assert stem(frames_T3HW, neighbours([(0, 7)], 3)).shape == (7, 10, 4, 4)
    assert STEM.stride == 6


@torch.no_grad()
def test_fresh_weights_keep_the_signal(frames_T3HW):
    torch.manual_seed(0)
    hidden = frames_T3HW
    for layer in ConvStem(StemSettings(channels=(24, 48, 96), strides=(2, 2, 2))).layers:
        hidden = torch.nn.functional.gelu(layer(hidden))
        assert 0.2 < hidden.std() < 2


@torch.no_grad()
@pytest.mark.parametrize("strength", [0.5, 30])
def test_the_picture_stays_as_strong_as_positions_however_strong_the_convolutions(frames_T3HW, strength):
    stem = ConvStem(STEM)
    for layer in stem.layers:
        layer.weight *= strength
    picture = stem(frames_T3HW, neighbours([(0, 7)], 3))
    torch.testing.assert_close(picture.square().mean(1), torch.ones(7, 4, 4), rtol=0.05, atol=0)


@torch.no_grad()
@pytest.mark.parametrize("temporal", [None, TemporalSettings(hidden_size=16, heads=2)])
@pytest.mark.parametrize("chunk_frames", [1, 3, 50])
def test_videos_encoded_together_are_as_each_alone(frames_T3HW, chunk_frames, temporal):
    together = make_encoder(chunk_frames=chunk_frames, temporal=temporal)
    for attention in together.temporal.values():
        attention.alpha.fill_(0.7)
    found = together(frames_T3HW, [(0, 4), (4, 5), (5, 7)])
    together.chunk_frames = 4
    alone = [together(video) for video in frames_T3HW.split([4, 1, 2])]
    torch.testing.assert_close(found.patches_TPC, torch.cat([video.patches_TPC for video in alone]))
    torch.testing.assert_close(found.cls_LTC, torch.cat([video.cls_LTC for video in alone], dim=1))


@torch.no_grad()
def test_a_frame_sees_its_neighbours_and_no_others(frames_T3HW):
    encoder = make_encoder()
    before = encoder(frames_T3HW).patches_TPC
    frames_T3HW[3] += 1
    changed = (encoder(frames_T3HW).patches_TPC != before).flatten(1).any(1)
    assert changed.tolist() == [False, False, True, True, True, False, False]


@torch.no_grad()
def test_the_order_of_the_neighbours_matters(frames_T3HW):
    encoder = make_encoder()
    forwards, backwards = encoder(frames_T3HW[:3]), encoder(frames_T3HW[:3].flip(0))
    assert not torch.allclose(forwards.patches_TPC[1], backwards.patches_TPC[1], atol=1e-4)


@torch.no_grad()
def test_an_image_is_a_still_video(frames_T3HW):
    encoder = make_encoder()
    image = encoder(frames_T3HW[:1]).patches_TPC
    still = encoder(frames_T3HW[:1].expand(5, -1, -1, -1)).patches_TPC
    torch.testing.assert_close(still, image.expand(5, -1, -1))


@torch.no_grad()
def test_blocks_are_without_effect_at_first_and_see_around_each_place(frames_T3HW):
    seen = neighbours([(0, 7)], 3)
    torch.manual_seed(3)
    plain = ConvStem(STEM)
    deeper = ConvStem(dataclasses.replace(STEM, blocks=(0, 2)))
    deeper.load_state_dict(plain.state_dict(), strict=False)
    picture = plain(frames_T3HW, seen)
    assert picture.equal(deeper(frames_T3HW, seen))
    for block in deeper.blocks[1]:
        block.tell.weight.normal_()
    looked = deeper(frames_T3HW, seen)
    assert looked.shape == picture.shape
    frames_T3HW[:, :, :6, :6] += 1  # what the first place of the picture is made of, a rim of one pixel aside
    unblocked, blocked = plain(frames_T3HW, seen) - picture, deeper(frames_T3HW, seen) - looked
    assert unblocked[:, :, 2, 2].abs().max() == 0
    assert blocked[:, :, 2, 2].abs().max() > 0


def test_gradients_reach_the_stem(frames_T3HW):
    encoder = make_encoder(chunk_frames=2)
    encoder(frames_T3HW, [(0, 5), (5, 7)]).patches_TPC.square().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in encoder.stem.parameters())


def test_the_tower_stays_transformers_own(frames_T3HW):
    encoder = make_encoder()
    picture = encoder.stem(frames_T3HW, neighbours([(0, 7)], 3))
    states = encoder.tower(pixel_values=picture, output_hidden_states=True).hidden_states
    torch.testing.assert_close(encoder(frames_T3HW).patches_TPC, states[-2][:, 1:])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": (8, 0)}, "stem.channels must be a list of numbers from 1 up, got \\[8, 0\\]"),
        ({"channels": (), "strides": ()}, "one number for each convolution, .* got 0, 0 and 0"),
        ({"strides": (2, 2)}, "one number for each convolution, .* got 3, 2 and 0"),
        ({"blocks": (1, 1)}, "one number for each convolution, .* got 3, 3 and 2"),
        ({"blocks": (1, -1, 0)}, "stem.blocks must be a list of numbers from 0 up, got \\[1, -1, 0\\]"),
        ({"frames": 2}, "stem.frames must be odd, got 2"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        StemSettings(**settings)


def test_a_stem_that_does_not_fit_the_tower_is_refused():
    with pytest.raises(ConfigError, match="last channels, 12, are not the encoder's num_channels 10"):
        make_encoder(StemSettings(channels=(12,), strides=(6,)))


STEM_PARTS = {
    "vision_config": {"num_channels": 10, "image_size": 4, "patch_size": 1},
    "stem": {"channels": [6, 10], "strides": [2, 3], "blocks": [1, 0], "frames": 3},
}


def test_a_models_frames_are_as_large_as_stem_and_tower_need(make_config):
    config = make_config(**STEM_PARTS)
    assert config.image.size == 24
    assert VideoLLMConfig(**config.to_dict()) == config
    with pytest.raises(ConfigError, match="image_size 4 times the stem's stride 6"):
        make_config(**STEM_PARTS, image={"size": 4})


def test_a_model_with_a_stem_is_saved_and_loaded(make_model, encode, tmp_path):
    model = make_model(**STEM_PARTS)
    model.save_pretrained(tmp_path)
    loaded = VideoLLM.from_pretrained(tmp_path)
    frames = torch.randn(5, 3, 24, 24)
    plan = encode().plan
    assert loaded.fingerprint() == model.fingerprint()
    assert loaded.encode_video(frames, plan).tokens_KD.equal(model.encode_video(frames, plan).tokens_KD)


def test_a_fresh_models_stem_keeps_the_signal(make_config, frames_T3HW):
    torch.manual_seed(1)
    model = VideoLLM(make_config(**STEM_PARTS))
    assert model.vision.stem(frames_T3HW, neighbours([(0, 7)], 3)).std() > 0.2
    assert not model.vision.stem.blocks[0][0].tell.weight.any()
