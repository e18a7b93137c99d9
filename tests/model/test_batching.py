"""Many answers at once: each as if alone, with its own sampling, cache and end, and each with its own errors."""

from __future__ import annotations

import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DynamicCache

from videollm import load_model
from videollm.chat import VideoChat
from videollm.errors import ConfigError, ContextOverflowError, DataError
from videollm.media import load_medium
from videollm.model import PromptCache, VideoLLM, stream_generate
from videollm.model.batching import BatchGenerator
from videollm.model.batching_cache import HEADROOM, BatchCache
from videollm.values import FramePlan, GenerationSettings, Message

QUESTION = Message("user", "<video>\nWhat does the red star do?")
TWELVE = GenerationSettings(max_new_tokens=12)
PLAN = FramePlan((0.5, 1.5, 2.5, 3.5, 4.4), ((0, 2), (2, 4), (4, 5)), 0.0, 5.0, resolved=True)


def prompts_for(model, noise):
    """Ids and visual tokens of prompts of several lengths, about different videos, several of them, and none."""
    first, second = (model.encode_video(noise(seed=seed), PLAN) for seed in range(2))
    conversations = [
        ([QUESTION], [first]),
        ([Message("user", "a")], []),
        ([QUESTION, Message("assistant", "grows"), Message("user", "<video>and here?")], [first, second]),
        ([QUESTION], [second]),
        ([Message("user", "what happens from 0:03 to 0:15 to the large green ring, and then?")], []),
        ([Message("user", "<video>")], [second]),
    ]
    return [
        (
            model.processor.render(messages, videos).input_ids,
            torch.cat([video.tokens_KD for video in videos]) if videos else None,
        )
        for messages, videos in conversations
    ]


def alone(model, prompt, how=TWELVE, **options):
    """The finished answer that ``stream_generate`` gives."""
    stream = stream_generate(model, *prompt, how, **options)
    list(stream)
    return stream


def finish(generator):
    """Steps until all have ended."""
    while generator.rows or generator.waiting:
        generator.step()


def same(running, stream):
    """Whether an answer of a batch is one that was given alone."""
    names = ("ids", "text", "finish_reason", "prompt_tokens", "cached_tokens")
    return all(getattr(running, name) == getattr(stream, name) for name in names)


@pytest.fixture(scope="module")
def tiny(tiny_checkpoint):
    """A model with random weights, whose answers end at their length only."""
    return load_model(tiny_checkpoint)


@pytest.fixture
def own_tiny(tiny_checkpoint):
    """The same, to be changed by one test."""
    return load_model(tiny_checkpoint)


@pytest.fixture(scope="module")
def make_noise():
    """Makes raw frames of noise, (5, 3, 30, 52)."""

    def make(seed):
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(0, 256, (5, 3, 30, 52), dtype=torch.uint8, generator=generator)

    return make


@pytest.fixture(scope="module")
def prompts(tiny, make_noise):
    """Prompts for the tiny model."""
    return prompts_for(tiny, make_noise)


@pytest.fixture(scope="module")
def pocket():
    """The built-in model."""
    return load_model("pocket")


@pytest.fixture(scope="module")
def asked(pocket, clip_files):
    """Real questions about real clips for the built-in model."""
    videos = [load_medium(pocket, path).encoded for path in clip_files]
    questions = (
        "What happens in the video?",
        "What colour is the object?",
        "Describe the video shot by shot with times.",
        "Is there a cut?",
    )
    rendered = [
        (pocket.processor.render([Message("user", f"<video>\n{question}")], [video]).input_ids, video)
        for question in questions
        for video in videos
    ]
    return [(ids, video.tokens_KD) for ids, video in rendered]


