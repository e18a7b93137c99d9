"""The whole model: visual tokens in place, equivalences, fingerprints, real sizes."""

from __future__ import annotations

import pytest
import torch

from videollm.errors import ConfigError, DataError
from videollm.model import VideoLLM, VideoLLMConfig
from videollm.model.compressor_config import KINDS
from videollm.model.identity import weights_hash
from videollm.model.segments import MergedSegments
from videollm.values import FramePlan, Message

QUESTION = [Message("user", "<video>\nWhat does the red star do?")]


@pytest.fixture
def batch(processor, encode):
    """Two conversations of unequal length with two videos and none, left-padded."""
    both = [Message("user", "<video> or <video>?"), Message("assistant", "red"), Message("user", "and now?")]
    return processor([both, [Message("user", "hi")]], [[encode(0), encode(1)], []])


class TestForward:
    """What the language model reads, and how."""

    def test_visual_tokens_stand_where_the_placeholders_are(self, model, processor, encode):
        video = encode()
        batch = processor(QUESTION, [video])
        rows = model.embed(batch["input_ids"], batch["visual_tokens"])
        places = batch["input_ids"] == processor.placeholder_id
        assert rows[places].equal(video.tokens_KD)
        assert rows[~places].equal(model.get_input_embeddings()(batch["input_ids"][~places]))

    def test_visual_tokens_give_what_their_rows_as_inputs_embeds_give(self, model, batch, inputs_of):
        mask = batch["attention_mask"]
        rows = model.embed(batch["input_ids"], batch["visual_tokens"])
        with torch.no_grad():
            by_ids = model(**inputs_of(batch)).logits
            by_rows = model(inputs_embeds=rows, attention_mask=mask).logits
            by_language_model = model.language_model(inputs_embeds=rows, attention_mask=mask).logits
        assert by_ids.equal(by_rows)
        assert by_ids.equal(by_language_model)

    @torch.no_grad()
    def test_a_batch_gives_what_each_conversation_gives_alone_without_padding(
        self, model, processor, encode, batch, inputs_of
    ):
        together = model(**inputs_of(batch)).logits
        both = [
            Message("user", "<video> or <video>?"),
            Message("assistant", "red"),
            Message("user", "and now?"),
        ]
        for row, lone in enumerate(
            [processor(both, [encode(0), encode(1)]), processor([Message("user", "hi")])]
        ):
            alone = model(**inputs_of(lone)).logits[0]
            torch.testing.assert_close(together[row, -len(alone) :], alone, atol=1e-5, rtol=1e-4)

    @torch.no_grad()
    def test_reading_in_parts_with_a_cache_gives_what_reading_at_once_gives(self, model, processor, encode):
        batch = processor(QUESTION, [encode()])
        ids, visual = batch["input_ids"], batch["visual_tokens"]
        whole = model(input_ids=ids, visual_tokens=visual).logits
        # The first cut lies among the placeholders.
        cut = (ids[0] == processor.placeholder_id).nonzero()[5].item()
        first = model(input_ids=ids[:, :cut], visual_tokens=visual[:5], use_cache=True)
        cache, parts = first.past_key_values, [first.logits]
        for start, past, rows in ((cut, cut + 4, None), (cut + 4, ids.shape[1], None)):
            count = int((ids[:, start:past] == processor.placeholder_id).sum())
            done = int((ids[:, :start] == processor.placeholder_id).sum())
            rows = visual[done : done + count] if count else None
            parts.append(
                model(input_ids=ids[:, start:past], visual_tokens=rows, past_key_values=cache).logits
            )
        torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=1e-4)

    @torch.no_grad()
    def test_only_the_logits_asked_for_are_computed(self, model, batch, inputs_of):
        whole = model(**inputs_of(batch)).logits
        last = model(**inputs_of(batch), logits_to_keep=2).logits
        assert last.shape[1] == 2
        torch.testing.assert_close(last, whole[:, -2:])
        wanted = torch.rand(whole.shape[:2], generator=torch.Generator().manual_seed(0)) < 0.3
        chosen = model(**inputs_of(batch), logits_to_keep=wanted).logits
        torch.testing.assert_close(chosen, whole[wanted])
        torch.testing.assert_close(model(**inputs_of(batch)).logits, whole)

    @pytest.mark.parametrize("surplus", [-1, 1])
    def test_as_many_visual_tokens_as_placeholders_are_needed(self, model, batch, surplus):
        count = len(batch["visual_tokens"])
        visual = torch.randn(count + surplus, model.config.hidden_size)
        with pytest.raises(DataError, match=f"{count} placeholders for {count + surplus} visual tokens"):
            model(input_ids=batch["input_ids"], visual_tokens=visual)
        with pytest.raises(DataError, match=f"{count} placeholders for 0 visual tokens"):
            model(input_ids=batch["input_ids"])

    def test_the_loss_is_the_mean_cross_entropy_of_the_answers_ids(self, model, processor, encode, inputs_of):
        messages = [*QUESTION, Message("assistant", "moves left")]
        video = encode()
        batch = processor(messages, [video], add_generation_prompt=False)
        with torch.no_grad():
            output = model(**inputs_of(batch), labels=batch["labels"])
        expected = torch.nn.functional.cross_entropy(output.logits[0, :-1], batch["labels"][0, 1:])
        torch.testing.assert_close(output.loss, expected)
        with torch.no_grad():
            of_ten = model(**inputs_of(batch), labels=batch["labels"], num_items_in_batch=10).loss
        learnt = (batch["labels"] != -100).sum()
        torch.testing.assert_close(of_ten, expected * learnt / 10)


