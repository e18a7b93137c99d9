"""Published checkpoints in our slots say what transformers' own code says."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer
from typer.testing import CliRunner

from videollm import VideoChat, load_model
from videollm.cli import app
from videollm.errors import CheckpointError, ConfigError, VideoLLMError
from videollm.media import processor_of
from videollm.model.generation import default_settings, stream_generate
from videollm.model.modeling import decoder_layers
from videollm.model.prompting import plain_text
from videollm.values import FramePlan, GenerationSettings, Message

from .published_models import TARSIER_MARKS, save_published

KINDS = (
    "llava",
    "llava_next_video",
    "llava_onevision",
    "blip-2",
    "instructblip",
    "instructblipvideo",
)
# What knows images only sees a video as one for each frame.
OF_IMAGES = ("llava", "blip-2", "instructblip")
NAMES = ("input_ids", "attention_mask", "visual_tokens")
QUESTION = [Message("user", "<video>\nWhat is on the left?")]


@pytest.fixture(scope="module", params=KINDS)
def both(request, tmp_path_factory):
    """Transformers' model and ours, of the same files."""
    directory = tmp_path_factory.mktemp(request.param) / "model"
    theirs = save_published(request.param, directory)
    return request.param, theirs, load_model(str(directory), device="cpu")


def frames(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 40, 64, 3), dtype=np.uint8)


def video_plan(count):
    segments = tuple((frame, frame + 1) for frame in range(count))
    return FramePlan(tuple(map(float, range(count))), segments, 0.0, float(count), resolved=True)


def their_inputs(kind, model, pixels, input_ids, asked="What is on the left?"):
    """What transformers' classes read of a video of theirs, or of a batch of images."""
    if kind == "instructblip":
        words = question_ids(model, asked).expand(len(pixels), -1)
        return {"pixel_values": pixels, "input_ids": input_ids, "qformer_input_ids": words}
    if kind == "instructblipvideo":
        words = question_ids(model, asked)
        return {"pixel_values": pixels[None], "input_ids": input_ids, "qformer_input_ids": words}
    if kind in OF_IMAGES:
        return {"pixel_values": pixels, "input_ids": input_ids}
    ids = input_ids.masked_fill(input_ids == model.config.image_token_id, model.config.video_token_id)
    return {"pixel_values_videos": pixels[None], "input_ids": ids}


def question_ids(model, asked):
    """A question as InstructBLIP's Q-Former gets it."""
    reader = AutoTokenizer.from_pretrained(Path(model.name_or_path) / "qformer_tokenizer")
    return torch.tensor([reader(asked).input_ids])


def encoded(model, count, seed=0):
    """A video of random frames: prepared, and encoded by ours."""
    pixels = processor_of(model).prepare_frames(frames(count, seed))
    return pixels, model.encode_video(pixels, video_plan(count))


def prompt(model, media, messages=QUESTION):
    asked = plain_text(messages[-1].content)
    return processor_of(model)([messages], [[model.read_for(video, asked) for video in media]])


def assert_same(ours, theirs, inputs, their_inputs):
    """Logits within 1e-4, and the same greedy answer."""
    with torch.no_grad():
        mine = ours(
            **{name: inputs[name] for name in ("input_ids", "attention_mask", "visual_tokens")}
        ).logits
        their = theirs(**their_inputs).logits
    torch.testing.assert_close(mine, their, atol=1e-4, rtol=0)
    # Ours never writes the placeholder of visual tokens, which nothing would stand for.
    how = {"max_new_tokens": 12, "do_sample": False, "suppress_tokens": [ours.config.placeholder_token_id]}
    said = theirs.generate(**their_inputs, **how)
    answer = ours.generate(
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        visual_tokens=inputs["visual_tokens"],
        **how,
    )
    start = inputs["input_ids"].shape[1]
    assert answer[:, start:].tolist() == said[:, start:].tolist()


@pytest.mark.parametrize("count", [1, 3])
def test_a_video_is_answered_as_by_transformers(both, count):
    kind, theirs, ours = both
    pixels, video = encoded(ours, count)
    inputs = prompt(ours, [video])
    assert_same(ours, theirs, inputs, their_inputs(kind, theirs, pixels, inputs["input_ids"]))


