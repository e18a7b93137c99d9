"""How much may be kept: of a file, of an owner, in all, and what must stay free on the disk."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

import anyio

from .errors import RequestError
from .storage import UploadStore, in_thread

# Where the size of a body is not declared, room is asked for in steps of this size.
_STEP_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Quotas:
    """The limits, in bytes but for ``owner_files``.

    Attributes:
        file_bytes: Largest file.
        owner_bytes: Most of one owner.
        owner_files: Most files of one owner.
        total_bytes: Most of all owners.
        free_bytes: What stays free on the disk.
    """

    file_bytes: int = 2_048_000_000
    owner_bytes: int = 20_000_000_000
    owner_files: int = 500
    total_bytes: int = 100_000_000_000
    free_bytes: int = 1_000_000_000


class _Kept(NamedTuple):
    """What there is already."""

    owner_bytes: int
    owner_files: int
    total_bytes: int
    free_bytes: int


class Claim:
    """Room for one file that is arriving.

    Attributes:
        owner: Whose it is.
        claimed_bytes: Room set aside.
        received_bytes: How much of it has been used.
    """

    def __init__(self, ledger: Ledger, owner: str) -> None:
        self.owner = owner
        self.claimed_bytes = 0
        self.received_bytes = 0
        self._ledger = ledger

    async def take(self, count: int) -> None:
        """Uses some of the room; asks for more where it does not suffice.

        Raises:
            RequestError: There is no more room, or the file has become too large.
        """
        self.received_bytes += count
        self._ledger.check_file(self.received_bytes)
        if self.received_bytes > self.claimed_bytes:
            await self._ledger.extend(self, max(_STEP_BYTES, self.received_bytes - self.claimed_bytes))


class Ledger:
    """Keeps the account of all files that are arriving: two that each fit must not together be too much.

    Args:
        store: What is kept already.
        quotas: The limits.
    """

    def __init__(self, store: UploadStore, quotas: Quotas) -> None:
        self._store = store
        self._quotas = quotas
        self._claims: list[Claim] = []
        self._lock = anyio.Lock()

    @asynccontextmanager
    async def claim(self, owner: str, declared_bytes: int) -> AsyncIterator[Claim]:
        """Sets room aside for a file, until the end of the block.

        Args:
            owner: Whose it is.
            declared_bytes: Size of the body, 0 if unknown.

        Raises:
            RequestError: There is no room.
        """
        claim = Claim(self, owner)
        self._claims.append(claim)
        try:
            await self.extend(claim, declared_bytes)
            yield claim
        finally:
            self._claims.remove(claim)

    def check_file(self, count: int) -> None:
        """Checks the size of one file.

        Raises:
            RequestError: It is too large.
        """
        if count > self._quotas.file_bytes:
            raise RequestError(
                413,
                f"the file is too large: at most {self._quotas.file_bytes:,} bytes are taken",
                code="too_large",
            )

    async def extend(self, claim: Claim, count: int) -> None:
        """Sets further room aside.

        Raises:
            RequestError: There is no more room.
        """
        async with self._lock:
            kept = await in_thread(self._look, claim.owner)
            self._check_owner(claim.owner, kept, count)
            self._check_server(kept, count)
            claim.claimed_bytes += count

    def _check_owner(self, owner: str, kept: _Kept, count: int) -> None:
        arriving = [one.claimed_bytes for one in self._claims if one.owner == owner]
        if kept.owner_files + len(arriving) > self._quotas.owner_files:
            raise _owner_full(f"at most {self._quotas.owner_files} files")
        if kept.owner_bytes + sum(arriving) + count > self._quotas.owner_bytes:
            raise _owner_full(f"at most {self._quotas.owner_bytes:,} bytes")

    def _check_server(self, kept: _Kept, count: int) -> None:
        arriving_bytes = sum(one.claimed_bytes for one in self._claims) + count
        unwritten_bytes = arriving_bytes - sum(one.received_bytes for one in self._claims)
        too_much = kept.total_bytes + arriving_bytes > self._quotas.total_bytes
        if too_much or kept.free_bytes - unwritten_bytes < self._quotas.free_bytes:
            raise RequestError(507, "the server has no room for this file now", code="server_full")

    def _look(self, owner: str) -> _Kept:
        store = self._store
        free_bytes = shutil.disk_usage(store.incoming).free
        return _Kept(store.used(owner), len(store.list(owner)), store.used_by_all(), free_bytes)


def _owner_full(limit: str) -> RequestError:
    return RequestError(
        413, f"there is no room for this file: {limit} are kept for you; remove some", code="quota_exceeded"
    )