@pytest.mark.parametrize("model_type", ["llama", "qwen2", "gpt2", "opt", "mistral"])
def test_answers_at_once_are_those_given_alone(model_type, make_model, noise):
    # The last one sees but seven ids back, and its rows are read one after another.
    special = {"mistral": {"sliding_window": 7}, "opt": {"word_embed_proj_dim": 48}}.get(model_type, {})
    model = make_model(text_config={"model_type": model_type, **special})
    prompts = prompts_for(model, noise)
    hows = [GenerationSettings(max_new_tokens=5 + 3 * place) for place in range(len(prompts))]
    generator = BatchGenerator(model, max_rows=3)
    running = [generator.add(*prompt, how) for prompt, how in zip(prompts, hows, strict=True)]
    finish(generator)
    for row, prompt, how in zip(running, prompts, hows, strict=True):
        assert same(row, alone(model, prompt, how))
        assert row.seconds["prefill"] > 0
        assert row.seconds["generate"] > 0


def test_answers_of_the_built_in_model_end_one_by_one_and_are_those_given_alone(pocket, asked):
    expected = [alone(pocket, prompt, GenerationSettings()) for prompt in asked]
    generator = BatchGenerator(pocket, max_rows=5)
    running = [generator.add(*prompt, GenerationSettings()) for prompt in asked]
    finish(generator)
    assert all(same(row, stream) for row, stream in zip(running, expected, strict=True))
    assert {row.finish_reason for row in running} == {"stop"}
    assert len({len(row.ids) for row in running}) > 1


@settings(max_examples=25)
@given(data=st.data())
def test_whatever_joins_leaves_or_is_cancelled_greedy_ids_stay_the_same(data, tiny, prompts):
    most = 12
    full = [alone(tiny, prompt, GenerationSettings(max_new_tokens=most)).ids for prompt in prompts]
    generator = BatchGenerator(tiny, max_rows=data.draw(st.integers(1, 5)))
    added = []
    for _ in range(data.draw(st.integers(5, 30))):
        action = data.draw(st.sampled_from(["add", "step", "step", "cancel"]))
        if action == "add":
            number, length = data.draw(st.integers(0, len(prompts) - 1)), data.draw(st.integers(1, most))
            row = generator.add(*prompts[number], GenerationSettings(max_new_tokens=length))
            added.append((row, number, length))
        elif action == "step":
            generator.step()
        elif added:
            data.draw(st.sampled_from(added))[0].cancel()
    finish(generator)
    for row, number, length in added:
        assert row.error is None
        assert row.ids == full[number][: len(row.ids)]
        assert row.finish_reason == "cancelled" or (row.finish_reason, len(row.ids)) == ("length", length)


@settings(max_examples=10)
@given(data=st.data())
def test_memory_stays_below_what_was_foretold_and_is_given_back(data, tiny, prompts):
    generator = BatchGenerator(tiny, max_rows=data.draw(st.integers(1, 6)))
    foretold = 0
    for prompt in data.draw(st.lists(st.sampled_from(prompts), min_size=1, max_size=8)):
        length = data.draw(st.integers(1, 2 * HEADROOM))
        foretold = generator.kv_bytes_with(len(prompt[0]), length)
        generator.add(*prompt, GenerationSettings(max_new_tokens=length))
    most = 0
    while generator.rows or generator.waiting:
        generator.step()
        most = max(most, generator.kv_bytes)
    assert most <= foretold
    assert generator.kv_bytes == 0


@pytest.mark.parametrize("model_type", ["llama", "mistral"])
def test_what_runs_takes_at_least_the_memory_of_its_keys_and_values(make_model, noise, model_type):
    model = make_model(text_config={"model_type": model_type, "sliding_window": 512})
    prompts = prompts_for(model, noise)
    caches = [PromptCache() for _ in prompts]
    for prompt, cache in zip(prompts, caches, strict=True):
        alone(model, prompt, GenerationSettings(max_new_tokens=1), cache=cache)
    generator, foretold = BatchGenerator(model), []
    for prompt in prompts:
        foretold.append(generator.kv_bytes_with(len(prompt[0]), TWELVE.max_new_tokens))
        generator.add(*prompt, TWELVE)
    for _ in range(2 * len(prompts)):
        generator.step()
    assert len(generator.rows) == len(prompts)
    assert generator.kv_bytes >= sum(cache.nbytes for cache in caches)
    assert foretold[-1] >= generator.kv_bytes
    assert foretold == sorted(foretold)


