"""Video-LLaMA's published file over its two bases says what its formulas say."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner

from videollm import load_model
from videollm.cli import app
from videollm.media import processor_of
from videollm.values import FramePlan, Message

from .published_models import save_llama_tokenizer, save_published

QUERIES, WIDTH, HEADS, INNER, LAYERS, FRAMES = 6, 24, 4, 40, 2, 5
QUESTION = [Message("user", "<video>What is on the left?")]
EPSILON = 1e-12


def linear(name, inner, outer):
    return {f"{name}.weight": (outer, inner), f"{name}.bias": (outer,)}


def norm_of(name):
    return {f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)}


def trained_shapes(text_width):
    """What the published file holds, by the names of the code that wrote it."""
    shapes = {
        "video_query_tokens": (1, QUERIES, WIDTH),
        "video_frame_position_embedding.weight": (FRAMES, WIDTH),
        "audio_query_tokens": (1, 2, WIDTH),
        **linear("llama_proj", WIDTH, text_width),
        **norm_of("video_Qformer.bert.embeddings.LayerNorm"),
    }
    for layer in range(LAYERS):
        name = f"video_Qformer.bert.encoder.layer.{layer}"
        for kind in ("attention", "crossattention"):
            for part in ("self.query", "self.key", "self.value", "output.dense"):
                shapes |= linear(f"{name}.{kind}.{part}", WIDTH, WIDTH)
            shapes |= norm_of(f"{name}.{kind}.output.LayerNorm")
        shapes |= linear(f"{name}.intermediate_query.dense", WIDTH, INNER)
        shapes |= linear(f"{name}.output_query.dense", INNER, WIDTH)
        shapes |= norm_of(f"{name}.output_query.LayerNorm")
    return shapes


def trained_tensors(text_width):
    generator = torch.Generator().manual_seed(0)
    shapes = trained_shapes(text_width)
    return {name: torch.randn(shape, generator=generator) * 0.3 for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """BLIP-2, a Llama and the trained file."""
    folder = tmp_path_factory.mktemp("video_llama")
    eyes = save_published("blip-2", folder / "blip2")
    (folder / "llama").mkdir()
    tokenizer = save_llama_tokenizer(folder / "llama")
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=512,
    )
    words = LlamaForCausalLM(config).eval()
    words.save_pretrained(folder / "llama")
    trained = trained_tensors(64)
    torch.save({"model": trained}, folder / "VL.pth")
    return folder, eyes, words, trained


def run_import(folder, out, source="VL.pth"):
    bases = ["--vision", str(folder / "blip2"), "--language", str(folder / "llama")]
    return CliRunner().invoke(app, ["import", str(folder / source), "--out", str(out), *bases])


@pytest.fixture(scope="module")
def imported(parts, tmp_path_factory):
    out = tmp_path_factory.mktemp("imported") / "own"
    done = run_import(parts[0], out)
    assert done.exit_code == 0, done.stderr
    assert "Video-LLaMA" in done.stdout
    assert "1 tensors" in done.stdout
    return load_model(str(out), device="cpu")


def apply(trained, name, rows):
    return F.linear(rows, trained[f"{name}.weight"], trained[f"{name}.bias"])


def norm(trained, name, rows):
    return F.layer_norm(rows, rows.shape[-1:], trained[f"{name}.weight"], trained[f"{name}.bias"], EPSILON)


def attend(trained, name, asking, read):
    """BERT's attention: heads side by side, a linear layer, and the norm of the sum with what asked."""

    def heads(part, rows):
        return apply(trained, f"{name}.self.{part}", rows).view(len(rows), HEADS, -1).transpose(0, 1)

    query, key, value = heads("query", asking), heads("key", read), heads("value", read)
    weights = torch.softmax(query @ key.transpose(1, 2) / query.shape[-1] ** 0.5, dim=-1)
    found = apply(trained, f"{name}.output.dense", (weights @ value).transpose(0, 1).flatten(1))
    return norm(trained, f"{name}.output.LayerNorm", found + asking)


