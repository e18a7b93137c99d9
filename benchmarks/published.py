"""A published model at its real size, with random weights: written, imported, asked; and 7B ones planned.

    python benchmarks/published.py --out benchmarks/results

LLaVA-OneVision-0.5B's configuration, weights of transformers' own class in bfloat16, a small tokenizer with its special
tokens. Importing and asking are commands of their own, whose largest memory is measured. The 7B models are built on the
meta device, by transformers and by the library, and counted.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import (
    AutoConfig,
    LlavaForConditionalGeneration,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    Qwen2Tokenizer,
)

from videollm.checkpoints.catalogue import CATALOGUE, receipt
from videollm.checkpoints.families import family_of
from videollm.synthetic.files import write_clip
from videollm.synthetic.sampling import sample_clip

_FRAMES = 16
_GIB = 1 << 30


@dataclass(frozen=True)
class Run:
    """One command.

    Attributes:
        name: What it does.
        seconds: How long it took.
        peak_gib: Its largest resident memory.
        said: What it printed.
    """

    name: str
    seconds: float
    peak_gib: float
    said: str


def main() -> None:
    """Measures, and writes ``published.json`` and ``published.md``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="where the result goes")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    counts = {
        name: _count(name) for name in ("llava-hf/llava-1.5-7b-hf", "llava-hf/llava-onevision-qwen2-7b-ov-hf")
    }
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        _command(
            "write",
            ["-c", "from published import write; import sys; write(sys.argv[1])", folder / "published"],
        )
        write_clip(sample_clip(72, "test"), folder / "clip.mp4")
        runs = [
            _command("import", ["-m", "videollm", "import", folder / "published", "--out", folder / "own"]),
            _ask("ask the published files", folder / "published", folder),
            _ask("ask the imported ones", folder / "own", folder),
        ]
    result = {"runs": [vars(run) for run in runs], "parameters": counts}
    (options.out / "published.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    text = _report(runs, counts)
    (options.out / "published.md").write_text(text, encoding="utf-8")
    print(text)


def write(directory: str, vision: Mapping[str, Any] | None = None) -> None:
    """Writes the checkpoint with random weights, as transformers does; ``vision`` changes sizes of the encoder."""
    (known,) = (row.config for row in CATALOGUE if "0.5b" in row.name)
    tokenizer = _tokenizer(Path(directory))
    image, video = tokenizer.convert_tokens_to_ids(["<image>", "<video>"])
    config = LlavaOnevisionConfig(
        vision_config=_vision(known) | dict(vision or {}),
        text_config=known["text_config"],
        image_token_index=image,
        video_token_index=video,
        tie_word_embeddings=True,
    )
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    LlavaOnevisionForConditionalGeneration(config).save_pretrained(directory, max_shard_size="500MB")
    torch.set_default_dtype(before)


def _vision(known: Mapping[str, Any]) -> dict[str, Any]:
    """The vision tower's configuration, which the catalogue leaves to the family."""
    family = family_of(known)
    assert family is not None
    vision: dict[str, Any] = family.translate(known)["vision_config"]
    return vision


def _tokenizer(directory: Path) -> Any:
    directory.mkdir(parents=True)
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(iter(["What happens in this video?"] * 20), vocab_size=300)
    bpe.save_model(str(directory))
    tokenizer = Qwen2Tokenizer(str(directory / "vocab.json"), str(directory / "merges.txt"))
    marks = ["<|im_start|>", "<|im_end|>", "<image>", "<video>"]
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    tokenizer.eos_token = "<|im_end|>"
    tokenizer.save_pretrained(directory)
    return tokenizer


def _ask(name: str, model: Path, folder: Path) -> Run:
    question: list[str | Path] = [
        "-m",
        "videollm",
        "ask",
        folder / "clip.mp4",
        "What happens?",
        "--model",
        model,
    ]
    settings = [
        "--dtype",
        "bfloat16",
        "--fps",
        "10",
        "--max-frames",
        str(_FRAMES),
        "--max-new-tokens",
        "8",
        "--json",
    ]
    return _command(name, [*question, *settings])


def _command(name: str, arguments: Sequence[str | Path]) -> Run:
    """Runs a command of Python in a process of its own, between which and this one a third measures it."""
    measure = (
        "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:]).returncode; "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr); sys.exit(code)"
    )
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", measure, sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kib = int(done.stderr.splitlines()[-1])
    return Run(name, round(time.perf_counter() - started, 1), round(kib * 1024 / _GIB, 2), done.stdout[:400])


def _count(name: str) -> dict[str, int]:
    """Parameters by transformers' own class and by ours, both on the meta device."""
    (published,) = (row for row in CATALOGUE if row.name == name)
    config: Any = AutoConfig.for_model(**published.config, vision_config=_vision(published.config))
    kind = (
        LlavaForConditionalGeneration
        if config.model_type == "llava"
        else LlavaOnevisionForConditionalGeneration
    )
    with torch.device("meta"):
        theirs = kind(config)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ours = receipt(published).parameters
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    return {
        "transformers": sum(weight.numel() for weight in theirs.parameters()),
        "videollm": ours,
        "grown_mib": grown,
    }


def _report(runs: Sequence[Run], counts: dict[str, dict[str, int]]) -> str:
    lines = [
        "# Published models at their real size",
        "",
        "`python benchmarks/published.py`: LLaVA-OneVision-0.5B's configuration, random weights in bfloat16, "
        f"{_FRAMES} frames, on two CPU cores.",
        "",
        "| command | seconds | largest memory, GiB |",
        "|---|---:|---:|",
        *(f"| {run.name} | {run.seconds:.0f} | {run.peak_gib:.2f} |" for run in runs),
        "",
        "| on the meta device | parameters, transformers | ours | memory it took, MiB |",
        "|---|---:|---:|---:|",
        *(
            f"| {name} | {row['transformers']:,} | {row['videollm']:,} | {row['grown_mib']} |"
            for name, row in counts.items()
        ),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
