"""Optimizer, learning-rate schedule and the table of what is trained."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from videollm.errors import ConfigError

from .config import OptimizerSettings


def build_optimizer(model: nn.Module, settings: OptimizerSettings) -> AdamW:
    """Returns AdamW over the parameters that require gradients, grouped by component and by weight decay.

    Raises:
        ConfigError: A component named in ``component_lr`` has no trainable parameter, or nothing is trainable.
    """
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    if not named:
        raise ConfigError("nothing to train: no parameter requires a gradient")
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    used: set[str] = set()
    for name, weight in named:
        prefix = _longest_prefix(name, settings.component_lr)
        used.add(prefix)
        lr = settings.component_lr.get(prefix, settings.lr)
        decay = settings.weight_decay if weight.ndim >= 2 else 0.0
        groups.setdefault((lr, decay), []).append(weight)
    unused = set(settings.component_lr) - used
    if unused:
        raise ConfigError(
            f"component_lr names parts with no trainable parameter: {', '.join(sorted(unused))}"
        )
    return AdamW(
        [{"params": weights, "lr": lr, "weight_decay": decay} for (lr, decay), weights in groups.items()],
        betas=settings.betas,
    )


def build_schedule(optimizer: AdamW, settings: OptimizerSettings, steps: int) -> LambdaLR:
    """Returns a linear warm-up followed by a cosine decay to ``final_lr_ratio`` at the last step."""

    def ratio(step: int) -> float:
        if step < settings.warmup_steps:
            return (step + 1) / settings.warmup_steps
        done = (step - settings.warmup_steps) / max(1, steps - settings.warmup_steps)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        return settings.final_lr_ratio + (1 - settings.final_lr_ratio) * cosine

    return LambdaLR(optimizer, ratio)


def set_trainable(model: nn.Module, prefixes: Iterable[str]) -> None:
    """Freezes everything but the parameters whose names start with one of ``prefixes``.

    Raises:
        ConfigError: A prefix matches no parameter.
    """
    wanted = tuple(prefixes)
    names = [name for name, _ in model.named_parameters()]
    for prefix in wanted:
        if not any(name.startswith(prefix) for name in names):
            raise ConfigError(f"no parameter's name starts with {prefix!r}")
    for name, weight in model.named_parameters():
        weight.requires_grad_(name.startswith(wanted))


def trainable_table(model: nn.Module) -> str:
    """Returns a table of trained and frozen parameters by component (the first part of their names)."""
    trained: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for name, weight in model.named_parameters():
        component = name.split(".", 1)[0]
        total[component] += weight.numel()
        trained[component] += weight.numel() if weight.requires_grad else 0
    rows = [(component, trained[component], count) for component, count in total.items()]
    rows.append(("all", sum(trained.values()), sum(total.values())))
    width = max(len(component) for component, _, _ in rows)
    lines = [f"{'component':<{width}}  {'trained':>12}  {'parameters':>12}"]
    lines += [f"{component:<{width}}  {part:>12,}  {whole:>12,}" for component, part, whole in rows]
    return "\n".join(lines)


def _longest_prefix(name: str, components: Iterable[str]) -> str:
    return max((prefix for prefix in components if name.startswith(prefix)), key=len, default="")


def is_finite(value: torch.Tensor) -> bool:
    """Returns whether every element of ``value`` is finite."""
    return bool(torch.isfinite(value).all())
