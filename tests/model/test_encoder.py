"""The frame encoder against transformers' vision model run in one piece."""

import pytest
import torch
from transformers import CLIPVisionConfig

from videollm.errors import ConfigError
from videollm.model.encoder import FrameEncoder
from videollm.model.settings import TemporalSettings

CONFIG = CLIPVisionConfig(
    hidden_size=24,
    intermediate_size=40,
    num_hidden_layers=3,
    num_attention_heads=2,
    image_size=20,
    patch_size=5,
)


TEMPORAL = {"hidden_size": 16, "heads": 2}


def make_pair(alpha=0.8, layers=None, window_frames=None, **settings):
    """The same tower without temporal attention and with it, its gates open by ``alpha``."""
    torch.manual_seed(4)
    temporal = TemporalSettings(**TEMPORAL, layers=layers, window_frames=window_frames)
    plain, seeing = (
        FrameEncoder(CONFIG, cls_layers=4, temporal=chosen, **settings).eval() for chosen in (None, temporal)
    )
    # Fresh weights make frames of noise nearly the same.
    for name, weight in seeing.named_parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.3)
        if name.endswith("alpha"):
            torch.nn.init.constant_(weight, alpha)
    plain.tower.load_state_dict(seeing.tower.state_dict())
    return plain, seeing


def assert_same(found, expected, compare=torch.testing.assert_close):
    compare(found.patches_TPC, expected.patches_TPC)
    compare(found.cls_LTC, expected.cls_LTC)


def assert_equal(found, expected):
    assert found.shape == expected.shape
    assert found.equal(expected)


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


@torch.no_grad()
@pytest.mark.parametrize("chunk_frames", [2, 5])
@pytest.mark.parametrize("select_layer", [0, 1, 2, 3, -1, -2])
def test_with_temporal_gates_shut_every_hidden_state_is_transformers_own(
    frames_T3HW, select_layer, chunk_frames
):
    plain, seeing = make_pair(alpha=0, select_layer=select_layer, chunk_frames=chunk_frames)
    found = seeing(frames_T3HW)
    assert_same(found, plain(frames_T3HW), assert_equal)
    states = seeing.tower(pixel_values=frames_T3HW, output_hidden_states=True).hidden_states
    torch.testing.assert_close(found.patches_TPC, states[select_layer][:, 1:])
    torch.testing.assert_close(found.cls_LTC, torch.stack([state[:, 0] for state in states]))


@torch.no_grad()
@pytest.mark.parametrize("window_frames", [None, 2])
@pytest.mark.parametrize("select_layer", [1, 2, -1])
def test_hidden_states_are_those_after_temporal_attention(frames_T3HW, select_layer, window_frames):
    plain, seeing = make_pair(layers=[0, -1], window_frames=window_frames, select_layer=select_layer)
    found = seeing(frames_T3HW)
    # Transformers' own forward, with what a hook of each layer makes of its output.
    for number, layer in enumerate(plain.tower.encoder.layers):
        if number != 1:
            attention = seeing.temporal[str(number)]
            layer.register_forward_hook(lambda layer, inputs, output, attention=attention: attention(output))
    plain.chunk_frames = len(frames_T3HW)
    expected = plain(frames_T3HW)
    assert_same(found, expected)
    before = seeing.tower(pixel_values=frames_T3HW, output_hidden_states=True).hidden_states
    assert (found.patches_TPC - before[select_layer][:, 1:]).abs().max() > 0.1
    assert (found.cls_LTC[1:] - torch.stack([state[:, 0] for state in before[1:]])).abs().amax(
        (1, 2)
    ).min() > 0.1


@torch.no_grad()
@pytest.mark.parametrize("window_frames", [None, 1])
@pytest.mark.parametrize("chunk_frames", [1, 2, 3, 100])
def test_with_temporal_attention_the_result_does_not_depend_on_the_chunks(
    frames_T3HW, chunk_frames, window_frames
):
    _, seeing = make_pair(window_frames=window_frames)
    whole = seeing.double()(frames_T3HW)
    seeing.chunk_frames = chunk_frames
    assert_same(seeing(frames_T3HW), whole)


