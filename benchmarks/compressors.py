"""What each way of compressing is worth: the same towers, clips, steps and seed, then the same questions.

    python benchmarks/compressors.py --work runs/compressors --out benchmarks/results

Every row takes the built-in model's vision transformer and language model, puts a fresh compressor and projector
between them, and trains both, with LoRA on the language model, on the same conversations about the same clips, a token
budget drawn anew for each. Then it answers the same questions about test clips at every budget. Patches are cached
once for all rows. What is done in --work is kept, so an interrupted run goes on where it stopped.

Frames are taken one a second, at most twelve: so the uncompressed row, which reads every patch, still fits the language
model's context, and all rows see the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from compressors_asking import BUDGETS, TestClips, ask_at
from compressors_report import write_results

from videollm.checkpoints import load_model
from videollm.media import processor_of
from videollm.model import VideoLLM, VideoLLMConfig, VideoLLMProcessor
from videollm.model.compressor_config import CompressorConfig
from videollm_train.features import write_features
from videollm_train.programs import run_stage
from videollm_train.settings import FeatureSettings
from videollm_train.tuning_settings import Instruction

_VIDEO = {"fps": 1.0, "max_frames": 12, "frames_per_segment": 1, "max_segments": 12}
_COMMON = {"merge_heads": 3, "merged_tokens": 48, "num_queries": 16, "memory_layers": 4}
_CODES = {"codes": 124, "longest_period_s": 64.0}

#: What is compared: settings of the compressor that differ from the common ones.
ROWS: dict[str, dict[str, Any]] = {
    "merge+qformer": {"kind": "merge+qformer"},
    "kmeans+qformer": {"kind": "merge+qformer", "merge_method": "kmeans"},
    "qformer": {"kind": "qformer"},
    "merge": {"kind": "merge"},
    "kmeans": {"kind": "merge", "merge_method": "kmeans"},
    "pool": {"kind": "pool"},
    "vq": {"kind": "vq", "vq": _CODES},
    "merge+vq": {"kind": "merge+vq", "vq": _CODES},
    "none": {"kind": "none"},
    "vq, codebook only": {"kind": "vq", "vq": {**_CODES, "map": "none"}},
    "vq, random map": {"kind": "vq", "vq": {**_CODES, "map": "random"}},
    "merge+qformer, no memory": {"kind": "merge+qformer", "memory_layers": 0},
    "merge+qformer, by content": {"kind": "merge+qformer", "segments": "content", "budget_split": "change"},
}


def main() -> None:
    """Trains and asks what is missing, then writes table and plot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("runs/compressors"), help="where runs are kept")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="where the results go")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="only these rows")
    parser.add_argument("--clips", type=int, default=6000, help="clips to train on")
    parser.add_argument("--steps", type=int, default=300, help="optimizer steps of each row")
    parser.add_argument("--batch-size", type=int, default=16, help="clips in a step")
    parser.add_argument("--questions", type=int, default=2100, help="questions, over all kinds")
    parser.add_argument("--seed", type=int, default=0, help="of weights, clips, questions and budgets")
    options = parser.parse_args()
    pocket = load_model("pocket", device="cpu")
    test = TestClips(_start(pocket, {"kind": "none"}, options.seed), options.work, options.questions)
    for name in options.rows:
        _run_row(name, pocket, test, options)
    command = f"python benchmarks/compressors.py --steps {options.steps} --seed {options.seed}"
    write_results(options.work.glob(f"*-{options.steps}-{options.seed}/answers.json"), options.out, command)


def _run_row(name: str, pocket: VideoLLM, test: TestClips, options: argparse.Namespace) -> None:
    """Trains a row and asks it at every budget, as far as that is not done."""
    directory = options.work / f"{name.replace(', ', '-').replace(' ', '_')}-{options.steps}-{options.seed}"
    results = directory / "answers.json"
    if results.exists():
        return
    settings = ROWS[name]
    trained = directory / "run"
    if not (trained / "final").exists():
        _say(f"{name}: training")
        start = directory / "start"
        if not start.exists():
            _save(_start(pocket, settings, options.seed), start)
        run_stage(
            _training(start, _features(pocket, options), options, settings), trained, resume=trained.exists()
        )
    model = load_model(str(trained / "final"), device="cpu")
    budgets = (None,) if settings["kind"] == "none" else BUDGETS
    answered = {}
    for budget in budgets:
        _say(f"{name}: asking at {budget or 'all'} tokens")
        answered[str(budget)] = ask_at(model, test, budget)
    record = {"name": name, "compressor": settings, "budgets": answered, **_cost(trained)}
    results.write_text(json.dumps(record), encoding="utf-8")


def _start(pocket: VideoLLM, settings: dict[str, Any], seed: int) -> VideoLLM:
    """The built-in model's towers with a fresh compressor and projector between them."""
    shapes = {"qformer": pocket.config.compressor.to_dict()["qformer"], **_COMMON, **settings}
    parts = pocket.config.to_dict()
    parts["compressor"] = CompressorConfig.from_dict(shapes).to_dict()
    parts["video"] |= _VIDEO
    parts.pop("dtype", None)
    torch.manual_seed(seed)
    model = VideoLLM(VideoLLMConfig(**parts)).float()
    model.vision.load_state_dict(pocket.vision.state_dict())
    model.language_model.load_state_dict(pocket.language_model.state_dict())
    model.attach(VideoLLMProcessor.for_config(model.config, processor_of(pocket).tokenizer))
    return model.eval()


def _save(model: VideoLLM, directory: Path) -> None:
    partial = directory.with_name("start.partial")
    model.save_pretrained(partial)
    processor_of(model).save_pretrained(partial)
    partial.rename(directory)


def _features(pocket: VideoLLM, options: argparse.Namespace) -> Path:
    """Directory of the cached patches of the training clips, made if they are not there."""
    directory: Path = options.work / "features"
    wanted = FeatureSettings(
        stage="features", model=Path("pocket"), seed=11, clips=options.clips, split="train", degrade_share=0.3
    )
    write_features(_start(pocket, {"kind": "none"}, options.seed), wanted, directory)
    return directory


def _training(
    start: Path, features: Path, options: argparse.Namespace, settings: dict[str, Any]
) -> Instruction:
    whole = settings["kind"] == "none"
    learns = "qformer" in settings["kind"] or (
        settings["kind"].endswith("vq") and settings["vq"].get("map") != "none"
    )
    return Instruction.model_validate(
        {
            "stage": "instruct",
            "model": start,
            "features": features,
            "seed": options.seed,
            "steps": options.steps,
            "batch_size": options.batch_size,
            "turns": 6,
            "trained": ("compressor.", "projector.") if learns else ("projector.",),
            "budgets": {} if whole else dict.fromkeys(BUDGETS, 1 / len(BUDGETS)),
            # Fused attention is faster for thousands of tokens, plain products for a few dozen.
            "compile": not whole,
            "rows_per_pass": 4 if whole else 8,
            "description_share": 0.0,
            "log_every": 20,
            "evaluate_every": options.steps + 1,
            "save_every": 100,
            "keep_checkpoints": 1,
            "evaluation_questions": 0,
            "optimizer": {"lr": 1e-3, "warmup_steps": 50},
        }
    )


def _cost(run: Path) -> dict[str, float]:
    """Mean loss of the last hundred steps, and seconds a step took."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]
    last = [line for line in lines if "loss" in line][-5:]
    return {
        "loss": sum(line["loss"] for line in last) / len(last),
        "step_s": min(line["step_s"] for line in lines if "loss" in line),
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
