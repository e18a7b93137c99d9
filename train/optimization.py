"""Optimizer, learning-rate schedule and the table of what is trained."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.optim import AdamW, Muon, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from videollm.errors import ConfigError

from .settings import OptimizerSettings


class Head(nn.Module):
    """Base of what is put onto a model to teach it: its matrices are AdamW's.

    Muon is for the matrices between hidden layers; its authors leave what follows the last one to AdamW.
    """


def build_optimizer(model: nn.Module, settings: OptimizerSettings) -> Optimizer:
    """Returns the optimizer of the parameters that require gradients, grouped by component and by weight decay.

    Raises:
        ConfigError: A component named in ``component_lr`` has no trainable parameter, or nothing is trainable.
    """
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    if not named:
        raise ConfigError("nothing to train: no parameter requires a gradient")
    outer = _outer_matrices(model)
    groups: dict[tuple[bool, float, float], list[nn.Parameter]] = {}
    used: set[str] = set()
    for name, weight in named:
        prefix = _longest_prefix(name, settings.component_lr)
        used.add(prefix)
        lr = settings.component_lr.get(prefix, settings.lr)
        decay = settings.weight_decay if weight.ndim >= 2 else 0.0
        matrix = settings.kind == "muon" and weight.ndim == 2 and id(weight) not in outer
        groups.setdefault((matrix, lr, decay), []).append(weight)
    unused = set(settings.component_lr) - used
    if unused:
        raise ConfigError(
            f"component_lr names parts with no trainable parameter: {', '.join(sorted(unused))}"
        )
    matrices, others = (
        [
            {"params": weights, "lr": lr, "weight_decay": decay}
            for (matrix, lr, decay), weights in groups.items()
            if matrix == wanted
        ]
        for wanted in (True, False)
    )
    adamw = AdamW(others, betas=settings.betas) if others else None
    if not matrices:
        assert adamw is not None
        return adamw
    return MuonAndAdamW(Muon(matrices, adjust_lr_fn="match_rms_adamw"), adamw)


class MuonAndAdamW(Optimizer):
    """Muon for the matrices, AdamW for everything else, as one optimizer.

    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon, with the updates scaled to be as strong as
    AdamW's (Liu et al., "Muon is Scalable for LLM Training", arXiv 2502.16982), so that one learning rate serves both.

    Args:
        muon: The optimizer of the matrices.
        adamw: The optimizer of the rest; ``None`` if there is none.
    """

    def __init__(self, muon: Muon, adamw: AdamW | None) -> None:
        self._parts: list[Optimizer] = [muon] if adamw is None else [muon, adamw]
        super().__init__([group for part in self._parts for group in part.param_groups], {})
        self._share_groups()

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Makes one step of both; ``closure`` is not supported."""
        assert closure is None
        for part in self._parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Returns the states of both."""
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what :meth:`state_dict` gave."""
        for part, state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._share_groups()

    def _share_groups(self) -> None:
        """Makes the groups those of the parts, so that a schedule that sets a learning rate here sets it there."""
        self.param_groups = [group for part in self._parts for group in part.param_groups]


def _outer_matrices(model: nn.Module) -> set[int]:
    """Identities of what is none of Muon's: embedding tables, which are looked up, and what belongs to heads."""
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    heads = (module for module in model.modules() if isinstance(module, Head))
    return tables | {id(weight) for head in heads for weight in head.parameters()}


def build_schedule(optimizer: Optimizer, settings: OptimizerSettings, steps: int) -> LambdaLR:
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
        if ".original_module." in name:
            continue  # peft trains a copy in its place
        component = name.split(".", 1)[0]
        # bitsandbytes keeps two weights of four bits in a byte, and remembers how many there were.
        packed = getattr(weight, "quant_state", None)
        count = weight.numel() if packed is None else math.prod(packed.shape)
        total[component] += count
        trained[component] += count if weight.requires_grad else 0
    rows = [(component, trained[component], count) for component, count in total.items()]
    rows.append(("all", sum(trained.values()), sum(total.values())))
    width = max(len(component) for component, _, _ in rows)
    lines = [f"{'component':<{width}}  {'trained':>12}  {'parameters':>12}"]
    lines += [f"{component:<{width}}  {part:>12,}  {whole:>12,}" for component, part, whole in rows]
    return "\n".join(lines)


def _longest_prefix(name: str, components: Iterable[str]) -> str:
    return max((prefix for prefix in components if name.startswith(prefix)), key=len, default="")