def test_sampled_answers_with_a_seed_are_those_given_alone(tiny, prompts, pocket, asked):
    hows = [
        GenerationSettings(max_new_tokens=14, temperature=1.3, seed=1),
        GenerationSettings(max_new_tokens=14, temperature=0.8, top_p=0.7, seed=2),
        GenerationSettings(max_new_tokens=14),
        GenerationSettings(max_new_tokens=14, temperature=0.9, repetition_penalty=1.5, seed=1),
        GenerationSettings(max_new_tokens=14, repetition_penalty=1.3),
    ]
    for model, questions in ((tiny, prompts), (pocket, asked)):
        generator = BatchGenerator(model, max_rows=4)
        pairs = [(questions[place % 3], how) for place, how in enumerate(hows)]
        running = [generator.add(*prompt, how) for prompt, how in pairs]
        finish(generator)
        for row, (prompt, how) in zip(running, pairs, strict=True):
            assert same(row, alone(model, prompt, how))


def test_a_row_without_a_seed_is_drawn_anew(tiny, prompts):
    generator = BatchGenerator(tiny)
    how = GenerationSettings(max_new_tokens=12, temperature=1.5)
    running = [generator.add(*prompts[0], how) for _ in range(4)]
    finish(generator)
    assert len({tuple(row.ids) for row in running}) > 1


def test_stop_strings_end_their_own_answer_only(tiny, prompts):
    text = alone(tiny, prompts[0]).text
    how = GenerationSettings(max_new_tokens=12, stop=(text[3:6],))
    generator = BatchGenerator(tiny)
    stopped, other = generator.add(*prompts[0], how), generator.add(*prompts[0], TWELVE)
    finish(generator)
    assert same(stopped, alone(tiny, prompts[0], how))
    assert stopped.finish_reason == "stop"
    assert (other.text, other.finish_reason) == (text, "length")


def test_the_pieces_taken_between_steps_join_to_the_text(tiny, prompts):
    generator = BatchGenerator(tiny)
    pieces = {generator.add(*prompt, TWELVE): "" for prompt in prompts}
    while generator.rows or generator.waiting:
        for row in generator.step():
            pieces[row] += row.take()
    for (row, text), prompt in zip(pieces.items(), prompts, strict=True):
        assert text == row.text == alone(tiny, prompt).text
        assert row.take() == ""
    assert len({row.id for row in pieces}) == len(prompts)


def test_several_conversations_go_on_from_their_caches_as_alone(tiny, make_noise):
    videos = [tiny.encode_video(make_noise(seed), PLAN) for seed in range(3)]
    talks = [[QUESTION] for _ in videos]
    kept, lone = ([PromptCache() for _ in videos] for _ in range(2))
    generator = BatchGenerator(tiny)
    for turn in range(3):
        prompts = [
            (tiny.processor.render(talk, [video]).input_ids, video.tokens_KD)
            for talk, video in zip(talks, videos, strict=True)
        ]
        hows = [GenerationSettings(max_new_tokens=4 + 5 * place) for place in range(3)]
        running = [
            generator.add(*prompt, how, cache=cache)
            for prompt, how, cache in zip(prompts, hows, kept, strict=True)
        ]
        finish(generator)
        for row, prompt, how, cache, talk in zip(running, prompts, hows, lone, talks, strict=True):
            stream = alone(tiny, prompt, how, cache=cache)
            assert same(row, stream)
            assert (stream.cached_tokens > 0) == (turn > 0)
            talk += [Message("assistant", row.text), Message("user", f"and then, {turn}?")]
    for ours, theirs in zip(kept, lone, strict=True):
        assert ours.ids == theirs.ids
        assert ours.nbytes == theirs.nbytes > 0


