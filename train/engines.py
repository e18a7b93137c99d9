"""Which of torch's engines a run takes, and which of accelerate's it refuses."""

from __future__ import annotations

from collections.abc import Callable

from accelerate import Accelerator, DistributedType

from videollm.errors import ConfigError

from .engine import Engine, WholeModel
from .settings import RunSettings


def engine_for(settings: RunSettings, accelerator: Accelerator) -> Callable[..., Engine]:
    """Returns the class of engine that a run's settings and processes ask for."""
    if settings.sharded and accelerator.num_processes > 1:
        from .sharding import ShardedModel  # torch's FSDP is slow to import

        return ShardedModel
    return WholeModel


def check_launcher(accelerator: Accelerator) -> None:
    """Refuses engines of accelerate's that would need the loop to be theirs.

    Raises:
        ConfigError: accelerate was launched with one of them.
    """
    engine = accelerator.distributed_type
    if engine in (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM):
        raise ConfigError(
            f"accelerate was launched with {engine.value}, which is not supported; launch it as for DDP "
            "(configs/accelerate/ddp.yaml), and give sharded=true for processes that share one model"
        )
