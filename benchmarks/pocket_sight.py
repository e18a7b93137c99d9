"""What pocket's eyes tell of whole test clips, patch by patch, and what is left of it after merging and coding.

    python benchmarks/pocket_sight.py --run runs/pocket/vision --model runs/pocket/start

The heads that taught the ViT read its patches; then each patch is given the token that it was merged into, and then
the code of a codebook. What is told less rightly from there on is what compression loses.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

import torch

from videollm import load_model
from videollm.media import processor_of
from videollm.model import VideoLLM
from videollm.model.segments import MergedSegments
from videollm.synthetic.reading import plan_clip, read_clip
from videollm.synthetic.sampling import sample_clip
from videollm_train.checkpoint import load_newest_checkpoint
from videollm_train.config import parse_settings
from videollm_train.patch_head import count_right
from videollm_train.patch_labels import patch_labels
from videollm_train.pretrain_vision import FrameReader
from videollm_train.settings import VisionPretraining

RESULTS = Path(__file__).parent / "results"
CODES = (64, 32)
_FIRST_SEED = 500


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, default=Path("runs/pocket/vision"), help="run of the ViT")
    parser.add_argument("--model", default="runs/pocket/start", help="model whose compressor is used")
    parser.add_argument("--clips", type=int, default=60, help="clips of the test split")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the results go")
    options = parser.parse_args()
    step, reader = load_reader(options.run)
    model = load_model(options.model, device="cpu")
    right: dict[str, Counter[str]] = {}
    asked: dict[str, Counter[str]] = {}
    for seed in range(_FIRST_SEED, _FIRST_SEED + options.clips):
        for stage, counts in look(reader, model, seed).items():
            right.setdefault(stage, Counter()).update({name: found for name, (found, _) in counts.items()})
            asked.setdefault(stage, Counter()).update({name: count for name, (_, count) in counts.items()})
    shares = {
        stage: {name: round(right[stage][name] / count, 4) for name, count in asked[stage].items() if count}
        for stage in asked
    }
    command = f"python benchmarks/pocket_sight.py --run {options.run} --model {options.model} --clips {options.clips}"
    write_results(shares, step, options.out, command)


def load_reader(run: Path) -> tuple[int, FrameReader]:
    """Returns the step of a run's newest checkpoint, and its ViT with the heads."""
    record = json.loads((run / "training.json").read_text("utf-8"))
    settings = parse_settings(VisionPretraining, record["settings"] | {"start": None}, str(run))
    state = load_newest_checkpoint(run)
    if state is None:
        raise SystemExit(f"{run} has no checkpoint")
    reader = FrameReader(settings).eval()
    reader.load_state_dict(state["model"])
    return int(state["step"]), reader


@torch.no_grad()
def look(reader: FrameReader, model: VideoLLM, seed: int) -> dict[str, dict[str, tuple[int, int]]]:
    """Right and asked, by trait, at every stage of a test clip."""
    clip = sample_clip(seed, "test")
    plan = plan_clip(clip, model.config.video)
    pixels, _ = read_clip(clip, model.config.video)
    with torch.autocast("cpu", torch.bfloat16):
        seen = reader.vision(processor_of(model).prepare_frames(pixels))
    patches_TPC = seen.patches_TPC.float()
    labels = patch_labels(clip, plan.times_s, model.config.image.size, reader.vision.grid[0])
    merged = model.compressor.merge_only(patches_TPC, seen.cls_LTC[:0].float(), plan)
    stages = {
        "patches": patches_TPC,
        f"{model.config.compressor.merged_tokens} a second": _spread(merged, patches_TPC),
    }
    for count in CODES:
        token_plan = model.plan_tokens(plan, count, merged=merged)
        stages[f"{count} codes"] = _spread(model.compressor.arrange(merged, token_plan), patches_TPC)
    return {
        name: count_right(reader.patches(tokens_TPC)[0], labels.classes_TPK, labels.centres_TP)
        for name, tokens_TPC in stages.items()
    }


def _spread(segments: MergedSegments, patches_TPC: torch.Tensor) -> torch.Tensor:
    """Gives each patch the token that it went into."""
    return segments.tokens_MC[segments.sources_N].view_as(patches_TPC)


def write_results(shares: dict[str, dict[str, float]], step: int, out: Path, command: str) -> None:
    """Writes ``pocket_sight.json`` and ``.md`` into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    record = {"step": step, "right": shares}
    (out / "pocket_sight.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    traits = list(next(iter(shares.values())))
    head = f"| read from | {' | '.join(traits)} |\n|---|{'---:|' * len(traits)}"
    rows = [
        f"| {stage} | " + " | ".join(f"{100 * of_stage[name]:.1f}" for name in traits) + " |"
        for stage, of_stage in shares.items()
    ]
    note = (
        f"Right in %, after {step:,} steps of the ViT: of objects at their centres, of the scene at every patch; "
        "`whole` counts objects of which everything is right."
    )
    table = "\n".join([head, *rows])
    text = (
        f"# What pocket's eyes tell, and what compression leaves of it\n\n`{command}`\n\n{table}\n\n{note}\n"
    )
    (out / "pocket_sight.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