def test_a_cancelled_answer_leaves_all_it_has_read_to_the_next_turn(tiny, prompts):
    cache, generator = PromptCache(), BatchGenerator(tiny)
    broken, other = generator.add(*prompts[0], TWELVE, cache=cache), generator.add(*prompts[2], TWELVE)
    for _ in range(6):
        generator.step()
    assert cache.nbytes == 0
    broken.cancel()
    assert broken in generator.step()
    assert broken.finish_reason == "cancelled"
    assert cache.ids == [*prompts[0][0], *broken.ids[:-1]]
    again = generator.add(*prompts[0], TWELVE, cache=cache)
    finish(generator)
    assert again.cached_tokens == len(prompts[0][0]) - 1
    assert again.ids == alone(tiny, prompts[0]).ids
    assert same(other, alone(tiny, prompts[2]))


def test_an_answer_is_cancelled_from_another_thread_between_two_tokens(tiny, prompts):
    generator = BatchGenerator(tiny)
    endless = generator.add(*prompts[1], GenerationSettings(max_new_tokens=4000))
    begun = threading.Event()

    def cancel():
        begun.wait()
        endless.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    while not endless.ended:
        generator.step()
        begun.set()
    thread.join()
    assert endless.finish_reason == "cancelled"
    assert generator.rows == ()
    assert generator.step() == []


def test_an_answer_cancelled_while_it_waits_is_never_begun(tiny, prompts):
    generator = BatchGenerator(tiny, max_rows=1)
    first, second = generator.add(*prompts[0], TWELVE), generator.add(*prompts[1], TWELVE)
    generator.step()
    second.cancel()
    assert second in generator.step()
    assert (second.ids, second.text, second.finish_reason) == ([], "", "cancelled")
    finish(generator)
    assert same(first, alone(tiny, prompts[0]))


def test_between_two_prompts_every_running_answer_gets_a_token(tiny, prompts):
    generator = BatchGenerator(tiny)
    running = [generator.add(*prompt, TWELVE) for prompt in prompts]
    lengths = []
    while generator.waiting:
        generator.step()
        lengths.append([len(row.ids) for row in running])
    begun = [sum(length > 0 for length in step) for step in lengths]
    assert begun == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6]
    assert [step[0] for step in lengths] == [1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]


def test_no_more_answers_run_than_there_are_rows(tiny, prompts):
    generator = BatchGenerator(tiny, max_rows=2)
    running = [generator.add(*prompt, TWELVE) for prompt in prompts]
    assert generator.waiting == tuple(running)
    seen = set()
    while generator.rows or generator.waiting:
        generator.step()
        seen.add(len(generator.rows))
    assert seen == {0, 1, 2}


def test_a_row_whose_numbers_are_not_finite_ends_alone(own_tiny, make_noise):
    prompts = prompts_for(own_tiny, make_noise)
    answers = [alone(own_tiny, prompt).ids for prompt in prompts]
    used = [{*ids, *answer} for (ids, _), answer in zip(prompts, answers, strict=True)]
    # A token that one answer alone writes, and reads in its next step; the model's head is another matrix.
    row, step = next(
        (row, step)
        for row, answer in enumerate(answers)
        for step, token in enumerate(answer[:-2])
        if step
        and token not in prompts[row][0]
        and not any(token in used[other] for other in range(6) if other != row)
    )
    with torch.no_grad():
        own_tiny.get_input_embeddings().weight[answers[row][step]] = float("nan")
    generator, cache = BatchGenerator(own_tiny, max_rows=6), PromptCache()
    running = [
        generator.add(*prompt, TWELVE, cache=cache if place == row else None)
        for place, prompt in enumerate(prompts)
    ]
    while not running[row].error:
        generator.step()
    # Another one takes the place, of which nothing must be left.
    late = generator.add(*prompts[(row + 1) % 6], TWELVE)
    finish(generator)
    assert isinstance(running[row].error, ConfigError)
    assert "not finite" in str(running[row].error)
    assert (running[row].ids, running[row].finish_reason) == (answers[row][: step + 1], None)
    assert cache.nbytes == 0
    others = [place for place in range(6) if place != row]
    assert [running[place].ids for place in others] == [answers[place] for place in others]
    assert late.ids == answers[(row + 1) % 6]


