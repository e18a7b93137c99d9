"""Evidence of answers: the weights of visual tokens, and the stretches of video that they light."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BitsAndBytesConfig, DynamicCache, PreTrainedModel

from videollm.model import PromptCache, VideoLLM, stream_generate
from videollm.model.attribution import visual_weights
from videollm.model.encoding import VISUAL_PARTS
from videollm.model.evidence import MOST_LIT_SHARE, brightness, cell_edges_s, light
from videollm.values import EncodedVideo, FramePlan, GenerationSettings, Message

QUESTION = [Message("user", "<video>\nWhat does the red star do?")]
EIGHT = GenerationSettings(max_new_tokens=8)


def seen_video(spans_s, *, seconds=20, kind="video"):
    """A video whose tokens stand for these seconds, with a frame each second; an image has one frame."""
    times = (0.0,) if kind == "image" else tuple(map(float, range(seconds)))
    end_s = 0.0 if kind == "image" else float(seconds)
    return EncodedVideo(
        tokens_KD=torch.zeros(len(spans_s), 4),
        spans_K2=torch.tensor(spans_s),
        counts=(len(spans_s),),
        segment_spans_s=((0.0, end_s),),
        memory=0,
        plan=FramePlan(times, ((0, len(times)),), 0.0, end_s, resolved=True, kind=kind),
        fingerprint="",
    )


@st.composite
def weighted_videos(draw):
    """Videos of 1 to 30 frames at any times, with up to 12 weighted tokens anywhere in each."""
    videos, weights = [], []
    for _ in range(draw(st.integers(1, 3))):
        gaps = draw(st.lists(st.floats(0.05, 4.0), min_size=1, max_size=30))
        times = tuple(np.cumsum([0.0, *gaps[1:]]).tolist())
        end_s = times[-1] + gaps[0]
        ends = st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)).map(sorted)
        shares = draw(st.lists(ends, min_size=1, max_size=12))
        plan = FramePlan(times, ((0, len(times)),), 0.0, end_s, resolved=True)
        spans = torch.tensor(shares, dtype=torch.float64) * end_s
        count = len(shares)
        videos.append(
            EncodedVideo(torch.zeros(count, 4), spans.float(), (count,), ((0.0, end_s),), 0, plan, "")
        )
        weights += draw(st.lists(st.floats(0.0, 1.0), min_size=count, max_size=count))
    return weights, videos


@given(weighted_videos())
def test_spans_light_little_of_each_video_and_never_overlap(case):
    weights, videos = case
    spans = light(weights, videos)
    assert len(spans) <= 3
    assert list(spans) == sorted(spans, key=lambda span: -span.score)
    assert sum(span.score for span in spans) <= 1 + 1e-6
    for number, video in enumerate(videos):
        length_s = video.plan.end_s
        own = sorted((span.start_s, span.end_s) for span in spans if span.video == number)
        assert all(0 <= start < end <= length_s for start, end in own)
        assert all(end < start for (_, end), (start, _) in pairwise(own))
        assert sum(end - start for start, end in own) <= MOST_LIT_SHARE * length_s + 1e-6


@given(weighted_videos(), st.sampled_from([0.25, 0.5, 2.0, 1024.0]))
def test_only_the_proportions_of_weights_matter(case, factor):
    weights, videos = case
    scaled = light([weight * factor for weight in weights], videos)
    assert scaled == light(weights, videos)


@given(weighted_videos())
def test_a_heavier_token_never_darkens_its_own_seconds_against_the_others(case):
    weights, (video, *_) = case
    own = np.array(weights[: video.token_count])
    spans = np.asarray(video.token_spans_s)
    edges = cell_edges_s(video.plan)
    heavier = own.copy()
    heavier[0] += 1.0
    gained = brightness(heavier, spans, edges) - brightness(own, spans, edges)
    middles = (edges[:-1] + edges[1:]) / 2
    inside = (spans[0, 0] <= middles) & (middles <= spans[0, 1])
    if inside.any() and not inside.all():
        assert gained[inside].min() >= gained[~inside].max() - 1e-9


def test_the_seconds_of_the_token_that_counts_are_lit():
    video = seen_video([(0.0, 20.0), (3.0, 6.0), (12.0, 14.0)])
    (span,) = light([0.2, 1.0, 0.1], [video])
    assert (span.start_s, span.end_s, span.video) == (3.0, 6.0, 0)
    assert span.score > 0.5


def test_two_things_that_count_are_lit_apart_the_stronger_first():
    video = seen_video([(2.0, 4.0), (15.0, 17.0), (0.0, 20.0)])
    spans = light([0.7, 1.0, 0.1], [video])
    assert [(span.start_s, span.end_s) for span in spans] == [(15.0, 17.0), (2.0, 4.0)]
    assert spans[0].score > spans[1].score


def test_a_thing_that_goes_on_for_long_is_lit_in_part():
    (span,) = light([1.0, 0.1], [seen_video([(4.0, 16.0), (0.0, 20.0)])])
    assert 4.0 <= span.start_s < span.end_s <= 16.0
    assert span.end_s - span.start_s == pytest.approx(MOST_LIT_SHARE * 20)


def test_where_all_tokens_span_the_whole_video_no_second_stands_out():
    assert light([0.3, 1.0, 0.2], [seen_video([(0.0, 20.0)] * 3)]) == ()


def test_weights_of_zero_point_nowhere():
    assert light([0.0, 0.0], [seen_video([(0.0, 5.0), (5.0, 20.0)])]) == ()


def test_a_video_of_three_frames_cannot_be_lit_by_less_than_a_third():
    assert light([1.0, 0.0, 0.0], [seen_video([(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)], seconds=3)]) == ()


def test_the_video_that_counts_is_named_and_an_image_takes_its_share():
    still, moving = seen_video([(0.0, 0.0)], kind="image"), seen_video([(2.0, 5.0), (9.0, 11.0)])
    (span,) = light([3.0, 1.0, 0.0], [still, moving])
    assert (span.video, span.start_s, span.end_s) == (1, 2.0, 5.0)
    assert span.score <= 0.25
    assert light([1.0], [still]) == ()


@pytest.fixture
def answered(model, processor, encode):
    """A prompt with its answer, and the cache that it left."""
    return ask(model, [encode()], QUESTION)


def ask(model, videos, messages, cache=None, settings=EIGHT):
    """Ids of prompt and answer, and the cache that they are in."""
    cache = PromptCache() if cache is None else cache
    prompt = model.processor.render(messages, videos).input_ids
    stream = stream_generate(
        model, prompt, torch.cat([video.tokens_KD for video in videos]), settings, cache=cache
    )
    list(stream)
    return prompt, stream.ids, cache


def weights_of(model, prompt, answer, cache):
    weights = visual_weights(model, cache, [*prompt, *answer], len(prompt))
    assert weights is not None
    return weights


def by_attention_matrices(model, video, ids, prompt_tokens):
    """The same weights from the attention matrices of a reading of everything."""
    model.set_attn_implementation("eager")
    inputs = torch.tensor([ids[:-1]])
    with torch.no_grad():
        output = model(input_ids=inputs, visual_tokens=video.tokens_KD, output_attentions=True)
    places = inputs[0] == model.config.placeholder_token_id
    attention_LHNN = torch.stack([matrix[0] for matrix in output.attentions])
    return attention_LHNN[:, :, prompt_tokens - 1 :][..., places].mean(dim=2).amax(dim=(0, 1))


def test_weights_are_the_attention_of_the_answer_by_the_head_that_pays_most(model, encode, answered):
    prompt, answer, _ = answered
    weights = weights_of(model, *answered)
    expected = by_attention_matrices(model, encode(), [*prompt, *answer], len(prompt))
    assert weights.shape == expected.shape == (encode().token_count,)
    torch.testing.assert_close(weights, expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("length", [1, 16, 17, 18, 40])
def test_answers_of_any_length_are_weighed_as_a_whole(model, encode, answered, length):
    prompt = answered[0]
    letters = [id_ for id_ in range(20, 100) if id_ != model.config.placeholder_token_id]
    answer = letters[:length]
    weights = weights_of(model, prompt, answer, what_was_read(model, encode(), [*prompt, *answer[:-1]]))
    expected = by_attention_matrices(model, encode(), [*prompt, *answer], len(prompt))
    torch.testing.assert_close(weights, expected, atol=1e-6, rtol=1e-4)


def test_the_model_goes_on_with_the_attention_that_it_had(model, answered, monkeypatch):
    def fails(**_):
        raise RuntimeError("no")

    before = {name: part.config._attn_implementation for name, part in parts_with_attention(model)}
    weights_of(model, *answered)
    assert {name: part.config._attn_implementation for name, part in parts_with_attention(model)} == before
    monkeypatch.setattr(model, "forward", fails)
    with pytest.raises(RuntimeError, match="no"):
        weights_of(model, *answered)
    assert {name: part.config._attn_implementation for name, part in parts_with_attention(model)} == before


def parts_with_attention(model):
    return [(name, part) for name, part in model.named_modules() if isinstance(part, PreTrainedModel)]


def test_any_attention_gives_the_same_weights(model, answered):
    fast = weights_of(model, *answered)
    model.set_attn_implementation("eager")
    torch.testing.assert_close(weights_of(model, *answered), fast, atol=1e-6, rtol=1e-3)


def test_the_cache_and_the_weights_of_the_model_stay_as_they_were(model, answered):
    _, _, cache = answered
    before = [
        (layer.keys, layer.values, layer.keys.clone(), layer.values.clone()) for layer in cache.cache.layers
    ]
    ids = list(cache.ids)
    weights_of(model, *answered)
    assert cache.ids == ids
    for layer, (keys, values, old_keys, old_values) in zip(cache.cache.layers, before, strict=True):
        assert layer.keys is keys
        assert layer.values is values
        assert torch.equal(keys, old_keys)
        assert torch.equal(values, old_values)
        assert not values.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())


def test_asking_again_finds_the_same(model, encode, answered):
    first = weights_of(model, *answered)
    again = ask(model, [encode()], QUESTION, answered[2])
    torch.testing.assert_close(weights_of(model, *again), first, atol=1e-6, rtol=1e-3)


def test_every_video_of_a_long_conversation_gets_its_weights(model, encode):
    videos, cache = [encode(0)], PromptCache()
    messages = list(QUESTION)
    for turn in range(4):
        prompt, answer, cache = ask(model, videos, messages, cache)
        weights = weights_of(model, prompt, answer, cache)
        assert len(weights) == sum(video.token_count for video in videos)
        assert (weights >= 0).all()
        assert weights.sum() > 0
        added = "<video>\n" if turn == 1 else ""
        videos += [encode(1)] if added else []
        messages += [Message("assistant", "a ring"), Message("user", f"{added}{'and then? ' * 9}")]


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt2", "opt"])
def test_models_of_several_types_say_what_they_rest_on(make_model, noise, plan, kind):
    sizes = {"ffn_dim": 80, "word_embed_proj_dim": 48} if kind == "opt" else {}
    model = make_model(text_config={"model_type": kind, **sizes})
    asked = ask(model, [model.encode_video(noise(), plan)], QUESTION)
    assert weights_of(model, *asked).sum() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_points_at_the_same_tokens(model, noise, plan, answered, dtype):
    prompt, answer, _ = answered
    exact = weights_of(model, *answered)
    half = model.to(dtype)
    video = half.encode_video(noise(), plan)
    weights = weights_of(half, prompt, answer, what_was_read(half, video, [*prompt, *answer[:-1]]))
    assert torch.isfinite(weights).all()
    assert torch.corrcoef(torch.stack([weights, exact]))[0, 1] > 0.9


@torch.no_grad()
def what_was_read(model, video, ids):
    """The cache of a conversation that the model did not write itself."""
    kept = PromptCache()
    kept.ids, kept.cache = list(ids), DynamicCache(config=model.config.text_config)
    model(input_ids=torch.tensor([ids]), visual_tokens=video.tokens_KD, past_key_values=kept.cache)
    return kept


@pytest.fixture
def make_quantised(make_model, tmp_path):
    """Loads the tiny model in 4 or 8 bits."""
    pytest.importorskip("bitsandbytes")
    sizes = {"hidden_size": 64, "intermediate_size": 128, "tie_word_embeddings": False}
    model = make_model(text_config=sizes)
    model.save_pretrained(tmp_path)

    def make(bits):
        config = BitsAndBytesConfig(
            **{f"load_in_{bits}bit": True}, llm_int8_skip_modules=[*VISUAL_PARTS, "language_model.lm_head"]
        )
        quantised = VideoLLM.from_pretrained(tmp_path, quantization_config=config)
        quantised.attach(model.processor)
        return quantised

    return make


@pytest.mark.parametrize("bits", [4, 8])
def test_a_quantised_model_says_what_it_rests_on(make_quantised, noise, plan, bits):
    model = make_quantised(bits)
    asked = ask(model, [model.encode_video(noise(), plan)], QUESTION)
    assert weights_of(model, *asked).sum() > 0


@torch.inference_mode()
def test_inference_mode_is_no_hindrance(model, encode):
    assert weights_of(model, *ask(model, [encode()], QUESTION)).sum() > 0


def test_nothing_is_told_without_video_or_of_what_is_no_longer_kept(model, encode, answered):
    prompt, answer, cache = answered
    assert visual_weights(model, PromptCache(), [*prompt, *answer], len(prompt)) is None
    assert visual_weights(model, cache, prompt, len(prompt)) is None
    ask(model, [encode(1)], QUESTION, cache)
    unlike = [id_ + 1 if id_ != model.config.placeholder_token_id else id_ for id_ in prompt]
    assert visual_weights(model, cache, [*unlike, *answer], len(prompt)) is None
    text = model.processor.render([Message("user", "Why?")]).input_ids
    assert visual_weights(model, cache, [*text, *answer], len(text)) is None


def test_a_model_that_forgets_behind_a_window_says_nothing(make_model, noise, plan):
    model = make_model(text_config={"model_type": "mistral", "sliding_window": 7})
    prompt, answer, cache = ask(model, [model.encode_video(noise(), plan)], QUESTION)
    assert visual_weights(model, cache, [*prompt, *answer], len(prompt)) is None
