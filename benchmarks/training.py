"""What packing and cached features are worth in training: supervised tokens a second, side by side in one run.

    python benchmarks/training.py --out benchmarks/results

Packing: conversations of lognormal length, 40 to 600 tokens, of which the last quarter is learnt, go through the
built-in model's language model, forward and back, in three ways:

- random: eight of them in a padded batch, in random order, as most training code has it;
- grouped: the same, but those of like length together;
- packed: each 64 of them, which is eight batches above, in rows and passes as ``tokens_per_pass`` makes them.

Features: steps of stage 2 on rendered clips, with the frozen eyes' features from disk, and computed anew.

All ways take turns, so that what else the machine does hits all alike; figures are medians over the rounds.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from training_features import measure_features

from videollm.checkpoints import load_model
from videollm.model import VideoLLM
from videollm.model.prompting import IGNORED, RenderedPrompt
from videollm_train.answers import answer_loss
from videollm_train.packing import join, pack, pad_rows
from videollm_train.passes import PACKED_MULTIPLE, plan_passes

_SHORTEST, _LONGEST = 40, 600
_MEDIAN, _SPREAD = 130, 0.75  # of the lognormal
_LEARNT_SHARE = 0.25
_TOGETHER = 8
_STEP = 64  # conversations of a round: eight padded batches, or one packed
_GROUP = 512  # conversations that are sorted by length together, as trainers do
_PLACES = 1280  # of a packed pass

Batch = dict[str, Any]


def main() -> None:
    """Measures and writes ``training.json`` and ``training.md``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="where the results go")
    parser.add_argument("--samples", type=int, default=8192, help="conversations whose padding is counted")
    parser.add_argument("--rounds", type=int, default=5, help="groups of 512 conversations that are timed")
    parser.add_argument("--clips", type=int, default=48, help="clips of the comparison of features")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    model = load_model("pocket", device="cpu").train()
    conversations = _conversations(options.samples, model.config.text_config.vocab_size)
    result = {
        "threads": torch.get_num_threads(),
        "packing": _measure_packing(model, conversations, options.rounds),
        "features": measure_features(options.clips),
    }
    (options.out / "training.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    (options.out / "training.md").write_text(_as_markdown(result, options), encoding="utf-8")
    print((options.out / "training.md").read_text(encoding="utf-8"))


def _conversations(count: int, words: int) -> list[RenderedPrompt]:
    rng = random.Random(0)
    made = []
    while len(made) < count:
        length = round(rng.lognormvariate(math.log(_MEDIAN), _SPREAD))
        if not _SHORTEST <= length <= _LONGEST:
            continue
        ids = [rng.randrange(300, words) for _ in range(length)]
        unlearnt = length - round(_LEARNT_SHARE * length)
        made.append(RenderedPrompt(ids, [IGNORED] * unlearnt + ids[unlearnt:], ""))
    return made


def _random(conversations: Sequence[RenderedPrompt]) -> Iterator[Batch]:
    for start in range(0, len(conversations), _TOGETHER):
        yield pad_rows([pack([one]) for one in conversations[start : start + _TOGETHER]], 0)


def _grouped(conversations: Sequence[RenderedPrompt]) -> Iterator[Batch]:
    return _random(sorted(conversations, key=lambda one: len(one.input_ids)))


def _packed(conversations: Sequence[RenderedPrompt]) -> Iterator[Batch]:
    for start in range(0, len(conversations), _STEP):
        chunk = conversations[start : start + _STEP]
        for rows in plan_passes([len(one.input_ids) for one in chunk], _PLACES):
            joined = [join([pack([chunk[place]]) for place in row]) for row in rows]
            yield pad_rows(joined, 0, PACKED_MULTIPLE)


_WAYS: dict[str, Callable[[Sequence[RenderedPrompt]], Iterator[Batch]]] = {
    "random": _random,
    "grouped": _grouped,
    "packed": _packed,
}


def _measure_packing(
    model: VideoLLM, conversations: Sequence[RenderedPrompt], rounds: int
) -> dict[str, dict[str, float]]:
    """Padding over all conversations; time, loss and memory over the first groups of them."""
    groups = [conversations[start : start + _GROUP] for start in range(0, len(conversations), _GROUP)]
    found = {name: {"padding": _padding(way, groups)} for name, way in _WAYS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in _WAYS}
    losses: dict[str, list[float]] = {name: [] for name in _WAYS}
    kept = dict.fromkeys(_WAYS, 0)
    for group in groups[:rounds]:
        for name, way in _WAYS.items():
            spent, loss, most = _learn(model, list(way(group)))
            seconds[name].append(spent)
            losses[name].append(loss)
            kept[name] = max(kept[name], most)
    learnt = [sum(label != IGNORED for one in group for label in one.labels) for group in groups[:rounds]]
    for name, row in found.items():
        rates = [count / spent for count, spent in zip(learnt, seconds[name], strict=True)]
        row["learnt_tokens_per_s"] = statistics.median(rates)
        row["loss"] = sum(losses[name]) / sum(learnt)
        row["kept_mib"] = kept[name] / 2**20
    for row in found.values():
        row["against_random"] = row["learnt_tokens_per_s"] / found["random"]["learnt_tokens_per_s"]
    return found


def _padding(
    way: Callable[[Sequence[RenderedPrompt]], Iterator[Batch]], groups: Sequence[Sequence[RenderedPrompt]]
) -> float:
    """Share of all places that hold no token."""
    places = tokens = 0
    for group in groups:
        places += sum(batch["input_ids"].numel() for batch in way(group))
        tokens += sum(len(one.input_ids) for one in group)
    return 1 - tokens / places


def _learn(model: VideoLLM, batches: Sequence[Batch]) -> tuple[float, float, int]:
    """Seconds and summed loss of going forward and back, and the most bytes that a batch kept for its way back."""
    total, most, kept = 0.0, 0, 0

    def count(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += tensor.nbytes
        return tensor

    started = time.perf_counter()
    for batch in batches:
        kept = 0
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            loss = answer_loss(model, batch, model.dtype)
        loss.backward()
        most, total = max(most, kept), total + float(loss.detach())
    model.zero_grad()
    return time.perf_counter() - started, total, most


def _as_markdown(result: dict[str, Any], options: argparse.Namespace) -> str:
    packing, features = result["packing"], result["features"]
    lines = [
        "# Training: packing and cached features",
        "",
        f"`python benchmarks/training.py --samples {options.samples} --rounds {options.rounds} "
        f"--clips {options.clips}`, "
        f"{result['threads']} threads of a CPU, float32.",
        "",
        "| way | padding | learnt tokens a second | against random order | loss | most kept for the way back |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {row['padding']:.1%} | {row['learnt_tokens_per_s']:,.0f} | {row['against_random']:.2f} × "
        f"| {row['loss']:.5f} | {row['kept_mib']:,.0f} MiB |"
        for name, row in packing.items()
    ]
    lines += [
        "",
        f"Steps of stage 2 on {features['clips']} clips take {features['anew_s']:.2f} s with the eyes' features "
        f"computed anew and {features['cached_s']:.3f} s with those from disk: {features['ratio']:.1f} times as fast.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
