"""Strict loading: transformers reports what did not fit and goes on; here that is an error."""

from __future__ import annotations

from typing import Any

from ..errors import CheckpointError

# Most key names that an error about a checkpoint lists.
_NAMED_KEYS = 8


def refuse_other_weights(name: str, info: dict[str, Any]) -> None:
    """Accepts a checkpoint only if it held exactly the model's weights.

    Args:
        name: What was loaded, for the message.
        info: What transformers' ``output_loading_info`` says.

    Raises:
        CheckpointError: Weights are missing, unexpected or of another shape.
    """
    mismatched = [
        f"{key} {tuple(found)} instead of {tuple(wanted)}" for key, found, wanted in info["mismatched_keys"]
    ]
    problems = [
        f"{len(keys)} {kind} ({', '.join(sorted(keys)[:_NAMED_KEYS])}{', …' if len(keys) > _NAMED_KEYS else ''})"
        for kind, keys in (
            ("missing", list(info["missing_keys"])),
            ("unexpected", list(info["unexpected_keys"])),
            ("of the wrong shape", mismatched),
        )
        if keys
    ]
    problems += [str(message) for message in info.get("error_msgs", ())]
    if problems:
        raise CheckpointError(f"{name} does not hold the weights of this model: {'; '.join(problems)}")
