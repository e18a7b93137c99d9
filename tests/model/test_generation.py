"""Streamed answers: the same ids as ``generate``, a kept cache, stopping, sampling, and honest limits."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

from videollm.errors import ConfigError, ContextOverflowError, DataError
from videollm.model import PromptCache, VideoLLM, stream_generate
from videollm.values import GenerationSettings, Message

QUESTION = [Message("user", "<video>\nWhat does the red star do?")]
TWELVE = GenerationSettings(max_new_tokens=12)


@pytest.fixture
def ask(model, processor):
    """Streams an answer of the tiny model to a conversation about videos."""

    def start(messages, videos=(), settings=TWELVE, of=model, **options):
        prompt = processor.render(messages, videos)
        tokens = torch.cat([video.tokens_KD for video in videos]) if videos else None
        return stream_generate(of, prompt.input_ids, tokens, settings, **options)

    return start


@pytest.fixture(params=["llama", "qwen2", "gpt2", "mistral"])
def any_model(request, make_model):
    """Models of several types that write whole characters; the last one sees but seven ids back."""
    special = {"mistral": {"sliding_window": 7}}.get(request.param, {})
    model = make_model(text_config={"model_type": request.param, **special})
    bytes_ = [id_ for piece, id_ in model.processor.tokenizer.get_vocab().items() if piece.startswith("<0x")]

    def discourage(_module, _inputs, logits):
        logits[..., bytes_] -= 1000
        return logits

    model.get_output_embeddings().register_forward_hook(discourage)
    return model


def finish(stream):
    """Reads a stream to its end and returns its ids."""
    list(stream)
    return stream.ids


def test_streamed_ids_and_text_are_those_of_generate(any_model, ask, noise, plan):
    video = any_model.encode_video(noise(), plan)
    batch = any_model.processor(QUESTION, [video])
    names = ("input_ids", "attention_mask", "visual_tokens")
    whole = any_model.generate(**{name: batch[name] for name in names}, max_new_tokens=12, do_sample=False)
    expected = whole[0, batch["input_ids"].shape[1] :].tolist()
    stream = ask(QUESTION, [video], of=any_model)
    pieces = list(stream)
    assert stream.ids == expected
    text = any_model.processor.tokenizer.decode(expected, skip_special_tokens=True)
    assert "".join(pieces) == stream.text == text
    assert stream.finish_reason in ("length", "stop")
    assert stream.prompt_tokens == batch["input_ids"].shape[1]
    assert stream.cached_tokens == 0
    assert stream.seconds["prefill"] > 0


def test_every_turn_answers_with_the_kept_cache_as_with_a_fresh_one(any_model, ask, noise, plan):
    video = any_model.encode_video(noise(), plan)
    cache, messages = PromptCache(), list(QUESTION)
    for turn in range(4):
        kept, fresh = ask(messages, [video], of=any_model, cache=cache), ask(messages, [video], of=any_model)
        assert finish(kept) == finish(fresh)
        if turn and any_model.config.text_config.model_type != "mistral":
            before = len(any_model.processor.render(messages[: 2 * turn - 1], [video]).input_ids)
            assert before <= kept.cached_tokens < kept.prompt_tokens
        messages += [Message("assistant", kept.text), Message("user", f"and then, {turn}?")]


def test_asking_the_same_again_reads_one_id_only(ask, encode):
    cache, video = PromptCache(), encode()
    first = finish(ask(QUESTION, [video], cache=cache))
    again = ask(QUESTION, [video], cache=cache)
    assert finish(again) == first
    assert again.cached_tokens == again.prompt_tokens - 1


def test_another_video_at_the_same_places_is_read_anew(ask, encode, processor):
    cache = PromptCache()
    finish(ask(QUESTION, [encode(0)], cache=cache))
    other = ask(QUESTION, [encode(1)], cache=cache)
    assert finish(other) == finish(ask(QUESTION, [encode(1)]))
    ids = processor.render(QUESTION, [encode(1)]).input_ids
    assert other.cached_tokens == ids.index(processor.placeholder_id)


def test_a_second_video_is_added_without_reading_the_first_again(ask, encode, processor):
    cache, first, second = PromptCache(), encode(0), encode(1)
    finish(ask(QUESTION, [first], cache=cache))
    messages = [*QUESTION, Message("assistant", "x"), Message("user", "<video>and here?")]
    both = ask(messages, [first, second], cache=cache)
    assert finish(both) == finish(ask(messages, [first, second]))
    assert both.cached_tokens >= len(processor.render(QUESTION, [first]).input_ids)


def test_a_conversation_that_goes_back_a_turn_uses_what_is_still_right(ask, encode):
    cache, video = PromptCache(), encode()
    longer = [*QUESTION, Message("assistant", "x"), Message("user", "and then?")]
    finish(ask(longer, [video], cache=cache))
    retried = ask(QUESTION, [video], cache=cache)
    assert finish(retried) == finish(ask(QUESTION, [video]))
    assert retried.cached_tokens > 0


def test_an_answer_that_was_broken_off_leaves_a_cache_that_is_right(ask, encode):
    cache, video = PromptCache(), encode()
    stream = ask(QUESTION, [video], cache=cache)
    next(stream)
    stream.close()
    assert stream.finish_reason == "cancelled"
    assert list(stream) == []
    assert finish(ask(QUESTION, [video], cache=cache)) == finish(ask(QUESTION, [video]))


def test_an_error_while_reading_leaves_an_empty_cache(ask, encode, model):
    cache, video = PromptCache(), encode()
    finish(ask(QUESTION, [video], cache=cache))
    layer = model.language_model.model.layers[1]
    hook = layer.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        finish(ask([Message("user", "hello")], cache=cache))
    hook.remove()
    assert cache.ids == []
    assert finish(ask(QUESTION, [video], cache=cache)) == finish(ask(QUESTION, [video]))


def test_a_new_answer_takes_the_cache_over_from_an_unfinished_one(ask, encode):
    cache, video = PromptCache(), encode()
    older = ask(QUESTION, [video], cache=cache)
    next(older)
    newer = ask([Message("user", "hello")], cache=cache)
    first = next(newer)
    assert list(older) == []
    assert older.finish_reason == "cancelled"
    alone = ask([Message("user", "hello")])
    assert first + "".join(newer) == "".join(alone)
    assert newer.ids == alone.ids


def test_clearing_the_cache_ends_the_answer_that_reads_with_it(ask):
    cache = PromptCache()
    stream = ask([Message("user", "hello")], cache=cache)
    next(stream)
    cache.clear()
    assert list(stream) == []
    assert stream.finish_reason == "cancelled"


def test_a_cache_that_is_let_go_frees_its_memory_at_once(ask, encode):
    cache, video = PromptCache(), encode()
    finish(ask(QUESTION, [video], cache=cache))
    kept = weakref.ref(cache.cache)
    gc.disable()
    try:
        del cache
        assert kept() is None
    finally:
        gc.enable()


def test_it_stops_between_tokens_when_told_to(ask):
    calls = []

    def enough():
        calls.append(None)
        return len(calls) > 3

    stream = ask([Message("user", "hi")], should_stop=enough)
    list(stream)
    assert len(stream.ids) == 3
    assert stream.finish_reason == "cancelled"


def test_told_to_stop_at_once_nothing_is_computed(ask, model):
    hook = model.register_forward_pre_hook(lambda *_: pytest.fail("the model was run"))
    stream = ask([Message("user", "hi")], should_stop=lambda: True)
    assert list(stream) == []
    assert stream.finish_reason == "cancelled"
    hook.remove()


def test_a_stop_string_ends_the_answer_and_is_not_part_of_it(ask, encode):
    video = encode()
    free = ask(QUESTION, [video])
    list(free)
    middle = len(free.text) // 2
    stop = free.text[middle : middle + 3]
    stream = ask(QUESTION, [video], GenerationSettings(max_new_tokens=12, stop=("never comes", stop)))
    list(stream)
    assert stream.text == free.text[: free.text.index(stop)]
    assert stream.finish_reason == "stop"


@pytest.mark.parametrize("token", ["<|end|>", "</s>"])
def test_it_ends_at_the_end_of_the_turn_or_of_the_text(ask, model, token):
    silent = model.processor.tokenizer.convert_tokens_to_ids(token)
    prefer(model, silent)
    stream = ask([Message("user", "hi")])
    assert list(stream) == []
    assert stream.ids == [silent]
    assert stream.finish_reason == "stop"


def prefer(model, token_id):
    """Makes the model write one token whatever it reads."""

    def shift(_module, _inputs, logits):
        logits[..., token_id] += 1000
        return logits

    model.get_output_embeddings().register_forward_hook(shift)


def test_a_placeholder_is_never_written(ask, model):
    prefer(model, model.config.placeholder_token_id)
    for temperature in (0.0, 1.0):
        settings = GenerationSettings(max_new_tokens=12, temperature=temperature)
        assert model.config.placeholder_token_id not in finish(ask([Message("user", "hi")], (), settings))


def test_characters_of_several_bytes_come_whole(ask, model, processor):
    ids = processor.tokenizer.encode("🙂", add_special_tokens=False)
    assert len(ids) == 4
    head = model.get_output_embeddings()
    calls = []

    def in_turn(_module, _inputs, logits):
        logits[..., ids[len(calls) % 4]] += 1000
        calls.append(None)
        return logits

    head.register_forward_hook(in_turn)
    stream = ask([Message("user", "hi")], (), GenerationSettings(max_new_tokens=10))
    assert list(stream) == ["🙂", "🙂", "��"]


def test_a_seed_repeats_an_answer_and_another_seed_gives_another(ask):
    def answer(seed):
        return finish(
            ask(
                [Message("user", "hi")], (), GenerationSettings(max_new_tokens=12, temperature=1.5, seed=seed)
            )
        )

    assert answer(1) == answer(1)
    assert len({tuple(answer(seed)) for seed in range(5)}) > 1
    assert len({tuple(answer(None)) for _ in range(5)}) > 1


def test_a_tiny_temperature_or_top_p_is_as_good_as_greedy(ask):
    greedy = finish(ask([Message("user", "hi")]))
    for options in ({"temperature": 1e-6}, {"temperature": 1.0, "top_p": 1e-6}):
        assert (
            finish(ask([Message("user", "hi")], (), GenerationSettings(max_new_tokens=12, **options)))
            == greedy
        )


def test_a_repetition_penalty_keeps_the_answer_from_repeating_itself(ask, model, processor):
    prefer_slightly = processor.tokenizer.convert_tokens_to_ids("a")

    def shift(_module, _inputs, logits):
        logits[..., prefer_slightly] = logits.max() + 1
        return logits

    model.get_output_embeddings().register_forward_hook(shift)
    question = [Message("user", "a")]
    assert set(finish(ask(question))) == {prefer_slightly}
    penalised = finish(ask(question, (), GenerationSettings(max_new_tokens=12, repetition_penalty=1e6)))
    # The question's own words are not counted.
    assert penalised[0] == prefer_slightly
    assert penalised.count(prefer_slightly) == 1


def test_the_answer_ends_where_the_context_ends(make_model, ask, processor):
    model = make_model(text_config={"max_position_embeddings": 30})
    length = len(processor.render([Message("user", "hi")]).input_ids)
    stream = ask([Message("user", "hi")], (), GenerationSettings(max_new_tokens=100), of=model)
    list(stream)
    assert stream.finish_reason == "length"
    assert len(stream.ids) == 30 - length


def test_a_prompt_that_fills_the_context_is_refused(make_model, ask, encode):
    model = make_model(text_config={"max_position_embeddings": 20})
    with pytest.raises(ContextOverflowError, match="context of 20, which leaves no room"):
        ask(QUESTION, [encode()], of=model)


def test_too_few_visual_tokens_are_refused_with_both_numbers(model, processor, encode):
    video = encode()
    ids = processor.render(QUESTION, [video]).input_ids
    for rows in (video.tokens_KD[:-1], None):
        count = 0 if rows is None else len(rows)
        with pytest.raises(DataError, match=f"{video.token_count} placeholders for {count} visual tokens"):
            finish(stream_generate(model, ids, rows, TWELVE))


def test_numbers_that_are_not_finite_are_refused(ask, model):
    with torch.no_grad():
        model.get_input_embeddings().weight.fill_(float("nan"))
    with pytest.raises(ConfigError, match="another dtype"):
        finish(ask([Message("user", "hi")]))


def test_a_model_without_a_processor_is_refused(make_config):
    with pytest.raises(ConfigError, match="no processor"):
        stream_generate(VideoLLM(make_config()), [1], None, TWELVE)
