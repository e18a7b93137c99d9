"""Published models are fine-tuned like ours: what training sees is what answering sees, and a run's result answers."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from videollm import VideoChat, load_model
from videollm.cli import app
from videollm.media import processor_of
from videollm.synthetic.files import write_clip
from videollm.synthetic.sampling import sample_clip
from videollm.values import FramePlan

from .published_models import save_published

TRAINED = ("llava", "llava_next_video", "llava_onevision", "tarsier", "blip-2")


def plan_of(count):
    segments = tuple((frame, frame + 1) for frame in range(count))
    return FramePlan(tuple(map(float, range(count))), segments, 0.0, float(count), resolved=True)


@pytest.mark.parametrize("kind", TRAINED)
def test_training_sees_what_answering_sees(kind, tmp_path):
    """Several videos and an image at once, in all their tokens and in few."""
    save_published(kind, tmp_path / "model")
    model = load_model(tmp_path / "model", device="cpu")
    pictures = np.random.default_rng(0).integers(0, 256, (3, 150, 60, 3), dtype=np.uint8)
    image = FramePlan((0.0,), ((0, 1),), 0.0, 0.0, resolved=True, kind="image", size_px=(150, 60))
    plans = [plan_of(2), image, plan_of(3)]
    pixels = [processor_of(model).prepare(pictures[: plan.frame_count], plan) for plan in plans]
    merged = [model.merge_video(frames, plan) for frames, plan in zip(pixels, plans, strict=True)]
    for budget in (None, 9):
        token_plans = [
            model.plan_tokens(plan, budget, merged=video) for plan, video in zip(plans, merged, strict=True)
        ]
        with torch.no_grad():
            rows = model.project_segments(merged, token_plans)
        for tokens, frames, plan in zip(rows, pixels, plans, strict=True):
            whole = model.encode_video(frames, plan, max_visual_tokens=budget)
            torch.testing.assert_close(tokens, whole.tokens_KD, atol=1e-5, rtol=1e-5)


@pytest.fixture
def questions(tmp_path):
    """Questions about a clip and an image, with answers."""
    write_clip(sample_clip(0, "train", shots=1, duration_s=(2, 3), max_short_side=96), tmp_path / "clip.mp4")
    Image.fromarray(np.zeros((40, 90, 3), dtype=np.uint8)).save(tmp_path / "image.png")
    rows = [
        {
            "videos": [name],
            "messages": [
                {"role": "user", "content": "<video>\nWhat is it?"},
                {"role": "assistant", "content": answer},
            ],
        }
        for name, answer in (("clip.mp4", "the man opens the door"), ("image.png", "what happens"))
    ]
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.parametrize("kind", ["llava_onevision", "tarsier"])
def test_a_run_on_ones_own_answers_is_learnt_and_exported(kind, tmp_path, questions, repository):
    save_published(kind, tmp_path / "model")
    out, whole = tmp_path / "run", tmp_path / "whole"
    settings = {
        "model": tmp_path / "model",
        "data": json.dumps([{"path": str(questions)}]),
        "features": tmp_path / "features",
        "steps": 30,
        "batch_size": 2,
        "tokens_per_pass": 2048,
        "precision": "fp32",
        "evaluate_every": 100,
        "log_every": 1,
        "optimizer.lr": 1e-2,
    }
    config = ["--config", str(repository / "configs" / "tune.yaml")]
    told = [f"{name}={value}" for name, value in settings.items()]
    done = CliRunner().invoke(app, ["train", "instruct", *told, *config, "--out", str(out)])
    assert done.exit_code == 0, done.output
    chat = VideoChat(load_model(out / "final", device="cpu"), questions.with_name("clip.mp4"))
    assert chat.ask("What is it?", max_new_tokens=12).text.strip() == "the man opens the door"
    done = CliRunner().invoke(app, ["export", str(out / "final"), "--out", str(whole)])
    assert done.exit_code == 0, done.output
    same = VideoChat(load_model(whole, device="cpu"), questions.with_name("clip.mp4"))
    assert same.ask("What is it?", max_new_tokens=12).text.strip() == "the man opens the door"
