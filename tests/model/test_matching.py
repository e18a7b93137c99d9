"""Matching: what moved is found again where it went, and nothing else changes."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPVisionConfig

from videollm.errors import ConfigError
from videollm.model import VideoLLM, VideoLLMConfig
from videollm.model.encoder import FrameEncoder
from videollm.model.matching import FrameMatching
from videollm.model.settings import MatchingSettings, StemSettings, TemporalSettings

TOWER = CLIPVisionConfig(
    hidden_size=24,
    intermediate_size=40,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_channels=10,
    image_size=4,
    patch_size=1,
)
STEM = StemSettings(channels=(6, 8, 10), strides=(2, 2, 2), frames=3)
MATCHING = MatchingSettings(channels=6, stride=4, radius=2, frames=3, hidden_size=12)


def make_encoder(matching=MATCHING, *, telling=True, **options):
    torch.manual_seed(5)
    encoder = FrameEncoder(TOWER, stem=STEM, matching=matching, cls_layers=2, **options).eval()
    if telling and matching is not None:
        torch.nn.init.normal_(encoder.matching.tell[-1].weight)
    return encoder


@pytest.fixture
def frames_T3HW():
    return torch.randn(7, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@settings(max_examples=40, deadline=None)
@given(st.integers(-2, 2), st.integers(-2, 2), st.integers(0, 10**6))
def test_what_moved_is_found_where_it_went(right, down, seed):
    """Whole places of what is compared, so that the same is found again to the last bit."""
    matching = FrameMatching(MATCHING, stride=8, channels=10)
    wide = torch.randn(1, 3, 80, 80, generator=torch.Generator().manual_seed(seed))
    before = matching.look(wide[..., 16:64, 16:64])
    after = matching.look(wide[..., 16 - 4 * down : 64 - 4 * down, 16 - 4 * right : 64 - 4 * right])
    looks = torch.nn.functional.normalize(torch.cat([before, after]), dim=1)
    shares = matching._compare(looks[:1], looks[1:])[0, :-1]
    found = shares.argmax(0)[3:-3, 3:-3]
    assert (found == (down + 2) * 5 + right + 2).all()
    torch.testing.assert_close(shares.sum(0), torch.ones(12, 12))


def test_beyond_the_rim_nothing_is_alike():
    matching = FrameMatching(MATCHING, stride=8, channels=10)
    looks = torch.ones(1, 6, 3, 3) / 6**0.5
    shares = matching._compare(looks, looks)[0, :-1].unflatten(0, (5, 5))
    inside = shares[:, :, 0, 0]
    assert (inside[2:, 2:] > inside[0, 0] * 100).all()
    torch.testing.assert_close(inside[0], inside[0, :1].expand(5))


@torch.no_grad()
def test_fresh_weights_change_nothing(frames_T3HW):
    fresh = make_encoder(telling=False)
    without = make_encoder(None, telling=False)
    without.stem.load_state_dict(fresh.stem.state_dict())
    without.tower.load_state_dict(fresh.tower.state_dict())
    assert fresh(frames_T3HW).patches_TPC.equal(without(frames_T3HW).patches_TPC)


@torch.no_grad()
@pytest.mark.parametrize("chunk_frames", [1, 3, 50])
@pytest.mark.parametrize("frames", [3, 5])
def test_videos_encoded_together_are_as_each_alone(frames_T3HW, chunk_frames, frames):
    matching = MatchingSettings(channels=6, stride=4, radius=2, frames=frames, hidden_size=12)
    together = make_encoder(matching, chunk_frames=chunk_frames)
    found = together(frames_T3HW, [(0, 4), (4, 5), (5, 7)])
    together.chunk_frames = 4
    alone = [together(video) for video in frames_T3HW.split([4, 1, 2])]
    torch.testing.assert_close(found.patches_TPC, torch.cat([video.patches_TPC for video in alone]))
    torch.testing.assert_close(found.cls_LTC, torch.cat([video.cls_LTC for video in alone], dim=1))


@torch.no_grad()
def test_a_frame_is_compared_with_its_neighbours_and_no_others(frames_T3HW):
    matching = MatchingSettings(channels=6, stride=4, radius=2, frames=5, hidden_size=12)
    encoder = make_encoder(matching)
    before = encoder(frames_T3HW).patches_TPC
    frames_T3HW[6] += torch.randn(3, 32, 32)
    changed = (encoder(frames_T3HW).patches_TPC != before).flatten(1).any(1)
    assert changed.tolist() == [False, False, False, False, True, True, True]


@torch.no_grad()
def test_an_image_is_a_still_video(frames_T3HW):
    encoder = make_encoder()
    image = encoder(frames_T3HW[:1]).patches_TPC
    still = encoder(frames_T3HW[:1].expand(5, -1, -1, -1)).patches_TPC
    torch.testing.assert_close(still, image.expand(5, -1, -1))


def test_gradients_reach_all_of_it(frames_T3HW):
    encoder = make_encoder(chunk_frames=2)
    encoder(frames_T3HW, [(0, 5), (5, 7)]).patches_TPC.square().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in encoder.matching.parameters())


def test_a_model_with_it_comes_back_from_disk_and_starts_without_effect(tmp_path, frames_T3HW):
    text = {"model_type": "llama", "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    config = VideoLLMConfig(
        vision_config=TOWER.to_dict(),
        text_config={**text, "num_attention_heads": 2, "vocab_size": 20},
        stem={"channels": [6, 8, 10], "strides": [2, 2, 2], "frames": 3},
        matching={"channels": 6, "stride": 4, "radius": 2, "hidden_size": 12},
    )
    model = VideoLLM(config)
    assert not model.vision.matching.tell[-1].weight.any()
    fingerprint = model.fingerprint()
    torch.nn.init.normal_(model.vision.matching.tell[-1].weight)
    assert model.fingerprint() != fingerprint
    model.save_pretrained(tmp_path)
    loaded = VideoLLM.from_pretrained(tmp_path)
    assert loaded.config.matching == MATCHING
    assert loaded.fingerprint() == model.fingerprint()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"frames": 2}, "matching.frames must be odd and at least 3, got 2"),
        ({"frames": 1}, "matching.frames must be odd and at least 3, got 1"),
        ({"stride": 3}, "matching.stride must be even, got 3"),
        ({"radius": 0}, "radius must be a whole number of at least 1, got 0"),
    ],
)
def test_impossible_settings_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        MatchingSettings(**values)


@pytest.mark.parametrize(
    ("stem", "stride", "told"), [(None, 4, "there is no stem"), (STEM, 6, "the stem has 8")]
)
def test_places_that_do_not_fit_the_stem_are_refused(stem, stride, told):
    with pytest.raises(ConfigError, match=f"must divide the stride of the stem, got {stride}; {told}"):
        FrameEncoder(TOWER, stem=stem, matching=MatchingSettings(stride=stride))


@torch.no_grad()
@pytest.mark.parametrize(
    ("parts", "looked"),
    [
        # A frame before each edge and one behind it have other neighbours in a part than in the whole.
        ({"matching": None}, 7 + 2),
        ({}, 7 + 2 * 1),
        ({"matching": dataclasses.replace(MATCHING, frames=5)}, 7 + 2 * 2),
        ({"temporal": TemporalSettings(hidden_size=12, heads=4, window_frames=2)}, 7 + 3 + 4),
    ],
    ids=["stem", "matching", "matching two frames away", "temporal attention"],
)
def test_runs_of_frames_are_seen_as_videos_of_their_own(frames_T3HW, parts, looked):
    encoder = make_encoder(**{"matching": MATCHING} | parts)
    for look in encoder.temporal.values():
        torch.nn.init.constant_(look.alpha, 1.0)
    runs = [(0, 7), (0, 3), (3, 7)]
    alone = [encoder(frames_T3HW[slice(*run)]) for run in runs]
    counted = []
    encoder.stem.register_forward_hook(lambda module, inputs, picture: counted.append(len(picture)))
    found = encoder(frames_T3HW, runs)
    torch.testing.assert_close(found.patches_TPC, torch.cat([one.patches_TPC for one in alone]))
    torch.testing.assert_close(found.cls_LTC, torch.cat([one.cls_LTC for one in alone], dim=1))
    assert sum(counted) == looked
