"""Parts of a job, which several machines describe: told apart by what files hold, so that no order matters."""

from __future__ import annotations

from typing import TypeAlias

from ..errors import ConfigError

#: Part of a job: which of how many, counted from 1.
Shard: TypeAlias = tuple[int, int]


def check_shard(shard: Shard | None) -> None:
    """Refuses parts that there are not.

    Raises:
        ConfigError: It is none.
    """
    if shard is not None and not 1 <= shard[0] <= shard[1]:
        raise ConfigError(f"a shard is I/N with I from 1 to N, got {shard[0]}/{shard[1]}")


def belongs(content: str, shard: Shard) -> bool:
    """Whether what has this hash, in hexadecimal digits, is described by this part."""
    number, count = shard
    return int(content[:15], 16) % count == number - 1