def test_a_prompt_whose_visual_tokens_are_not_finite_fails_alone(tiny, prompts):
    (ids, tokens), other = prompts[0], prompts[1]
    generator, cache = BatchGenerator(tiny), PromptCache()
    broken = generator.add(ids, torch.full_like(tokens, torch.nan), TWELVE, cache=cache)
    fine = generator.add(*other, TWELVE)
    finish(generator)
    assert isinstance(broken.error, ConfigError)
    assert broken.ended
    assert cache.ids == []
    assert same(fine, alone(tiny, other))


def test_a_prompt_for_which_memory_does_not_suffice_fails_alone(own_tiny, make_noise):
    prompts = prompts_for(own_tiny, make_noise)
    longest = max(range(6), key=lambda place: len(prompts[place][0]))
    expected = [alone(own_tiny, prompt) for prompt in prompts]

    def need_too_much(_module, _inputs, options):
        if options["inputs_embeds"].shape[1] == len(prompts[longest][0]):
            torch.empty(1 << 60)

    own_tiny.language_model.model.register_forward_pre_hook(need_too_much, with_kwargs=True)
    generator = BatchGenerator(own_tiny)
    running = [generator.add(*prompt, TWELVE) for prompt in prompts]
    finish(generator)
    for place, row in enumerate(running):
        if place == longest:
            assert isinstance(row.error, RuntimeError)
            assert row.ids == []
        else:
            assert same(row, expected[place])


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_in_a_shared_step_ends_all_that_run_and_no_more(own_tiny, make_noise, error):
    prompts = prompts_for(own_tiny, make_noise)
    generator = BatchGenerator(own_tiny, max_rows=3)
    cache = PromptCache()
    running = [
        generator.add(*prompt, TWELVE, cache=cache if prompt is prompts[0] else None) for prompt in prompts
    ]
    while len(generator.rows) < 3:
        generator.step()
    layer = own_tiny.language_model.model.layers[1]
    hook = layer.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(error("broken")))
    if error is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            generator.step()
    else:
        assert generator.step() == running[:3]
    hook.remove()
    assert all(isinstance(row.error, error) for row in running[:3])
    assert generator.rows == ()
    assert generator.kv_bytes == cache.nbytes == 0
    finish(generator)
    for row, prompt in zip(running[3:], prompts[3:], strict=True):
        assert same(row, alone(own_tiny, prompt))


def test_the_next_question_of_a_conversation_ends_the_open_answer_and_goes_on_from_it(tiny, prompts):
    cache, generator = PromptCache(), BatchGenerator(tiny)
    older, other = generator.add(*prompts[0], TWELVE, cache=cache), generator.add(*prompts[3], TWELVE)
    for _ in range(5):
        generator.step()
    read = [*prompts[0][0], *older.ids[:-1]]
    longer = ([*read, *prompts[1][0]], prompts[0][1])
    newer = generator.add(*longer, TWELVE, cache=cache)
    assert older in generator.step()
    assert older.finish_reason == "cancelled"
    finish(generator)
    assert newer.cached_tokens == len(read)
    assert newer.ids == alone(tiny, longer).ids
    assert same(other, alone(tiny, prompts[3]))


def test_an_answer_whose_cache_is_taken_over_or_cleared_is_cancelled(tiny, prompts):
    taken, cleared = PromptCache(), PromptCache()
    generator = BatchGenerator(tiny)
    running = [generator.add(*prompts[0], TWELVE, cache=cache) for cache in (taken, cleared)]
    for _ in range(4):
        generator.step()
    stream = stream_generate(tiny, *prompts[1], TWELVE, cache=taken)
    next(stream)
    cleared.clear()
    generator.step()
    assert [row.finish_reason for row in running] == ["cancelled", "cancelled"]
    list(stream)
    assert stream.ids == alone(tiny, prompts[1]).ids
    assert cleared.ids == []


