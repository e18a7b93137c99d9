"""Temporal soft attention: the formula taken literally, what leaves a video as it is, windows, cost, and settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM, CLIPVisionModel

import videollm
from videollm.errors import CheckpointError, ConfigError
from videollm.model import VideoLLM, VideoLLMConfig
from videollm.model import temporal as temporal_module
from videollm.model.settings import TemporalSettings
from videollm.model.temporal import TemporalAttention
from videollm_train.assemble import assemble
from videollm_train.settings import Assembly

POCKET = Path(videollm.__file__).parent / "pocket"
WIDTH, HEADS = 24, 4
SIZES = {"hidden_size": 12, "heads": 3}


def make_attention(alpha=0.7, width=WIDTH, **settings):
    torch.manual_seed(1)
    module = TemporalAttention(TemporalSettings(**{"hidden_size": 32, "heads": HEADS} | settings), width)
    for weight in module.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    torch.nn.init.constant_(module.alpha, alpha)
    return module


def random_tokens(frames=7, places=5, width=WIDTH, seed=0):
    return torch.randn(frames, places, width, generator=torch.Generator().manual_seed(seed))


def taken_literally(module, tokens_TPC):
    """The formula, one place, head and frame after the other, in double precision."""
    module, tokens_TPC = module.double(), tokens_TPC.double()
    frames, places, width = tokens_TPC.shape
    window = frames if module.window_frames is None else module.window_frames
    inner, outer = module.query.out_features // HEADS, width // HEADS
    result = tokens_TPC.clone()
    for place in range(places):
        x = tokens_TPC[:, place]
        q, k = module.query(x), module.key(x)
        for head in range(HEADS):
            mine, values = slice(head * inner, (head + 1) * inner), slice(head * outer, (head + 1) * outer)
            for frame in range(frames):
                near = [other for other in range(frames) if abs(other - frame) <= window]
                weights = torch.stack([q[frame, mine] @ k[other, mine] for other in near]) / inner**0.5
                seen = sum(w * x[other, values] for w, other in zip(weights.softmax(0), near, strict=True))
                result[frame, place, values] += module.alpha * (seen - x[frame, values])
    return result


@pytest.fixture
def few_at_a_time(monkeypatch):
    """Room for one place at a time."""
    monkeypatch.setattr(temporal_module, "_CHUNK_NUMBERS", 1)


@torch.no_grad()
@pytest.mark.parametrize("window_frames", [None, 1, 2, 3, 5, 6, 100])
@pytest.mark.parametrize("hidden_size", [4, WIDTH, 32])
def test_it_is_the_formula_taken_literally(window_frames, hidden_size):
    module, tokens = make_attention(window_frames=window_frames, hidden_size=hidden_size), random_tokens()
    found = module(tokens)
    torch.testing.assert_close(found, taken_literally(module, tokens).float())
    assert (found - tokens).abs().max() > 0.1


@pytest.mark.parametrize("window_frames", [None, 2])
def test_gradients_are_those_of_the_formula(window_frames):
    module = make_attention(window_frames=window_frames).double()
    weights = [module.alpha, module.query.weight, module.key.weight, module.query.bias]
    found, expected = [], []
    for function, gradients in ((module, found), (lambda x: taken_literally(module, x), expected)):
        tokens = random_tokens().double().requires_grad_()
        gradients += torch.autograd.grad(function(tokens).pow(3).sum(), [tokens, *weights])
    torch.testing.assert_close(found, expected)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_shut_gate_changes_nothing(dtype):
    tokens = random_tokens().to(dtype)
    assert make_attention(alpha=0).to(dtype)(tokens).equal(tokens)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("window_frames", [None, 1, 2])
@pytest.mark.parametrize("frames", [1, 2, 7])
def test_an_image_and_a_still_video_are_unchanged_to_the_bit_at_any_gate(frames, window_frames, dtype):
    module = make_attention(alpha=-3.3, window_frames=window_frames).to(dtype)
    tokens = random_tokens(frames=1).to(dtype).expand(frames, -1, -1)
    assert module(tokens).equal(tokens)


@torch.no_grad()
def test_places_are_alike_and_do_not_see_one_another():
    module, tokens = make_attention(), random_tokens()
    order = torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(module(tokens[:, order]), module(tokens)[:, order])
    changed = tokens.clone()
    changed[:, 2] = random_tokens(seed=9)[:, 2]
    torch.testing.assert_close(module(changed)[:, [0, 1, 3, 4]], module(tokens)[:, [0, 1, 3, 4]])


@torch.no_grad()
def test_without_a_window_it_does_not_know_the_order_of_frames():
    module, tokens = make_attention(), random_tokens()
    torch.testing.assert_close(module(tokens.flip(0)), module(tokens).flip(0))


@torch.no_grad()
@pytest.mark.parametrize("window_frames", [None, 2])
def test_the_result_does_not_depend_on_how_many_places_are_worked_on_together(window_frames, request):
    module, tokens = make_attention(window_frames=window_frames), random_tokens()
    whole = module(tokens)
    request.getfixturevalue("few_at_a_time")
    torch.testing.assert_close(module(tokens), whole)


@pytest.mark.parametrize("window_frames", [1, 2, 3, 9, 10])
def test_a_frame_outside_the_window_has_no_influence_at_all(window_frames):
    module, tokens = make_attention(window_frames=window_frames), random_tokens(frames=11)
    before = module(tokens)
    for frame in range(11):
        changed = tokens.clone()
        changed[frame] = 5 * random_tokens(frames=11, seed=3)[frame]
        differs = (module(changed) != before).flatten(1).any(1)
        near = (torch.arange(11) - frame).abs() <= window_frames
        assert differs.tolist() == near.tolist()


def test_no_gradient_comes_from_outside_the_window():
    module, tokens = make_attention(window_frames=2), random_tokens(frames=11).requires_grad_()
    (gradient,) = torch.autograd.grad(module(tokens)[5].square().sum(), tokens)
    assert gradient.flatten(1).any(1).tolist() == [3 <= frame <= 7 for frame in range(11)]


@torch.no_grad()
def test_the_cost_of_a_window_grows_with_the_frames_and_without_one_faster():
    def flops(frames, window_frames):
        with FlopCounterMode(display=False) as counter:
            make_attention(window_frames=window_frames)(random_tokens(frames=frames))
        return counter.get_total_flops()

    # Four frames look together; at both ends of a video they see fewer.
    assert flops(160, 3) - flops(80, 3) == flops(240, 3) - flops(160, 3) > 0
    assert flops(160, None) - flops(80, None) < flops(240, None) - flops(160, None)


class Largest(TorchDispatchMode):
    """Notes the size of the largest tensor that was made."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.numbers = max(self.numbers, result.numel())
        return result


