"""FSDP2: each process keeps its share of the weights, gradients and optimizer states, and gathers a block when it runs.

torch's own ``fully_shard``. Its forward passes are talks between all processes: each has to run as many as the others,
and questions are asked by all of them together.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from accelerate import Accelerator
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer
from torch.utils._pytree import tree_map_only

from .checkpoint import restore_trained, trained_state
from .engine import Inside, State, step_if_finite
from .optimization import build_optimizer, build_schedule
from .settings import RunSettings
from .task import Task

T = TypeVar("T")


class ShardedModel:
    """An :class:`~train.engine.Engine` whose processes share one model.

    Args:
        task: The stage.
        settings: Its settings.
        accelerator: Device, precision and processes.
        state: What :meth:`state` or that of the other engine returned, to go on from.
    """

    def __init__(
        self, task: Task, settings: RunSettings, accelerator: Accelerator, state: State | None
    ) -> None:
        self._model, self._accelerator = task.model, accelerator
        if state is not None:
            restore_trained(task.model, state["model"])
        self._module = _shard(task, accelerator)
        self._optimizer = build_optimizer(task.model, settings.optimizer)
        self.schedule = build_schedule(self._optimizer, settings.optimizer, settings.steps)
        if state is not None:
            self._optimizer.load_state_dict(_spread(state["optimizer"], self._optimizer))
            self.schedule.load_state_dict(state["schedule"])

    def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Runs ``work`` with the weights outside the blocks gathered."""
        return cast(T, self._module(work, *arguments))

    def parts(self, own: int) -> int:
        """As many as the process with the most has."""
        most = torch.tensor(own, device=self._accelerator.device)
        dist.all_reduce(most, dist.ReduceOp.MAX)
        return int(most)

    def synchronised(self, *, last: bool) -> AbstractContextManager[Any]:
        """Exchanges gradients after every part: kept until the last one, they would be as large as the model."""
        return nullcontext()

    def step(self, clip_norm: float) -> float:
        """Makes the step, each process on its share."""
        norm = nn.utils.clip_grad_norm_(self._model.parameters(), clip_norm)
        full = float(_gathered(norm))
        step_if_finite(self._optimizer, self.schedule, full)
        return full

    def ask(self, work: Callable[[], T]) -> T | None:
        """Asks in all processes together."""
        self._model.eval()
        with self._accelerator.autocast(), torch.no_grad():
            found: T = self._module(work)
        self._module.reshard()
        return found if self._accelerator.is_main_process else None

    def state(self) -> State:
        """Whole tensors on the CPU: a run may go on with another number of processes, or with one."""
        return {
            "model": _gathered(trained_state(self._model)),
            "optimizer": _gathered(self._optimizer.state_dict()),
            "schedule": self.schedule.state_dict(),
        }

    def gather(self) -> None:
        """Puts whole weights into the first process's model; the others' are empty."""
        self._module.reshard()
        gathered: dict[nn.Parameter, nn.Parameter] = {}
        for module in self._model.modules():
            for name, weight in module.named_parameters(recurse=False):
                # Tied weights stay tied.
                if weight not in gathered:
                    whole = _gathered(weight.detach())
                    kept = whole if self._accelerator.is_main_process else torch.empty(0)
                    gathered[weight] = nn.Parameter(kept, weight.requires_grad)
                setattr(module, name, gathered[weight])


def _shard(task: Task, accelerator: Accelerator) -> Any:
    """Shards the model's blocks, which are gathered one at a time, and what is trained beside them.

    What is frozen beside them stays whole: embeddings would be gathered for the whole of each step anyway.
    """
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    for block in task.blocks():
        fully_shard(block, mesh=mesh)
    frozen = {
        weight
        for weight in task.model.parameters()
        if not (weight.requires_grad or isinstance(weight, DTensor))
    }
    module = Inside(task.model)
    fully_shard(module, mesh=mesh, ignored_params=frozen)
    return module.to(accelerator.device)


def _gathered(tree: Any) -> Any:
    """The same with whole tensors on the CPU in place of shares."""
    return tree_map_only(DTensor, lambda share: share.full_tensor().cpu(), tree)


def _spread(state: State, optimizer: Optimizer) -> State:
    """An optimizer's state with each process's share in place of whole tensors."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    shares = {
        index: {name: _share_like(weights[index], value) for name, value in kept.items()}
        for index, kept in state["state"].items()
    }
    return {**state, "state": shares}


def _share_like(weight: DTensor, value: torch.Tensor) -> torch.Tensor:
    """Shares what belongs to a weight's elements as the weight is; a count of steps is everyone's."""
    if value.shape != weight.shape:
        return value
    return distribute_tensor(value.to(weight.device), weight.device_mesh, weight.placements)
