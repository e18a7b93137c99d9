"""Training checkpoints: written atomically, found again after a crash, never loaded when damaged."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from videollm.errors import CheckpointError

_NAME = re.compile(r"step-(\d{7})")
_STATE_FILE, _DIGEST_FILE = "state.pt", "state.blake2b"


def save_checkpoint(run_dir: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Writes ``state`` as the checkpoint of ``step`` and removes all but the newest ``keep``.

    The directory appears under its final name only when it is complete and on disk, so a crash at any moment leaves the
    older checkpoints as they were.
    """
    root = run_dir / "checkpoints"
    final = root / f"step-{step:07d}"
    # Only who writes clears what a crash left: a run may be looked at while it goes on.
    for left in root.glob(".partial-*"):
        shutil.rmtree(left)
    partial = root / f".partial-{step:07d}-{os.getpid()}"
    partial.mkdir(parents=True)
    with (partial / _STATE_FILE).open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    (partial / _DIGEST_FILE).write_text(_digest(partial / _STATE_FILE), encoding="ascii")
    if final.exists():
        shutil.rmtree(final)
    partial.rename(final)
    for stale in _checkpoints(root)[:-keep]:
        shutil.rmtree(stale)
    return final


def load_newest_checkpoint(run_dir: Path) -> dict[str, Any] | None:
    """Returns the state of the newest undamaged checkpoint, or ``None`` if there is no checkpoint.

    A damaged one is passed over with a line on standard error.

    Raises:
        CheckpointError: There are checkpoints, and all are damaged.
    """
    root = run_dir / "checkpoints"
    found = _checkpoints(root)
    for checkpoint in reversed(found):
        if _is_sound(checkpoint):
            state: dict[str, Any] = torch.load(
                checkpoint / _STATE_FILE, map_location="cpu", weights_only=True
            )
            return state
        print(f"{checkpoint} is damaged; trying an older checkpoint", file=sys.stderr)
    if found:
        raise CheckpointError(f"{root}: all {len(found)} checkpoints are damaged; start the run anew")
    return None


def trained_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Returns the parameters that are being trained; the frozen rest is where the run started from."""
    return {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}


def restore_trained(model: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Puts back what :func:`trained_state` returned.

    Raises:
        CheckpointError: Other parameters are trained than then.
    """
    trained = trained_state(model)
    if trained.keys() != weights.keys():
        differing = sorted(trained.keys() ^ weights.keys())
        raise CheckpointError(
            f"the checkpoint trains other parameters than the settings, first: {differing[0]}"
        )
    model.load_state_dict(weights, strict=False)


def _checkpoints(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("step-*") if _NAME.fullmatch(path.name))


def _is_sound(checkpoint: Path) -> bool:
    state, digest = checkpoint / _STATE_FILE, checkpoint / _DIGEST_FILE
    return state.is_file() and digest.is_file() and digest.read_text(encoding="ascii") == _digest(state)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
