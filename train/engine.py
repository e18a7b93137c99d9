"""What the steps of a run are made on: the whole model in every process (DDP), or a share of it in each (FSDP2).

Everything that has gradients happens inside one module's ``forward``, which is what both of torch's engines wrap.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar, cast

import torch
from accelerate import Accelerator
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from .checkpoint import restore_trained, trained_state
from .optimization import build_optimizer, build_schedule
from .settings import RunSettings
from .task import Task

T = TypeVar("T")
State = dict[str, Any]


class Engine(Protocol):
    """A stage's model, optimizer and schedule on the processes that there are."""

    schedule: LambdaLR
    """Learning rates, counted in optimizer steps."""

    def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Runs what has gradients, such as the loss of one part of a step."""
        ...

    def parts(self, own: int) -> int:
        """Returns how many parts of a step every process has to run, where this one has ``own``."""
        ...

    def synchronised(self, *, last: bool) -> AbstractContextManager[Any]:
        """Around one part of a step: after the last one, gradients are the mean over the processes."""
        ...

    def step(self, clip_norm: float) -> float:
        """Makes the optimizer's step with gradients scaled down to ``clip_norm``.

        Returns:
            Their norm before. If that is not finite, nothing was changed.
        """
        ...

    def ask(self, work: Callable[[], T]) -> T | None:
        """Runs what asks the model questions; the result is the first process's, the others have none."""
        ...

    def state(self) -> State:
        """Returns what a run goes on from; all processes have to ask for it together."""
        ...

    def gather(self) -> None:
        """Makes the model of the first process whole, for export; there are no steps after that."""
        ...


class WholeModel:
    """Every process has the whole model, and accelerate's DDP adds their gradients up.

    Args:
        task: The stage.
        settings: Its settings.
        accelerator: Device, precision and processes.
        state: What :meth:`state` returned, to go on from.
    """

    def __init__(
        self, task: Task, settings: RunSettings, accelerator: Accelerator, state: State | None
    ) -> None:
        self._model, self._accelerator = task.model, accelerator
        if state is not None:
            restore_trained(task.model, state["model"])
        optimizer = build_optimizer(task.model, settings.optimizer)
        # The schedule counts optimizer steps itself; a prepared one would count every process's.
        self.schedule = build_schedule(optimizer, settings.optimizer, settings.steps)
        self._module = accelerator.prepare_model(Inside(task.model))
        self._optimizer = accelerator.prepare_optimizer(optimizer)
        if state is not None:
            self._optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])

    def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Runs ``work`` inside what DDP wraps."""
        return cast(T, self._module(work, *arguments))

    def parts(self, own: int) -> int:
        """Its own: DDP waits for the last one only."""
        return own

    def synchronised(self, *, last: bool) -> AbstractContextManager[Any]:
        """Exchanges gradients after the last part only."""
        return nullcontext() if last else self._accelerator.no_sync(self._module)

    def step(self, clip_norm: float) -> float:
        """Makes the step in every process alike."""
        norm = float(self._accelerator.clip_grad_norm_(self._model.parameters(), clip_norm))
        step_if_finite(self._optimizer, self.schedule, norm)
        return norm

    def ask(self, work: Callable[[], T]) -> T | None:
        """Asks in the first process; the others go on to the next step and wait there."""
        if not self._accelerator.is_main_process:
            return None
        self._model.eval()
        with self._accelerator.autocast():
            return work()

    def state(self) -> State:
        """What the first process has, like every other one."""
        return {
            "model": trained_state(self._model),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def gather(self) -> None:
        """Nothing: it is whole."""


class Inside(nn.Module):
    """Runs anything as the ``forward`` of a module that holds a model's weights."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, work: Callable[..., T], *arguments: Any) -> T:
        """Returns ``work(*arguments)``."""
        return work(*arguments)


def step_if_finite(optimizer: Any, schedule: LambdaLR, norm: float) -> None:
    """Makes one step of optimizer and schedule, unless the gradients' norm says that they are useless."""
    if torch.isfinite(torch.tensor(norm)):
        optimizer.step()
        schedule.step()
    optimizer.zero_grad()