def test_several_videos_are_answered_as_by_transformers(both):
    kind, theirs, ours = both
    (first, one), (second, other) = encoded(ours, 2), encoded(ours, 2, seed=1)
    asked = "Which is longer?"
    inputs = prompt(ours, [one, other], [Message("user", f"<video> <video>\n{asked}")])
    if kind in OF_IMAGES:
        their = their_inputs(kind, theirs, torch.cat([first, second]), inputs["input_ids"], asked)
    elif kind == "instructblipvideo":
        # Their class takes one video; two of two frames are one of four to it.
        their = their_inputs(kind, theirs, torch.cat([first, second]), inputs["input_ids"], asked)
    else:
        their = their_inputs(kind, theirs, first, inputs["input_ids"])
        their["pixel_values_videos"] = torch.stack([first, second])
    assert_same(ours, theirs, inputs, their)


@pytest.mark.parametrize("size", [(40, 64), (150, 60)])
def test_an_image_is_answered_as_by_transformers(both, size):
    """Also cut into tiles, for those that do so, with what lies beside the picture left out."""
    kind, theirs, ours = both
    picture = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    plan = FramePlan((0.0,), ((0, 1),), 0.0, 0.0, resolved=True, kind="image", size_px=size)
    pixels = processor_of(ours).prepare(picture[None], plan)
    image = ours.encode_video(pixels, plan)
    inputs = prompt(ours, [image])
    their = {"pixel_values": pixels, "input_ids": inputs["input_ids"]}
    if "instructblip" in kind:
        their = their_inputs(kind, theirs, pixels, inputs["input_ids"])
    elif kind not in OF_IMAGES:
        their |= {"pixel_values": pixels[None], "image_sizes": torch.tensor([size])}
    assert_same(ours, theirs, inputs, their)
    assert ours.plan_tokens(plan).total == len(image.tokens_KD) == len(image.spans_K2)


def test_videos_of_unequal_length_in_a_batch_say_what_they_say_alone(both):
    _, _, ours = both
    videos = [ours.read_for(encoded(ours, count)[1], "What is on the left?") for count in (1, 3)]
    processor = processor_of(ours)
    how = {"max_new_tokens": 8, "do_sample": False}
    batch = processor([QUESTION, QUESTION], [[video] for video in videos])
    together = ours.generate(**{name: batch[name] for name in NAMES}, **how)[:, batch["input_ids"].shape[1] :]
    for video, row in zip(videos, together.tolist(), strict=True):
        inputs = prompt(ours, [video])
        alone = ours.generate(**{name: inputs[name] for name in NAMES}, **how)[
            0, inputs["input_ids"].shape[1] :
        ]
        assert row[: len(alone)] == alone.tolist()