def test_a_conversation_that_was_answered_in_a_batch_is_gone_on_with_by_itself(pocket, clip_files):
    chat = VideoChat(pocket, clip_files[0])
    first = chat.ask("What happens in the video?")
    prompt = pocket.processor.render([Message("user", "<video>\nWhat happens in the video?")], chat.videos)
    cache, generator = PromptCache(), BatchGenerator(pocket)
    row = generator.add(prompt.input_ids, chat.videos[0].tokens_KD, GenerationSettings(), cache=cache)
    finish(generator)
    assert row.text == first.text
    second = pocket.processor.render(
        [
            Message("user", "<video>\nWhat happens in the video?"),
            Message("assistant", row.text),
            Message("user", "Why?"),
        ],
        chat.videos,
    )
    stream = alone(pocket, (second.input_ids, chat.videos[0].tokens_KD), GenerationSettings(), cache=cache)
    answer = chat.ask("Why?")
    assert (stream.text, stream.cached_tokens) == (answer.text, answer.usage.cached_tokens)


def test_prompts_that_cannot_be_answered_are_refused_when_they_are_added(tiny, prompts):
    generator = BatchGenerator(tiny)
    ids, tokens = prompts[0]
    with pytest.raises(DataError, match="placeholders"):
        generator.add(ids, tokens[:-1], TWELVE)
    with pytest.raises(ContextOverflowError, match="no room"):
        generator.add(ids[-1:] * 8192, None, TWELVE)
    assert generator.waiting == ()
    assert generator.step() == []


def test_a_batch_of_no_rows_or_without_a_processor_is_refused(tiny, make_config):
    with pytest.raises(ConfigError, match="max_rows must be at least 1, got 0"):
        BatchGenerator(tiny, max_rows=0)
    with pytest.raises(ConfigError, match="no processor"):
        BatchGenerator(VideoLLM(make_config())).add([1], None, TWELVE)


def test_the_answer_ends_where_the_context_ends(make_model, noise):
    model = make_model(text_config={"max_position_embeddings": 60})
    generator = BatchGenerator(model)
    how = GenerationSettings(max_new_tokens=100)
    prompts = prompts_for(model, noise)[:2]
    running = [generator.add(*prompt, how) for prompt in prompts]
    finish(generator)
    for row, prompt in zip(running, prompts, strict=True):
        assert same(row, alone(model, prompt, how))


@settings(max_examples=50)
@given(data=st.data())
def test_rows_of_a_batch_cache_hold_what_was_put_in_whatever_comes_and_goes(data):
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 1000)))
    heads, width, max_rows = 2, 3, 5
    batch, expected = BatchCache(max_rows), []
    for _ in range(data.draw(st.integers(1, 25))):
        action = data.draw(st.sampled_from(["join", "leave", "read", "read many"]))
        if action == "join" and len(expected) < max_rows:
            length = data.draw(st.integers(1, 150))
            keys, values = torch.randn(2, 1, heads, length, width, generator=generator)
            cache = DynamicCache()
            cache.update(keys, values, 0)
            cache.update(values, keys, 1)
            batch.join(cache)
            expected.append((keys, values))
        elif action == "leave" and expected:
            row = data.draw(st.integers(0, len(expected) - 1))
            batch.leave(row)
            last = expected.pop()
            if row < len(expected):
                expected[row] = last
        elif expected:
            for _ in range(HEADROOM + 1 if action == "read many" else 1):
                shared = batch.next_inputs(torch.device("cpu"))["past_key_values"]
                new_keys, new_values = torch.randn(2, len(expected), heads, 1, width, generator=generator)
                shared.update(new_keys, new_values, 0)
                read_keys, _ = shared.update(new_values, new_keys, 1)
                batch.grown()
                expected = [
                    (torch.cat([keys, new_keys[[row]]], 2), torch.cat([values, new_values[[row]]], 2))
                    for row, (keys, values) in enumerate(expected)
                ]
            assert read_keys.shape == (len(expected), heads, batch.width, width)
            assert torch.isfinite(read_keys).all()
        assert batch.lengths == [keys.shape[2] for keys, _ in expected]
        for row, (keys, values) in enumerate(expected):
            first, second = batch.row(row).layers
            assert torch.equal(first.keys, keys)
            assert torch.equal(second.keys, values)
            assert torch.equal(first.values, values)
            assert torch.equal(second.values, keys)
    assert (batch.nbytes == 0) == (not expected)