@torch.no_grad()
@pytest.mark.usefixtures("few_at_a_time")
def test_nothing_larger_than_the_tokens_is_made_of_a_long_video():
    tokens = random_tokens(frames=300)
    with Largest() as largest:
        make_attention(window_frames=8, hidden_size=2 * WIDTH)(tokens)
    assert largest.numbers == tokens.numel()


def test_gradients_open_the_gate_first_and_then_reach_queries_and_keys():
    module, tokens, target = make_attention(alpha=0), random_tokens(), random_tokens(seed=5)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)

    def backward():
        optimizer.zero_grad()
        (module(tokens) - target).square().sum().backward()
        return {name for name, weight in module.named_parameters() if weight.grad.any()}

    assert backward() == {"alpha"}
    optimizer.step()
    # A shift of all keys of a place alike leaves its softmax as it is.
    assert backward() >= {"alpha", "query.weight", "query.bias", "key.weight"}


@pytest.mark.parametrize("alpha", [0.0, 0.7])
def test_half_precision_comes_close_and_keeps_its_type(alpha):
    module, tokens = make_attention(alpha=alpha), random_tokens()
    exact = module(tokens)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = module(tokens)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, exact, atol=0.05, rtol=0.05)
    with torch.autocast("cpu", torch.bfloat16):
        assert module(tokens.bfloat16()).dtype == torch.bfloat16
    half = module.bfloat16()(tokens.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), exact, atol=0.05, rtol=0.05)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head": 2}, "unknown temporal setting 'head': did you mean heads"),
        ({"window": 2}, "unknown temporal setting 'window': did you mean window_frames"),
        ({"heads": 0}, "heads must be a whole number of at least 1"),
        ({"hidden_size": 250}, "temporal.heads must divide temporal.hidden_size 250, got 8"),
        ({"window_frames": 0}, "window_frames must be a whole number of at least 1"),
        ({"layers": 2}, "temporal.layers must be a list of layer numbers, or null for all, got 2"),
        ({"layers": []}, "temporal.layers must be a list of layer numbers"),
        ({"layers": ["last"]}, "temporal.layers must be a list of layer numbers"),
    ],
)
def test_wrong_settings_are_refused(make_config, settings, message):
    with pytest.raises(ConfigError, match=message):
        make_config(temporal=settings)


def test_heads_have_to_divide_the_encoders_width():
    with pytest.raises(ConfigError, match="must divide the encoder's width 20, got 8"):
        TemporalAttention(TemporalSettings(), 20)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((0, 5, WIDTH), "must have T of at least 1, got the shape .0, 5, 24."),
        ((7, 0, WIDTH), "must have P of at least 1"),
        ((7, WIDTH), "tokens_TPC must be a tensor .T, P, C. of a floating dtype, got .7, 24."),
    ],
)
def test_tokens_without_a_frame_or_of_a_wrong_shape_are_refused(shape, message):
    with pytest.raises(ConfigError, match=message):
        make_attention()(torch.zeros(shape))