class TestGenerate:
    """transformers' own ``generate``."""

    options = {"max_new_tokens": 8, "do_sample": False}  # noqa: RUF012

    def test_a_batch_gets_what_each_conversation_gets_alone(self, model, processor, encode, batch, inputs_of):
        together = model.generate(**inputs_of(batch), **self.options)
        lone = processor([Message("user", "hi")])
        alone = model.generate(**inputs_of(lone), **self.options)
        length = min(
            together.shape[1] - batch["input_ids"].shape[1], alone.shape[1] - lone["input_ids"].shape[1]
        )
        new = together[1, batch["input_ids"].shape[1] :][:length]
        assert new.equal(alone[0, lone["input_ids"].shape[1] :][:length])

    def test_without_a_cache_the_ids_are_the_same(self, model, processor, encode, inputs_of):
        batch = processor(QUESTION, [encode()])
        cached = model.generate(**inputs_of(batch), **self.options)
        assert model.generate(**inputs_of(batch), **self.options, use_cache=False).equal(cached)

    def test_beams_and_several_answers_keep_each_conversations_videos(
        self, model, processor, encode, inputs_of
    ):
        questions = [[Message("user", "<video>a")], [Message("user", "<video>b")]]
        videos = [[encode(0)], [encode(1)]]
        batch = processor(questions, videos)
        beams = model.generate(**inputs_of(batch), max_new_tokens=4, num_beams=3, do_sample=False)
        for row, (question, video) in enumerate(zip(questions, videos, strict=True)):
            lone = model.generate(
                **inputs_of(processor(question, video)), max_new_tokens=4, num_beams=3, do_sample=False
            )
            assert beams[row, batch["input_ids"].shape[1] :].equal(lone[0, batch["input_ids"].shape[1] :])
        many = model.generate(**inputs_of(batch), max_new_tokens=4, num_return_sequences=2, do_sample=True)
        assert len(many) == 4

    def test_a_kept_cache_of_the_first_turn_serves_the_second(self, model, processor, encode, inputs_of):
        video = encode()
        first = processor(QUESTION, [video])
        out = model.generate(**inputs_of(first), **self.options, return_dict_in_generate=True)
        cache = out.past_key_values
        cache.crop(first["input_ids"].shape[1] - cache.get_seq_length())
        messages = [*QUESTION, Message("assistant", "red"), Message("user", "<video>?")]
        second = processor(messages, [video, encode(3)])
        again = model.generate(**inputs_of(second), **self.options, past_key_values=cache)
        assert again.equal(model.generate(**inputs_of(second), **self.options))

    def test_a_placeholder_is_never_generated(self, model, processor, inputs_of):
        with torch.no_grad():
            # The head is tied to the embeddings, so this one scores highest everywhere.
            model.get_output_embeddings().weight[processor.placeholder_id] *= 100
        ids = model.generate(
            **inputs_of(processor([Message("user", "hi")])), max_new_tokens=12, do_sample=True
        )
        assert processor.placeholder_id not in ids