def test_fewer_tokens_are_merged_without_training(both):
    _, _, ours = both
    pixels, whole = encoded(ours, 3)
    for share in (4, 10, 50):
        budget = max(1, len(whole.tokens_KD) // share)
        few = ours.encode_video(pixels, video_plan(3), max_visual_tokens=budget)
        assert (
            len(few.tokens_KD) == sum(few.counts) == ours.plan_tokens(video_plan(3), budget).total <= budget
        )
        assert torch.isfinite(few.tokens_KD).all()
    inputs = prompt(ours, [few])
    assert ours.generate(**{name: inputs[name] for name in NAMES}, max_new_tokens=4).shape[0] == 1


def test_a_budget_that_does_not_bind_changes_nothing(both):
    _, _, ours = both
    pixels, whole = encoded(ours, 3)
    same = ours.encode_video(pixels, video_plan(3), max_visual_tokens=len(whole.tokens_KD))
    assert torch.equal(same.tokens_KD, whole.tokens_KD)


def test_the_language_model_is_loaded_in_4_bits(tmp_path):
    """The rest stays as it is."""
    directory = tmp_path / "model"
    save_published("llava_onevision", directory)
    ours = load_model(directory, device="cpu")
    small = load_model(directory, device="cpu", load_in_4bit=True)
    layer = decoder_layers(small)[0].self_attn.q_proj
    assert type(layer).__name__ == "Linear4bit"
    _, video = encoded(ours, 2)
    _, same = encoded(small, 2)
    torch.testing.assert_close(same.tokens_KD, video.tokens_KD)
    inputs = prompt(ours, [video])
    with torch.no_grad():
        four, full = (
            model(**{name: inputs[name] for name in NAMES}).logits.flatten() for model in (small, ours)
        )
    assert torch.corrcoef(torch.stack([four, full]))[0, 1] > 0.9


def test_an_imported_checkpoint_is_the_published_one(both, tmp_path):
    """Also in shards, and what it does without is named."""
    kind, theirs, ours = both
    theirs.save_pretrained(tmp_path / "shards", max_shard_size="60KB")
    processor_of(ours).tokenizer.save_pretrained(tmp_path / "shards")
    if (reader := processor_of(ours).question_tokenizer) is not None:
        reader.save_pretrained(tmp_path / "shards" / "qformer_tokenizer")
    done = CliRunner().invoke(
        app, ["import", str(tmp_path / "shards"), "--out", str(tmp_path / "own"), "--json"]
    )
    assert done.exit_code == 0, done.stderr
    imported = json.loads(done.stdout)
    assert len(list((tmp_path / "own").glob("*.safetensors"))) > 1
    assert all("vision_tower.head." in name for name in imported["left_out"])
    assert bool(imported["left_out"]) == (kind == "llava_onevision")
    again = load_model(str(tmp_path / "own"), device="cpu")
    for name in (
        "image",
        "video",
        "frame_queries",
        "prompt",
        "compressor",
        "projector",
        "vision_layer",
        "placeholder_token_id",
    ):
        assert getattr(again.config, name) == getattr(ours.config, name)
    own = again.state_dict()
    assert all(torch.equal(weight, own[name]) for name, weight in ours.state_dict().items())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own", "shards"]


def test_what_is_shown_depends_on_the_question_where_the_model_reads_it(both):
    """In a conversation each question is read with the frames; other models show what they showed."""
    kind, _, ours = both
    reads = "instructblip" in kind
    chat = VideoChat(ours, encoded(ours, 2)[1])
    (video,) = chat.videos
    for asked in ("What is on the left?", "Who walks away?"):
        answer = chat.ask(asked, max_new_tokens=4)
        shown = ours.read_for(video, asked)
        ids = processor_of(ours).render(chat.history[:-1], [shown]).input_ids
        settings = GenerationSettings(max_new_tokens=4)
        assert answer.text == "".join(stream_generate(ours, ids, shown.tokens_KD, settings))
    assert torch.equal(shown.tokens_KD, video.tokens_KD) == (not reads)
    # A second answer reads what both prompts begin with from the cache, which is nothing where the frames look new.
    assert (answer.usage.cached_tokens > len(video.tokens_KD)) == (not reads)


def test_what_reads_questions_says_what_cannot_be_done_without_one(tmp_path):
    save_published("instructblip", tmp_path / "model")
    ours = load_model(tmp_path / "model", device="cpu")
    pixels, video = encoded(ours, 2)
    with pytest.raises(ConfigError, match="together with the question"):
        ours.merge_video(pixels, video_plan(2))
    ours.processor = None
    with pytest.raises(ConfigError, match="attach"):
        ours.read_for(video, "What is on the left?")
    shutil.rmtree(tmp_path / "model" / "qformer_tokenizer")
    with pytest.raises(CheckpointError, match="qformer_tokenizer is missing"):
        load_model(tmp_path / "model", device="cpu")


def tarsier_logits(model, pixels, input_ids):
    """Tarsier's own computation, which transformers has no class for, from its paper and configuration.

    Of each frame the second last state of the ViT without its class token, through two linear layers with a GELU
    between them; behind each row of patches the word embedding of one id, behind each frame that of another.
    """
    inner, words = model.model, model.get_input_embeddings().weight
    seen = inner.vision_tower(pixels, output_hidden_states=True).hidden_states[-2][:, 1:]
    layers = inner.multi_modal_projector
    projected = layers.linear_2(torch.nn.functional.gelu(layers.linear_1(seen)))
    side = int(projected.shape[1] ** 0.5)
    rows = []
    for frame in projected:
        for row in frame.split(side):
            rows += [row, words[TARSIER_MARKS["image_newline_idx"]][None]]
        rows.append(words[TARSIER_MARKS["image_new_idx"]][None])
    embedded = model.get_input_embeddings()(input_ids)
    embedded[input_ids == model.config.image_token_id] = torch.cat(rows)
    return model.lm_head(inner.language_model(inputs_embeds=embedded).last_hidden_state)


@pytest.mark.parametrize("count", [1, 3])
def test_tarsier_is_answered_as_its_formulas_say(count, tmp_path):
    theirs = save_published("tarsier", tmp_path / "model")
    ours = load_model(str(tmp_path / "model"), device="cpu")
    pixels, video = encoded(ours, count)
    assert len(video.tokens_KD) == count * (4 * (4 + 1) + 1)
    inputs = prompt(ours, [video])
    with torch.no_grad():
        mine = ours(**{name: inputs[name] for name in NAMES}).logits
        their = tarsier_logits(theirs, pixels, inputs["input_ids"])
    torch.testing.assert_close(mine, their, atol=1e-4, rtol=0)


@pytest.mark.parametrize("published", [True, False])
def test_a_model_spread_over_devices_says_what_it_says_on_one(published, tmp_path):
    """Also with the language model left on disk."""
    save_published("llava_onevision", tmp_path / "model")
    directory = tmp_path / "model"
    if not published:
        assert (
            CliRunner().invoke(app, ["import", str(directory), "--out", str(tmp_path / "own")]).exit_code == 0
        )
        directory = tmp_path / "own"
    ours = load_model(directory, device="cpu")
    _, video = encoded(ours, 2)
    said = VideoChat(ours, video).ask("What?", max_new_tokens=4).text
    parts = dict.fromkeys(ours.visual_parts, "cpu")
    for device_map in ("auto", parts | {"language_model": "disk"}):
        model = load_model(directory, device_map=device_map)
        assert any(weight.is_meta for weight in model.parameters()) == (device_map != "auto")
        _, same = encoded(model, 2)
        assert torch.equal(same.tokens_KD, video.tokens_KD)
        assert VideoChat(model, same).ask("What?", max_new_tokens=4).text == said


def test_answers_are_drawn_as_the_published_generation_config_says(tmp_path):
    """Its ends of an answer count too, and an imported checkpoint keeps it."""
    save_published("llava", tmp_path / "model")
    usual = load_model(tmp_path / "model", device="cpu")
    assert default_settings(usual) == GenerationSettings()
    _, video = encoded(usual, 2)
    stream = stream_generate(
        usual, prompt(usual, [video])["input_ids"][0].tolist(), video.tokens_KD, GenerationSettings()
    )
    "".join(stream)
    how = {"do_sample": True, "temperature": 0.5, "top_p": 0.75, "eos_token_id": [2, stream.ids[3]]}
    (tmp_path / "model" / "generation_config.json").write_text(json.dumps(how))
    done = CliRunner().invoke(
        app, ["import", str(tmp_path / "model"), "--out", str(tmp_path / "own"), "--json"]
    )
    assert done.exit_code == 0, done.stderr
    for directory in ("model", "own"):
        model = load_model(tmp_path / directory, device="cpu")
        assert default_settings(model) == GenerationSettings(temperature=0.5, top_p=0.75)
        assert model.generation_config.suppress_tokens == [model.config.placeholder_token_id]
        answer = VideoChat(model, video).ask("What is on the left?", temperature=0)
        assert answer.finish_reason == "stop"
        assert answer.usage.completion_tokens <= 4


def test_images_and_videos_are_asked_about_from_their_files(both, tmp_path, clip_files):
    """Also images that are cut into tiles, whatever their size."""
    _, _, ours = both
    for size in ((64, 40), (60, 150), (56, 56)):
        path = tmp_path / f"{size[0]}.png"
        Image.new("RGB", size, "red").save(path)
        chat = VideoChat(ours, [path, clip_files[0]])
        answer = chat.ask("What is on the left?", max_new_tokens=2)
        assert answer.usage.visual_tokens == sum(video.token_count for video in chat.videos)
        image = chat.videos[0].plan
        assert image.size_px == (size[1], size[0])


def drop(name):
    return lambda config, _: config.pop(name)


def narrow(config, _):
    config["text_config"]["hidden_size"] = 32


def strange_sampling(_, directory):
    (directory / "generation_config.json").write_text('{"do_sample": true, "top_p": 3.0}')


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (drop("vision_config"), "model: as LLaVA-OneVision: image.tiles must be"),
        (drop("text_config"), "model does not hold the weights"),
        (narrow, "model does not hold the weights"),
        (strange_sampling, "top_p must be"),
    ],
)
def test_a_configuration_that_is_not_the_weights_is_one_line(spoil, message, tmp_path, capfd):
    """Nothing is built before, whose size would not be this model's."""
    save_published("llava_onevision", tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    spoil(config, tmp_path / "model")
    path.write_text(json.dumps(config))
    capfd.readouterr()
    with pytest.raises(VideoLLMError, match=message):
        load_model(tmp_path / "model", device="cpu")
    assert "LOAD REPORT" not in "".join(capfd.readouterr())