def test_it_is_off_by_default_and_in_a_checkpoint_that_does_not_know_it(make_config, model, tmp_path):
    older = json.loads((POCKET / "config.json").read_text("utf-8"))
    del older["temporal"]
    (tmp_path / "config.json").write_text(json.dumps(older))
    assert VideoLLMConfig.from_pretrained(tmp_path).temporal is None
    assert make_config().temporal is None
    assert not any("temporal" in name for name in model.state_dict())
    with pytest.raises(ConfigError, match="temporal settings must be a mapping, got True"):
        make_config(temporal=True)


@pytest.mark.parametrize("settings", [None, {}, SIZES | {"layers": [0, -1], "window_frames": 2}])
def test_the_settings_are_saved(make_config, tmp_path, settings):
    config = make_config(temporal=settings)
    config.save_pretrained(tmp_path)
    loaded = VideoLLMConfig.from_pretrained(tmp_path)
    assert loaded == config
    assert loaded.temporal == (None if settings is None else TemporalSettings(**settings))


@pytest.fixture
def small_heads():
    """Settings that fit the tiny model's encoder, 32 wide."""
    return {"hidden_size": 12, "heads": 4, "window_frames": 3}


def test_a_model_with_it_starts_as_the_one_without_and_then_differs(
    model, make_model, noise, plan, small_heads
):
    other = make_model(temporal=small_heads)
    weights = {name: w for name, w in other.state_dict().items() if "temporal" in name}
    assert {name.split(".")[1] for name in weights} == {"temporal"}
    assert set(other.state_dict()) == set(model.state_dict()) | set(weights)
    missing, unexpected = other.load_state_dict(model.state_dict(), strict=False)
    assert set(missing) == set(weights)
    assert not unexpected
    before = model.encode_video(noise(), plan)
    assert other.encode_video(noise(), plan).tokens_KD.equal(before.tokens_KD)
    shut = other.fingerprint()
    with torch.no_grad():
        other.vision.temporal["0"].alpha.fill_(1.0)
    opened = other.encode_video(noise(), plan)
    assert not opened.tokens_KD.equal(before.tokens_KD)
    assert len({opened.fingerprint, shut, before.fingerprint}) == 3


def test_the_fingerprint_depends_on_settings_that_leave_the_weights_alike(make_model, small_heads):
    models = [
        make_model(temporal=small_heads | change) for change in ({}, {"heads": 2}, {"window_frames": 2})
    ]
    states = [model.state_dict() for model in models]
    assert all(torch.equal(states[0][name], state[name]) for state in states for name in states[0])
    assert len({model.fingerprint() for model in models}) == 3


def test_a_model_with_it_loads_bit_for_bit_and_one_without_is_refused(
    model, make_model, tmp_path, noise, plan, small_heads
):
    saved = make_model(temporal=small_heads)
    with torch.no_grad():
        saved.vision.temporal["2"].alpha.fill_(0.4)
    saved.save_pretrained(tmp_path / "with")
    loaded = VideoLLM.from_pretrained(tmp_path / "with")
    assert all(map(torch.equal, loaded.state_dict().values(), saved.state_dict().values()))
    assert loaded.fingerprint() == saved.fingerprint()
    tokens = [net.encode_video(noise(), plan).tokens_KD for net in (loaded, saved)]
    assert tokens[0].equal(tokens[1])
    model.save_pretrained(tmp_path / "without")
    with pytest.raises(CheckpointError, match=r"missing \(vision.temporal.0.alpha"):
        VideoLLM.from_pretrained(tmp_path / "without", config=saved.config)


def test_pretrained_towers_are_assembled_into_a_model_with_it(
    make_config, tokenizer, noise, plan, tmp_path, small_heads
):
    config = make_config()
    vision, language = (
        CLIPVisionModel(config.vision_config),
        AutoModelForCausalLM.from_config(config.text_config),
    )
    vision.save_pretrained(tmp_path / "vision")
    language.save_pretrained(tmp_path / "language")
    tokenizer.save_pretrained(tmp_path / "language")
    made = []
    for name, temporal in (("with", {"temporal": small_heads}), ("without", {})):
        settings = {"compressor": config.compressor.to_dict(), **temporal}
        towers = {"vision": tmp_path / "vision", "language": tmp_path / "language"}
        assemble(Assembly(stage="assemble", model=settings, **towers), tmp_path / name)
        made.append(VideoLLM.from_pretrained(tmp_path / name))
    fresh, plain = made
    assert AutoConfig.from_pretrained(tmp_path / "with").temporal == TemporalSettings(**small_heads)
    assert not any(attention.alpha.any() for attention in fresh.vision.temporal.values())
    assert all(attention.query.weight.any() for attention in fresh.vision.temporal.values())
    frames = torch.randn(5, 3, 40, 40)
    with torch.no_grad():
        assert fresh.vision(frames).patches_TPC.equal(plain.vision(frames).patches_TPC)