class TestEncoding:
    """A video becomes an ``EncodedVideo``, once and the same each time."""

    def test_encoding_twice_gives_the_same_bits_even_in_training_mode(self, make_model, noise, plan):
        model = make_model(compressor={"qformer": {"hidden_size": 24, "heads": 3, "dropout": 0.5}})
        once = model.encode_video(noise(), plan)
        model.train()
        again = model.encode_video(noise(), plan)
        assert once.tokens_KD.equal(again.tokens_KD)
        assert model.vision.training
        assert model.compressor.training
        assert not again.tokens_KD.requires_grad

    @pytest.mark.parametrize("budget", [None, 1, 2, 5, 9, 14])
    def test_the_counts_are_those_of_the_plan_and_within_the_budget(self, model, encode, plan, budget):
        video = encode(max_visual_tokens=budget)
        planned = model.plan_tokens(plan, budget)
        assert (video.memory, video.counts) == (planned.memory, planned.counts)
        assert video.token_count == planned.total == (14 if budget is None else budget)
        assert video.segment_spans_s == planned.spans_s(plan)
        assert video.spans_K2.dtype == torch.float32

    @pytest.mark.parametrize("kind", KINDS)
    def test_every_kind_of_compressor_reaches_the_language_model(
        self, make_model, noise, plan, kind, inputs_of
    ):
        model = make_model(compressor={"kind": kind})
        video = model.encode_video(noise(), plan)
        assert video.tokens_KD.shape == (model.plan_tokens(plan).total, model.config.hidden_size)
        batch = model.processor(QUESTION, [video])
        assert model.generate(**inputs_of(batch), max_new_tokens=2).shape[1] > batch["input_ids"].shape[1]

    @pytest.mark.parametrize(
        "compressor",
        [
            {"segments": "content"},
            {"budget_split": "change"},
            {"kind": "vq", "vq": {"codes": 8, "adaptive": True}},
        ],
    )
    def test_by_content_there_are_at_most_as_many_tokens_as_planned(
        self, make_model, noise, plan, compressor, inputs_of
    ):
        model = make_model(compressor=compressor)
        bound = model.plan_tokens(plan, 9)
        video = model.encode_video(noise(), plan, max_visual_tokens=9)
        merged = model.merge_video(noise(), plan)
        exact = model.plan_tokens(plan, 9, merged=merged)
        assert (bound.exact, exact.exact) == (False, True)
        assert video.token_count == exact.total <= bound.total <= 9
        assert (video.memory, video.counts) == (exact.memory, exact.counts)
        assert video.segment_spans_s == exact.spans_s(video.plan)
        (rows,) = model.project_segments([merged], [exact])
        torch.testing.assert_close(rows, video.tokens_KD)
        batch = model.processor(QUESTION, [video])
        assert model.generate(**inputs_of(batch), max_new_tokens=2).shape[1] > batch["input_ids"].shape[1]

    def test_raw_frames_are_prepared_as_the_processor_prepares_them(self, model, processor, noise, plan):
        raw = noise()
        prepared = processor.prepare_frames(raw.movedim(1, -1).numpy())
        assert model.encode_video(raw, plan).tokens_KD.equal(model.encode_video(prepared, plan).tokens_KD)

    def test_the_default_budget_is_the_configurations(self, make_model, noise, plan):
        model = make_model(video={"max_visual_tokens": 6})
        assert model.encode_video(noise(), plan).token_count == 6
        assert model.encode_video(noise(), plan, max_visual_tokens=8).token_count == 8

    @pytest.mark.parametrize(
        "parts",
        [
            {},
            {"temporal": {"hidden_size": 12, "heads": 4, "window_frames": 3}},
            {"compressor": {"kind": "merge", "memory_layers": 1}},
        ],
        ids=["alone", "seeing one another", "with memory tokens"],
    )
    def test_videos_encoded_together_are_as_alone(self, make_model, noise, plan, parts):
        model = make_model(**parts)
        for look in model.vision.temporal.values():
            torch.nn.init.constant_(look.alpha, 1.0)
        image = FramePlan((0.0,), ((0, 1),), 0.0, 0.0, resolved=True, kind="image")
        videos, plans = [noise(seed=1), noise(1, seed=2), noise(seed=3)], [plan, image, plan]
        together = model.encode_videos(videos, plans, max_visual_tokens=6)
        for one, frames, own in zip(together, videos, plans, strict=True):
            alone = model.encode_video(frames, own, max_visual_tokens=6)
            torch.testing.assert_close(one.tokens_KD, alone.tokens_KD)
            assert (one.counts, one.plan, one.fingerprint) == (alone.counts, alone.plan, alone.fingerprint)

    def test_one_frame_and_an_image_are_enough(self, model, noise):
        plan = FramePlan((0.0,), ((0, 1),), 0.0, 0.0, resolved=True, kind="image")
        assert model.encode_video(noise(1), plan).token_count == 6

    def test_frames_that_do_not_fit_are_refused(self, model, noise, plan):
        with pytest.raises(DataError, match=r"must have shape \(T, 3, 40, 40\), got \(5, 3, 32, 32\)"):
            model.encode_video(torch.zeros(5, 3, 32, 32), plan)
        with pytest.raises(DataError, match="4 encoded frames for a plan of 5"):
            model.encode_video(noise(4), plan)
        with pytest.raises(ConfigError, match="at least 1"):
            model.encode_video(noise(), plan, max_visual_tokens=0)

    def test_training_from_kept_segments_gives_what_encoding_gives(self, model, noise, plan):
        budgets = (None, 7)
        kept = [
            MergedSegments.from_tensors(model.merge_video(noise(seed=s), plan).to_tensors()) for s in (0, 1)
        ]
        rows = model.project_segments(kept, [model.plan_tokens(plan, budget) for budget in budgets])
        for seed, budget in enumerate(budgets):
            video = model.encode_video(noise(seed=seed), plan, max_visual_tokens=budget)
            torch.testing.assert_close(rows[seed], video.tokens_KD, atol=1e-5, rtol=1e-4)
        rows[0].sum().backward()
        assert model.compressor.qformer.queries_KH.grad.abs().sum() > 0
        assert model.projector.layers[0].weight.grad.abs().sum() > 0


