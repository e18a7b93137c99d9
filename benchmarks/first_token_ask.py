"""``videollm ask`` on a 30-second clip, timed from the start of its process to the first byte of the answer.

The built-in model answers where its weights are there; else a checkpoint of the same sizes with random weights, whose
words mean nothing and cost the same.
"""

from __future__ import annotations

import json
import string
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import torch
from transformers import AutoModelForImageTextToText

import videollm
from videollm.model import VideoLLM, VideoLLMConfig, VideoLLMProcessor
from videollm.model.tokenization import VIDEO_PAD, build_tokenizer, train_sentencepiece
from videollm.synthetic.files import write_clip
from videollm.synthetic.sampling import sample_clip

QUESTION = "What happens in this video?"
IMPORTS = (
    "from videollm.chat import VideoChat; from videollm.checkpoints import load_model; print(1, flush=True)"
)


def measure_ask(rounds: int, *, seconds: float, warm_up: bool) -> tuple[str, dict[str, list[float]]]:
    """Asks about a clip, each time in a new process.

    Args:
        rounds: How often.
        seconds: Length of the clip.
        warm_up: Whether to ask once more before, without counting it.

    Returns:
        Which model answered, and the seconds of each figure; ``first_token_report.py`` says what they are.
    """
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "clip.mp4")
        write_clip(sample_clip(3, "test", duration_s=(seconds, seconds), max_short_side=480), clip)
        name, model = _model(Path(folder))
        figures = defaultdict(list)
        if warm_up:
            _ask(clip, model)
        for _ in range(rounds):
            for figure, value in _ask(clip, model).items():
                figures[figure].append(value)
    return name, dict(figures)


def _ask(clip: Path, model: str) -> dict[str, float]:
    """One plain process and one that tells its costs, right after each other."""
    command = [sys.executable, "-m", "videollm", "ask", str(clip), QUESTION, "--model", model]
    command += ["--max-new-tokens", "16"]
    first_byte, whole, _ = _run(command)
    told = json.loads(_run([*command, "--json"])[2])["usage"]["seconds"]
    return {
        "first_byte_s": first_byte,
        "start_s": first_byte - told["vision"] - told["prefill"],
        "vision_s": told["vision"],
        "prefill_s": told["prefill"],
        "read_s": told["read"],
        "imports_s": _run([sys.executable, "-c", IMPORTS])[0],
        "whole_s": whole,
    }


def _run(command: list[str]) -> tuple[float, float, bytes]:
    """Seconds to the first byte on stdout, seconds to the end, and all of stdout."""
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        first = process.stdout.read(1)
        first_byte = time.perf_counter() - started
        rest = process.stdout.readall() if first else b""
        process.wait()
    whole = time.perf_counter() - started
    if process.returncode or not first:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {process.returncode}")
    return first_byte, whole, first + rest


def _model(folder: Path) -> tuple[str, str]:
    """A name for the table, and what ``--model`` is given."""
    if Path(videollm.__file__).with_name("pocket").joinpath("model.safetensors").is_file():
        return "pocket, the built-in model", "pocket"
    return "random weights of the built-in model's sizes", str(_random_checkpoint(folder))


def _random_checkpoint(folder: Path) -> Path:
    trained = train_sentencepiece([QUESTION] * 20, folder / "trained.model", vocab_size=400)
    tokenizer = build_tokenizer(trained, folder / "tokenizer", samples=[QUESTION])
    config = VideoLLMConfig(
        vision_config={
            "image_size": 96,
            "patch_size": 8,
            "hidden_size": 192,
            "num_hidden_layers": 4,
            "num_attention_heads": 3,
            "intermediate_size": 768,
        },
        text_config={
            "model_type": "llama",
            "vocab_size": 1200,
            "hidden_size": 192,
            "num_hidden_layers": 5,
            "num_attention_heads": 3,
            "intermediate_size": 384,
            "max_position_embeddings": 2048,
        },
        compressor={
            "merged_tokens": 48,
            "merge_heads": 3,
            "num_queries": 4,
            "memory_layers": 4,
            "qformer": {"layers": 2, "hidden_size": 192, "heads": 3, "intermediate_size": 384},
        },
        video={"fps": 3.0, "max_frames": 48, "frames_per_segment": 3, "max_segments": 16},
        projector={"layers": 1},
        placeholder_token_id=tokenizer.convert_tokens_to_ids(VIDEO_PAD),
    )
    torch.manual_seed(0)
    model: VideoLLM = AutoModelForImageTextToText.from_config(config)
    letters = tokenizer.encode(string.ascii_letters, add_special_tokens=False)
    with (
        torch.no_grad()
    ):  # the largest of these logits is above 0: it answers in letters, and to the full length
        head = model.language_model.lm_head.weight
        kept = head[letters].clone()
        head.zero_()
        head[letters] = kept
    model.attach(VideoLLMProcessor.for_config(config, tokenizer))
    directory = folder / "model"
    model.save_pretrained(directory)
    model.processor.save_pretrained(directory)
    return directory
