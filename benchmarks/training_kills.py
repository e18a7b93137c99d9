"""A training run killed with -9 at random moments ends as if it had not been: the same losses and weights, bit for bit.

    python benchmarks/training_kills.py --kills 20 --out benchmarks/results

The built-in model is tuned on a few rendered clips, once undisturbed and once killed again and again, from the moment
the process starts: while it loads, makes features, trains, answers, writes checkpoints and exports.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from safetensors.torch import load_file

from videollm.synthetic.files import write_clip
from videollm.synthetic.sampling import sample_clip

_CLIPS = 8
_SETTINGS = (
    "steps=150",
    "batch_size=4",
    "tokens_per_pass=512",
    "lora.dropout=0.1",
    "log_every=1",
    "evaluate_every=50",
    "save_every=3",
    "precision=fp32",
)


def main() -> None:
    """Runs, kills, resumes, compares, and writes ``training_kills.md``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, help="how often")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="where the result goes")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        _write_data(folder)
        first, whole = _time_whole(folder)
        # Far enough apart that the run still goes on when it is killed for the last time, on average.
        longest = first + 1.5 * (whole - first) / options.kills
        rng = random.Random(options.seed)
        steps = [_kill(folder, rng.uniform(first / 2, longest)) for _ in range(options.kills)]
        assert _start(folder, "killed").wait() == 0, "the last resumption failed"
        same = _same(folder / "whole", folder / "killed")
    text = (
        "# Training killed with -9\n\n"
        f"`python benchmarks/training_kills.py --kills {options.kills} --seed {options.seed}`\n\n"
        f"{options.kills} kills, each up to {longest:.0f} s after a start; steps reached when killed: "
        f"{', '.join(map(str, steps))}. The losses of all steps and all final weights are "
        f"{'those of the undisturbed run, bit for bit' if same else 'NOT those of the undisturbed run'}.\n"
    )
    (options.out / "training_kills.md").write_text(text, encoding="utf-8")
    print(text)
    sys.exit(0 if same else 1)


def _time_whole(folder: Path) -> tuple[float, float]:
    """Runs it undisturbed; returns the seconds until its first event and until its end."""
    started = time.monotonic()
    process = _start(folder, "whole")
    first = None
    while process.poll() is None:
        time.sleep(0.05)
        if first is None and _events(folder / "whole"):
            first = time.monotonic() - started
    assert process.returncode == 0, "the undisturbed run failed"
    assert first is not None
    return first, time.monotonic() - started


def _write_data(folder: Path) -> None:
    rows = []
    for seed in range(_CLIPS):
        write_clip(sample_clip(seed, "train", duration_s=(2, 4), max_short_side=128), folder / f"{seed}.mp4")
        said = [
            {"role": "user", "content": "<video>\nWhich is it?"},
            {"role": "assistant", "content": f"{seed}"},
        ]
        rows.append(json.dumps({"messages": said, "videos": [f"{seed}.mp4"]}))
    (folder / "data.jsonl").write_text("\n".join(rows), encoding="utf-8")


def _start(folder: Path, name: str) -> subprocess.Popen[bytes]:
    """Starts the run, or goes on with it."""
    command = [
        sys.executable,
        "-m",
        "videollm",
        "train",
        "instruct",
        "--config",
        "configs/tune.yaml",
        *_SETTINGS,
    ]
    command += [f"data=[{{path: {folder / 'data.jsonl'}}}]", f"features={folder / name}-features"]
    command += ["--out", str(folder / name), *(["--resume"] if (folder / name).exists() else [])]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def _kill(folder: Path, after_s: float) -> int:
    """Kills the run some seconds after its start; returns the last step in its log."""
    process = _start(folder, "killed")
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return max((event["step"] for event in _events(folder / "killed")), default=0)


def _events(run: Path) -> list[dict[str, float]]:
    log = run / "log.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True) if log.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _same(whole: Path, killed: Path) -> bool:
    """Whether both runs logged the same losses and ended with the same weights."""
    losses = [
        [(event["step"], event["loss"]) for event in _events(run) if "loss" in event]
        for run in (whole, killed)
    ]
    weights = [load_file(run / "final" / "adapter_model.safetensors") for run in (whole, killed)]
    return losses[0] == losses[1] and all(
        (weight == weights[1][name]).all() for name, weight in weights[0].items()
    )


if __name__ == "__main__":
    main()