class TestFingerprint:
    """A hash of all that visual tokens depend on."""

    def test_it_changes_with_visual_weights_and_settings_only(self, make_model):
        model = make_model()
        before = model.fingerprint()
        assert model.fingerprint() == before == make_model().fingerprint()
        with torch.no_grad():
            model.get_input_embeddings().weight.mul_(2)
        assert model.fingerprint() == before
        with torch.no_grad():
            model.projector.norm.bias[0] += 1
        assert model.fingerprint() != before
        assert make_model(image={"size": 40, "fill": [0, 0, 0]}).fingerprint() != before

    def test_the_hash_of_all_weights_changes_with_each_of_them_and_with_their_precision(self, make_model):
        model = make_model()
        before = weights_hash(model)
        assert weights_hash(make_model()) == before
        with torch.no_grad():
            model.get_input_embeddings().weight[0, 0] += 1
        changed = weights_hash(model)
        model.language_model.to(torch.bfloat16)
        assert len({before, changed, weights_hash(model)}) == 3

    def test_it_survives_saving_and_stands_in_every_encoded_video(self, model, encode, tmp_path):
        model.save_pretrained(tmp_path)
        assert VideoLLM.from_pretrained(tmp_path).fingerprint() == model.fingerprint() == encode().fingerprint


def test_a_real_size_is_built_without_memory_and_its_parts_agree():
    config = VideoLLMConfig(
        vision_config={"image_size": 224, "patch_size": 16},
        text_config={
            "model_type": "qwen2",
            "vocab_size": 151_936,
            "hidden_size": 896,
            "num_hidden_layers": 24,
            "num_attention_heads": 14,
            "num_key_value_heads": 2,
            "intermediate_size": 4864,
            "tie_word_embeddings": True,
        },
        compressor={
            "merged_tokens": 64,
            "num_queries": 32,
            "memory_layers": 5,
            "qformer": {"hidden_size": 768, "heads": 12},
        },
    )
    with torch.device("meta"):
        model = VideoLLM(config)
    assert model.projector.layers[-1].out_features == 896
    assert model.compressor.width == 768
    assert 5.5e8 < model.num_parameters() < 6.5e8
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_a_processor_of_another_model_cannot_be_attached(model, make_model):
    other = make_model(video={"fps": 7})
    with pytest.raises(ConfigError, match="video settings"):
        model.attach(other.processor)