@torch.no_grad()
def test_an_image_is_encoded_to_the_bit_as_without_temporal_attention(frames_T3HW):
    plain, seeing = make_pair(alpha=5.0)
    assert_same(seeing(frames_T3HW[:1]), plain(frames_T3HW[:1]), assert_equal)
    assert not seeing(frames_T3HW).patches_TPC.equal(plain(frames_T3HW).patches_TPC)


@torch.no_grad()
def test_a_frame_reaches_as_far_as_windows_and_layers_together(frames_T3HW):
    frames = torch.cat([frames_T3HW, frames_T3HW.flip(0)])
    _, seeing = make_pair(layers=[0, 2], window_frames=2, select_layer=-1, chunk_frames=1)
    before = seeing(frames).patches_TPC
    frames[9] = 0
    differs = (seeing(frames).patches_TPC != before).flatten(1).any(1)
    assert differs.tolist() == [frame >= 5 for frame in range(10)]


def test_the_towers_weights_keep_their_names():
    plain, seeing = make_pair(layers=[-1, 0])
    names = set(seeing.state_dict()) - set(plain.state_dict())
    assert set(plain.state_dict()) < set(seeing.state_dict())
    weights = ("alpha", "query.weight", "query.bias", "key.weight", "key.bias")
    assert names == {f"temporal.{layer}.{weight}" for layer in (0, 2) for weight in weights}


def test_gradients_reach_gates_and_tower_through_chunks(frames_T3HW):
    _, seeing = make_pair(alpha=0, select_layer=-1, chunk_frames=2)
    seeing(frames_T3HW).patches_TPC.pow(3).sum().backward()
    assert all(attention.alpha.grad.any() for attention in seeing.temporal.values())
    assert seeing.tower.embeddings.patch_embedding.weight.grad.any()


def test_gradient_checkpointing_of_the_tower_gives_the_same_gradients_with_temporal_attention(frames_T3HW):
    gradients, checkpointed = [], []
    for checkpointing in (False, True):
        _, seeing = make_pair(select_layer=-1)
        if checkpointing:
            tower = seeing.tower
            # Its name from transformers 5.2x on; the older one warns there.
            (getattr(tower, "activation_checkpointing_enable", None) or tower.gradient_checkpointing_enable)()
        for layer in seeing.tower.encoder.layers:
            layer.register_forward_hook(lambda layer, *_: checkpointed.append(layer.gradient_checkpointing))
        seeing.train()(frames_T3HW).patches_TPC.pow(3).sum().backward()
        gradients.append({n: w.grad for n, w in seeing.named_parameters() if w.grad is not None})
    assert set(checkpointed) == {False, True}
    assert any(name.startswith("temporal.0.key") for name in gradients[0])
    torch.testing.assert_close(gradients[1], gradients[0])


@torch.no_grad()
@pytest.mark.parametrize("way", ["bfloat16", "autocast"])
def test_temporal_attention_works_in_half_precision(frames_T3HW, way):
    plain, seeing = make_pair(alpha=0.1)
    exact = seeing(frames_T3HW).patches_TPC
    if way == "bfloat16":
        found = seeing.bfloat16()(frames_T3HW)
        assert found.patches_TPC.dtype == found.cls_LTC.dtype == torch.bfloat16
    else:
        with torch.autocast("cpu", torch.bfloat16):
            found = seeing(frames_T3HW)
            assert found.patches_TPC.dtype == plain(frames_T3HW).patches_TPC.dtype
    similarity = torch.cosine_similarity(found.patches_TPC.float().flatten(), exact.flatten(), dim=0)
    assert similarity > 0.999


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": [3]}, "temporal.layers must be from -3 to 2, got 3"),
        ({"layers": [0, -4]}, "temporal.layers must be from -3 to 2, got -4"),
        ({"heads": 16}, "temporal.heads must divide the encoder's width 24, got 16"),
    ],
)
def test_temporal_settings_that_do_not_fit_the_tower_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        FrameEncoder(CONFIG, temporal=TemporalSettings(**TEMPORAL | settings))