def test_positions_and_mask_leave_out_the_padding():
    batch = BatchCache(4)
    for length in (3, 5):
        cache = DynamicCache()
        cache.update(torch.ones(1, 1, length, 2), torch.ones(1, 1, length, 2), 0)
        batch.join(cache)
    inputs = batch.next_inputs(torch.device("cpu"))
    assert inputs["position_ids"].tolist() == [[3], [5]]
    assert inputs["attention_mask"].tolist() == [[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]]
    batch.leave(0)
    assert batch.next_inputs(torch.device("cpu"))["attention_mask"] is None


def test_a_step_and_a_row_that_comes_or_goes_copy_nothing_else(tiny, prompts):
    generator = BatchGenerator(tiny, max_rows=4)
    long = GenerationSettings(max_new_tokens=40)
    for prompt in (prompts[2], prompts[1], prompts[3]):
        generator.add(*prompt, long)
    while generator.waiting:
        generator.step()

    def places():
        return [layer.keys.untyped_storage().data_ptr() for layer in generator._batch._layers]

    before = places()
    fourth = generator.add(*prompts[5], TWELVE)
    while not fourth.ended:
        generator.step()
        assert places() == before


@pytest.fixture
def read_by_one():
    """Makes the cache of one answer that has read so many ids, whose keys and values are all one number."""

    def make(length, number=1.0):
        cache = DynamicCache()
        cache.update(torch.full((1, 2, length, 3), number), torch.full((1, 2, length, 3), number), 0)
        return cache

    return make


def test_what_is_not_a_number_does_not_outlast_its_row(read_by_one):
    batch = BatchCache(2)
    for cache in (read_by_one(7), read_by_one(6, float("nan"))):
        batch.join(cache)
    batch.leave(1)
    batch.join(read_by_one(2))
    shared = batch.next_inputs(torch.device("cpu"))["past_key_values"]
    for states in shared.update(torch.ones(2, 2, 1, 3), torch.ones(2, 2, 1, 3), 0):
        assert states[1, 0, :, 0].tolist() == [0, 0, 0, 0, 0, 1, 1, 1]


def test_room_that_is_no_longer_needed_is_given_back(read_by_one):
    batch = BatchCache(8)
    for _ in range(8):
        batch.join(read_by_one(100))
    most = batch.nbytes
    for _ in range(6):
        batch.leave(0)
    assert batch.nbytes == most / 4
    batch.join(read_by_one(1000))
    widest = batch.nbytes
    batch.leave(2)
    assert batch.nbytes < widest / 4
    batch.leave(0)
    batch.leave(0)
    assert batch.nbytes == 0


def test_a_row_for_which_memory_does_not_suffice_leaves_the_others_as_they_are(read_by_one):
    batch = BatchCache(2)
    batch.join(read_by_one(5))
    vast = DynamicCache()
    row = torch.ones(1, 1, 1, 1).expand(1, 2, 1 << 55, 3)  # takes no memory itself
    vast.update(torch.ones(1, 2, 1, 3), torch.ones(1, 2, 1, 3), 0)
    vast.layers[0].keys = vast.layers[0].values = row
    with pytest.raises(RuntimeError):
        batch.join(vast)
    assert batch.lengths == [5]
    assert torch.equal(batch.row(0).layers[0].keys, torch.ones(1, 2, 5, 3))


def test_no_answer_of_a_batch_holds_a_placeholder(own_tiny, make_noise):
    prompts, placeholder = prompts_for(own_tiny, make_noise), own_tiny.config.placeholder_token_id

    def prefer_placeholder(_module, _inputs, logits):
        logits[..., placeholder] = logits.max() + 1
        return logits

    own_tiny.get_output_embeddings().register_forward_hook(prefer_placeholder)
    generator = BatchGenerator(own_tiny)
    running = [generator.add(*prompt, TWELVE) for prompt in prompts]
    finish(generator)
    for row, prompt in zip(running, prompts, strict=True):
        assert placeholder not in row.ids
        assert same(row, alone(own_tiny, prompt))
