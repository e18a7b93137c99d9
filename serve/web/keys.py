"""Keys of the API: whoever knows one is the owner of what was brought with it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path

from videollm.errors import ConfigError

# Long enough that guessing is hopeless, so that failures need not be counted.
_FEWEST_CHARACTERS = 16


class ApiKeys:
    """The keys that are let in; kept as hashes only.

    Args:
        keys: The keys as people send them.

    Raises:
        ConfigError: There is none, or one is too short.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._hashes: list[bytes] = []
        for number, key in enumerate(keys, 1):
            if len(key) < _FEWEST_CHARACTERS or not key.isascii() or not key.isprintable() or " " in key:
                raise ConfigError(
                    f"API key {number}: expected {_FEWEST_CHARACTERS} or more ASCII characters without spaces, "
                    f"got {len(key)}; `openssl rand -hex 24` makes one"
                )
            self._hashes.append(_digest(key))
        if not self._hashes:
            raise ConfigError("no API keys: expected one a line")

    @classmethod
    def from_file(cls, path: Path) -> ApiKeys:
        """Reads keys, one a line; empty lines and lines that begin with ``#`` are passed over.

        Raises:
            ConfigError: The file cannot be read, has no key, or one that is too short.
        """
        try:
            lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read as a list of API keys ({error})") from error
        try:
            return cls(line for line in lines if line and not line.startswith("#"))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None

    def owner_of(self, key: str) -> str | None:
        """Returns the owner that a key stands for, or nothing if the key is unknown.

        Every key is compared, and in constant time: how long it takes says nothing about the keys.
        """
        digest = _digest(key)
        known = False
        for one in self._hashes:
            known |= hmac.compare_digest(one, digest)
        return f"key-{digest.hex()[:32]}" if known else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
