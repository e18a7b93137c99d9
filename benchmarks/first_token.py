"""How long until the first token of an answer about a video, and of the answer to a second question?

    python benchmarks/first_token.py [--quick] [--parts models,ask] [--rounds 5] [--out benchmarks/results]

Two parts. ``models``: VideoLLM beside transformers' LLaVA-OneVision, LLaVA-NeXT-Video and InstructBLIP-Video, all with
random bfloat16 weights at one common size, on two threads. In each round every model answers in turn, so that whatever
else the machine does meets them all. ``ask``: ``videollm ask`` on a 30-second clip, from the start of its process.

It wants an idle machine and 6 GB of memory; ``--quick`` takes tiny sizes and seconds, and its figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from first_token_ask import measure_ask
from first_token_models import contenders
from first_token_report import Figures, Line, ask_report, heading, judged, machine, models_report, summaries
from first_token_setup import QUICK, Contender, Sizes

THREADS = 2
# The second question from a kept cache is short, so it is asked several times a round.
KEPT_REPEATS = 3
CLIP_S, QUICK_CLIP_S = 30.0, 2.0


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes and one round, to try the program")
    parser.add_argument("--parts", default="models,ask")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    settings = parser.parse_args(argv)
    rounds = 1 if settings.quick else settings.rounds
    loads = [os.getloadavg()[0]]
    found = [PARTS[part](settings.quick, rounds) for part in settings.parts.split(",")]
    loads.append(os.getloadavg()[0])
    about = machine(loads, rounds, THREADS, quick=settings.quick)
    written = "".join(
        json.dumps(line) + "\n" for line in [about, *(line for part, _ in found for line in part)]
    )
    report = heading(about) + "".join(text for _, text in found)
    print(written + report)
    if settings.out:
        settings.out.mkdir(parents=True, exist_ok=True)
        (settings.out / "first_token.json").write_text(written)
        (settings.out / "first_token.md").write_text(report)


def measure_models(quick: bool, rounds: int) -> tuple[list[Line], str]:
    """Lets every model answer both questions in each round."""
    torch.set_num_threads(THREADS)
    sizes = QUICK if quick else Sizes()
    models, texts = contenders(sizes)
    measured: list[Figures] = [defaultdict(list) for _ in models]
    for model in models:
        model.first()  # warms up
    for _ in range(rounds):
        for model, figures in zip(models, measured, strict=True):
            for figure, seconds in ask_twice(model):
                figures[figure].append(seconds)
    lines: list[Line] = [{"part": "models", "sizes": asdict(sizes), "text_ids": texts.lengths}]
    for model, figures in zip(models, measured, strict=True):
        about = {"model": model.name, "frames": model.frames, "visual_tokens": model.visual_tokens}
        lines += [{"part": "models", **about, **line} for line in summaries(figures)]
    verdicts = judged(models, measured)
    return [*lines, *verdicts], models_report(models, measured, verdicts, texts.lengths)


def ask_twice(model: Contender) -> Iterator[tuple[str, float]]:
    """Asks a model both questions; yields its figures."""
    first = model.first()
    yield from (("first_s", first.total_s), ("vision_s", first.vision_s), ("prefill_s", first.prefill_s))
    again = model.again()
    if again is not None:
        yield "again_s", again.total_s
    for _ in range(KEPT_REPEATS):
        yield "kept_s", model.kept().total_s


def measure_shell(quick: bool, rounds: int) -> tuple[list[Line], str]:
    """Times ``videollm ask`` in processes of its own."""
    clip_s = QUICK_CLIP_S if quick else CLIP_S
    model, figures = measure_ask(rounds, seconds=clip_s, warm_up=not quick)
    about = {"part": "ask", "model": model, "clip_s": clip_s}
    return [about | line for line in summaries(figures)], ask_report(model, clip_s, figures)


PARTS = {"models": measure_models, "ask": measure_shell}

if __name__ == "__main__":
    main()
