"""``videollm info``: what a video holds and would cost, what a model is, or what is installed."""

from __future__ import annotations

import dataclasses
import json
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

from . import options

_PACKAGES = ("videollm", "torch", "transformers", "peft", "bitsandbytes", "av", "decord", "gradio")


# The sign \b keeps the lines as they are written.
_EXAMPLES = """\b
Examples:
  videollm info                                   what is installed
  videollm info pocket                            what the built-in model is and sees
  videollm info --models                          published models that can be used, and what they take
  videollm info clip.mp4 --max-visual-tokens 64   what a video holds, and what it would cost"""


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("info", epilog=_EXAMPLES)(info)


def info(
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="VIDEO|MODEL", help="A file, 'pocket', a checkpoint directory or a name on the hub."
        ),
    ] = None,
    model: options.Model = "pocket",
    start: options.Start = None,
    end: options.End = None,
    fps: options.Fps = None,
    max_frames: options.MaxFrames = None,
    max_visual_tokens: options.MaxVisualTokens = None,
    models: Annotated[
        bool, typer.Option("--models", help="List published models that can be used, and what they take.")
    ] = False,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Describe a video and its cost, a model, or what is installed."""
    if models:
        print_models(as_json=as_json)
        return
    if subject is None:
        facts = describe_installation()
    elif subject == "pocket" or Path(subject).is_dir() or _is_hub_name(subject):
        facts = describe_model(subject)
    else:
        from ..media import ReadOptions

        facts = describe_video(subject, model, ReadOptions(start, end, fps, max_frames, max_visual_tokens))
    print(json.dumps(facts, default=str) if as_json else _listed(facts))


def print_models(*, as_json: bool) -> None:
    """Prints published models as a table in Markdown, or as JSON."""
    from ..checkpoints.catalogue import CATALOGUE, DIAL, receipt

    receipts = [receipt(published) for published in CATALOGUE]
    if as_json:
        print(json.dumps([dataclasses.asdict(row) for row in receipts]))
        return
    dial = " | ".join("all" if share == 1 else f"1/{round(1 / share)}" for share in DIAL)
    print(f"| family | model | licence | parameters | GiB in bf16 | in 4 bits | {dial} |")
    print("|---|---|---|" + "---:|" * (3 + len(DIAL)))
    for row in receipts:
        tokens = " | ".join(f"{count:,}" for count in row.tokens_a_minute)
        print(
            f"| {row.family} | {row.name} | {row.licence} | {row.parameters / 1e9:.2f} billion | {row.bf16_gib:.1f} | "
            f"{row.four_bit_gib:.1f} | {tokens} |"
        )


def describe_installation() -> dict[str, Any]:
    """Returns versions, devices, and whether the built-in model is there."""
    import torch

    from ..checkpoints import POCKET

    cuda = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    mps = ["Apple MPS"] if torch.backends.mps.is_available() else []
    return {
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in _PACKAGES},
        "devices": [*cuda, *mps, f"CPU with {torch.get_num_threads()} threads"],
        "built_in_model": "pocket" if (POCKET / "config.json").is_file() else "not in this installation",
    }


def describe_model(name: str) -> dict[str, Any]:
    """Returns a model's parameters, settings, licence and what it can see, without loading it.

    Raises:
        VideoLLMError: There is no such model, or its files are broken.
    """
    from ..checkpoints import find_model
    from ..checkpoints.card import count_parameters, read_card

    found = find_model(name)
    config, card = found.read_config(), read_card(found.adapter or found.base)
    family = found.family
    if family is not None:
        from ..checkpoints.loading import load_config

        # A published file leaves out what is usual.
        config = load_config(found).to_dict()
    counts = count_parameters(found.base, family)
    return {
        "model": name,
        **({"family": family.name} if family else {}),
        "directory": found.base,
        **({"adapter": found.adapter} if found.adapter else {}),
        "what_it_sees": card.summary or "its card does not say",
        "licence": card.licence or "its card does not say",
        "parameters": {"all": sum(counts.values()), **counts},
        "language_model": {
            "type": config["text_config"]["model_type"],
            "context": config["text_config"].get("max_position_embeddings"),
            "vocabulary": config["text_config"]["vocab_size"],
        },
        **{part: config.get(part) for part in ("video", "image", "compressor", "projector", "prompt")},
    }


def describe_video(path: str, model: str, read_options: Any) -> dict[str, Any]:
    """Returns what a file holds, which frames a model would look at, and how many tokens they would take.

    Raises:
        VideoLLMError: The file cannot be read, there is no such model, or an option is out of range.
    """
    from ..checkpoints import find_model
    from ..model.budget import plan_tokens
    from ..model.compressor_config import CompressorConfig
    from ..model.tiling import plan_seen
    from ..video import probe

    found = probe(path)
    checkpoint = find_model(model)
    video, image = checkpoint.read_reading_settings()
    config = checkpoint.read_config()
    plan = read_options.plan(found, video)
    budget = (
        video.max_visual_tokens if read_options.max_visual_tokens is None else read_options.max_visual_tokens
    )
    whole_videos = config.get("video_queries")
    queries = whole_videos["queries"] if whole_videos else config.get("frame_queries")
    side = config["vision_config"]["image_size"] // config["vision_config"]["patch_size"]
    grid = (queries["num_queries"], 1) if queries else (side, side)
    compressor = CompressorConfig.from_dict(config["compressor"])
    seen = plan_seen(plan, image, grid, whole_videos=bool(whole_videos))
    tokens = plan_tokens(seen, compressor, budget, grid=grid, image=image)
    return {
        **dataclasses.asdict(found),
        "plan": {
            "model": model,
            "frames": plan.frame_count,
            "segments": len(plan.segments),
            "start_s": plan.start_s,
            "end_s": plan.end_s,
            "times_s": [round(time, 3) for time in plan.times_s],
            "visual_tokens": tokens.total,
            "visual_tokens_exact": tokens.exact,
        },
    }


def _is_hub_name(subject: str) -> bool:
    """Whether this is a model's name rather than a file that is missing: ``clips/a.mp4`` has the form of both."""
    from ..checkpoints.hub import is_hub_name

    path = Path(subject)
    return is_hub_name(subject) and not path.exists() and not path.suffix[1:].isalnum()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _listed(facts: dict[str, Any], indent: str = "") -> str:
    """Returns facts as an indented list for people."""
    lines = []
    for key, value in facts.items():
        name = re.sub("_s$", " (s)", key).replace("_", " ")
        if isinstance(value, dict):
            lines.append(f"{indent}{name}:\n{_listed(value, indent + '  ')}")
        else:
            lines.append(f"{indent}{name}: {_printed(value)}")
    return "\n".join(lines)


def _printed(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_printed(part) for part in value) or "none"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