def video_tokens(eyes, trained, pixels):
    """The paper's formulas: each frame to BLIP-2's tokens, plus a vector of its number, all to the video's tokens."""
    seen = eyes.vision_model(pixels).last_hidden_state
    queries = eyes.query_tokens.expand(len(seen), -1, -1)
    frames = eyes.qformer(query_embeds=queries, encoder_hidden_states=seen).last_hidden_state
    places = trained["video_frame_position_embedding.weight"][: len(frames)]
    read = (frames + places[:, None]).flatten(0, 1)
    rows = norm(trained, "video_Qformer.bert.embeddings.LayerNorm", trained["video_query_tokens"][0])
    for layer in range(LAYERS):
        name = f"video_Qformer.bert.encoder.layer.{layer}"
        rows = attend(trained, f"{name}.attention", rows, rows)
        rows = attend(trained, f"{name}.crossattention", rows, read)
        inner = F.gelu(apply(trained, f"{name}.intermediate_query.dense", rows))
        out = apply(trained, f"{name}.output_query.dense", inner)
        rows = norm(trained, f"{name}.output_query.LayerNorm", out + rows)
    return apply(trained, "llama_proj", rows)


def encoded(model, count):
    frames = np.random.default_rng(0).integers(0, 256, (count, 40, 64, 3), dtype=np.uint8)
    segments = tuple((frame, frame + 1) for frame in range(count))
    plan = FramePlan(tuple(map(float, range(count))), segments, 0.0, float(count), resolved=True)
    pixels = processor_of(model).prepare_frames(frames)
    return pixels, model.encode_video(pixels, plan)


@pytest.mark.parametrize("count", [1, 4])
def test_logits_are_those_of_the_formulas(parts, imported, count):
    _, eyes, words, trained = parts
    pixels, video = encoded(imported, count)
    inputs = processor_of(imported)([QUESTION], [[video]])
    ids = inputs["input_ids"]
    places = ids == imported.config.placeholder_token_id
    with torch.no_grad():
        mine = imported(input_ids=ids, visual_tokens=video.tokens_KD).logits
        embedded = words.get_input_embeddings()(ids.masked_fill(places, 0))
        embedded[places] = video_tokens(eyes, trained, pixels)
        their = words(inputs_embeds=embedded).logits
    assert places.sum() == QUERIES
    torch.testing.assert_close(mine[..., : their.shape[-1]], their, atol=1e-4, rtol=0)


def test_the_prompt_tells_of_frames_as_it_was_trained(imported):
    text = processor_of(imported).render(QUESTION, [encoded(imported, 4)[1]]).text
    seen = (
        "<Video>"
        + "<ImageHere>" * QUERIES
        + "</Video> The video contains 4 frames sampled at 0.0, 1.0, 2.0, 3.0 seconds. "
    )
    assert seen + "What is on the left?" in text


def test_more_frames_than_there_are_vectors_for_are_no_error(imported):
    _, video = encoded(imported, FRAMES + 4)
    assert len(video.tokens_KD) == QUERIES
    assert torch.isfinite(video.tokens_KD).all()
    assert video.plan.frame_count == FRAMES + 4


class Code:
    """What no file of weights has in it."""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"model": {"video_query_tokens": torch.zeros(1, 2, WIDTH)}}, "does not hold the video Q-Former"),
        (
            {"model": {"strange.weight": torch.zeros(2)}},
            r"1 tensors are none of Video-LLaMA's \(strange\.weight\)",
        ),
        ({"model": Code()}, "cannot be read without running code"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_nothing_is_written(parts, tmp_path, content, said):
    folder = parts[0]
    torch.save(content, folder / "bad.pth")
    done = run_import(folder, tmp_path / "own", "bad.pth")
    assert done.exit_code == 2
    (line,) = done.stderr.strip().splitlines()
    assert re.search(said, line)
    assert not list(tmp_path.iterdir())


def test_the_rest_has_to_be_named(parts, tmp_path):
    done = CliRunner().invoke(app, ["import", str(parts[0] / "VL.pth"), "--out", str(tmp_path / "own")])
    assert done.exit_code == 2
    assert "name the rest with --vision and --language" in done.stderr
