"""How many answers a second does the built-in model give, one after another and many at once?

    python benchmarks/batching.py [--threads 2] [--rounds 5] [--clips 8] [--rows 1,4,8,16] [--out benchmarks/results]

Four questions about each of several clips, whose videos were encoded before. In each round every way answers all of
them in turn, so that whatever else the machine does meets them all: ``stream_generate`` one after another, and a
``BatchGenerator`` with each number of rows, to which all questions are given at once. A line also says where the time
went: reading prompts, steps of the language model, and the rest (choosing tokens, text, caches that come and go). The
answers must be the same ids in every way, or the run fails.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from videollm import load_model
from videollm.media import load_medium
from videollm.model.batching import BatchGenerator
from videollm.model.generation import stream_generate
from videollm.model.modeling import VideoLLM
from videollm.synthetic.files import write_clip
from videollm.synthetic.sampling import sample_clip
from videollm.values import GenerationSettings, Message

QUESTIONS = (
    "What happens in the video?",
    "What colour is the object?",
    "Describe the video shot by shot with times.",
    "Is there a cut?",
)
SETTINGS = GenerationSettings()
Prompt = tuple[list[int], Tensor]
Ids = list[list[int]]


@dataclass
class Way:
    """One way of answering, and what it took in each round."""

    name: str
    answer: Callable[[], Ids]
    seconds: list[float] = field(default_factory=list)
    parts: list[dict[str, float]] = field(default_factory=list)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--rows", default="1,4,8,16")
    parser.add_argument("--out", type=Path, help="where batching.md and .json go")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    model = load_model("pocket")
    prompts = ask(model, options.clips)
    ways = [Way("one after another", lambda: one_by_one(model, prompts))]
    for rows in map(int, options.rows.split(",")):
        ways.append(Way(f"{rows} at once", lambda rows=rows: together(model, prompts, rows)))  # type: ignore[misc]
    loads = [os.getloadavg()[0]]
    expected = measure(model, ways, options.rounds)
    loads.append(os.getloadavg()[0])
    about = {
        "threads": options.threads,
        "rounds": options.rounds,
        "answers": len(prompts),
        "prompt_tokens": sum(len(ids) for ids, _ in prompts),
        "answer_tokens": sum(map(len, expected)),
        "cores": os.cpu_count(),
        "load_before_and_after": [round(load, 1) for load in loads],
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    report(about, ways, options.out)


def ask(model: VideoLLM, clips: int) -> list[Prompt]:
    """Questions about clips of the pocket world, each clip encoded once."""
    prompts = []
    with tempfile.TemporaryDirectory() as directory:
        for seed in range(clips):
            path = Path(directory) / f"{seed}.mp4"
            write_clip(sample_clip(seed, "test", shots=1 + seed % 3, max_short_side=192), path)
            video = load_medium(model, path).encoded
            for question in QUESTIONS:
                assert model.processor is not None
                rendered = model.processor.render([Message("user", f"<video>\n{question}")], [video])
                prompts.append((rendered.input_ids, video.tokens_KD))
    return prompts


def one_by_one(model: VideoLLM, prompts: Sequence[Prompt]) -> Ids:
    """Answers each prompt by itself."""
    found = []
    for ids, tokens in prompts:
        stream = stream_generate(model, ids, tokens, SETTINGS)
        for _ in stream:
            pass
        found.append(stream.ids)
    return found


def together(model: VideoLLM, prompts: Sequence[Prompt], rows: int) -> Ids:
    """Answers all prompts, so many at once."""
    generator = BatchGenerator(model, max_rows=rows)
    running = [generator.add(ids, tokens, SETTINGS) for ids, tokens in prompts]
    while generator.rows or generator.waiting:
        for row in generator.step():
            row.take()
    return [row.ids for row in running]


def measure(model: VideoLLM, ways: Sequence[Way], rounds: int) -> Ids:
    """Lets every way answer in each round, after one round to warm up; returns the answers."""
    expected: Ids = []
    for number in range(rounds + 1):
        for way in ways:
            started = time.perf_counter()
            with timed_forward(model) as parts:
                found = way.answer()
            seconds = time.perf_counter() - started
            expected = expected or found
            if found != expected:
                raise SystemExit(f"{way.name}: other answers than one after another")
            if number:
                way.seconds.append(seconds)
                way.parts.append(parts)
    return expected


@contextmanager
def timed_forward(model: VideoLLM) -> Iterator[dict[str, float]]:
    """Adds up the seconds of the language model, apart for prompts and for single ids of the rows."""
    parts = {"prompts": 0.0, "steps": 0.0, "step_count": 0.0}
    started = 0.0

    def start(*_: Any) -> None:
        nonlocal started
        started = time.perf_counter()

    def stop(_module: Any, _inputs: Any, options: dict[str, Any], _output: Any) -> None:
        is_step = options["input_ids"].shape[1] == 1
        parts["steps" if is_step else "prompts"] += time.perf_counter() - started
        parts["step_count"] += is_step

    hooks = (
        model.register_forward_pre_hook(start),
        model.register_forward_hook(stop, with_kwargs=True),
    )
    try:
        yield parts
    finally:
        for hook in hooks:
            hook.remove()


def report(about: dict[str, Any], ways: Sequence[Way], out: Path | None) -> None:
    """Prints JSON lines and a table, and writes them if asked."""
    lines = [about, *(line(way, ways[0], about) for way in ways)]
    written = "".join(json.dumps(one) + "\n" for one in lines)
    rows = [
        "| way | answers a second | times one after another | prompts | steps | rest | a step |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    rows += [
        f"| {one['way']} | {one['answers_per_s']:.1f} | {one['speedup']:.2f} | {one['prompts_s']:.2f} s "
        f"| {one['steps_s']:.2f} s | {one['rest_s']:.2f} s | {one['ms_per_step']:.2f} ms |"
        for one in lines[1:]
    ]
    text = (
        f"# Many answers at once\n\n`python benchmarks/batching.py --threads {about['threads']}`: "
        f"{about['answers']} answers of the built-in model, {about['prompt_tokens']} ids of prompts and "
        f"{about['answer_tokens']} of answers, {about['rounds']} rounds after a warm-up; torch {about['torch']}, "
        f"transformers {about['transformers']}, load {about['load_before_and_after']} on {about['cores']} cores.\n"
        "Medians; speed-ups are of the same round.\n\n" + "\n".join(rows) + "\n"
    )
    print(written + "\n" + text)
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / "batching.json").write_text(written, encoding="utf-8")
        (out / "batching.md").write_text(text, encoding="utf-8")


def line(way: Way, base: Way, about: dict[str, Any]) -> dict[str, Any]:
    """The figures of one way."""
    seconds = statistics.median(way.seconds)
    median = {name: statistics.median(part[name] for part in way.parts) for name in way.parts[0]}
    rest = statistics.median(
        whole - part["prompts"] - part["steps"] for whole, part in zip(way.seconds, way.parts, strict=True)
    )
    speedups = [theirs / ours for ours, theirs in zip(way.seconds, base.seconds, strict=True)]
    return {
        "way": way.name,
        "answers_per_s": about["answers"] / seconds,
        "speedup": statistics.median(speedups),
        "least_speedup": min(speedups),
        "prompts_s": median["prompts"],
        "steps_s": median["steps"],
        "rest_s": rest,
        "ms_per_step": 1000 * median["steps"] / median["step_count"],
        "all_s": [round(value, 4) for value in way.seconds],
    }


if __name__ == "__main__":
    main()
