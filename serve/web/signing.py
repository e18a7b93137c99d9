"""Statements that only this server can have made: a secret of its own, and values signed with it."""

from __future__ import annotations

import base64
import hmac
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from videollm.errors import ConfigError, OutputError

SECRET_NAME = "secret"
_SECRET_BYTES = 32
# Far longer than anything signed here; what is longer is not worth hashing.
_MOST_CHARACTERS = 256


def load_secret(directory: Path) -> bytes:
    """Returns the secret of a data directory; the first call makes both.

    Returns:
        32 random bytes, the same ones for the life of the directory.

    Raises:
        ConfigError: The file is not such a secret, or others on the machine can read it.
        OutputError: The directory cannot be written or read.
    """
    path = directory / SECRET_NAME
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _make_secret(path)
        return _read_secret(path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written or read ({error.strerror}): choose another --data"
        ) from error


def _make_secret(path: Path) -> None:
    draft = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        _name(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _name(draft: Path, path: Path) -> None:
    """Gives the draft its name, whole or not at all; of two programs that start at once the first one's stands."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        draft.replace(path)


def _read_secret(path: Path) -> bytes:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ConfigError(
            f"{path} can be read by others on this machine: remove it (all will come as new) or chmod 600 it"
        )
    secret = path.read_bytes()
    if len(secret) != _SECRET_BYTES:
        raise ConfigError(
            f"{path} is no secret of this server: expected {_SECRET_BYTES} bytes, got {len(secret)}; remove it"
        )
    return secret


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signed text says.

    Attributes:
        value: The value.
        issued_s: When it was signed, in seconds since 1970.
    """

    value: str
    issued_s: int


class Signer:
    """Signs values for one purpose with HMAC-SHA256 (RFC 2104); what is signed for another purpose is not accepted.

    Args:
        secret: The server's secret.
        purpose: What the values are for; part of the key.
    """

    def __init__(self, secret: bytes, purpose: bytes) -> None:
        self._key = hmac.digest(secret, purpose, "sha256")

    def sign(self, value: str, issued_s: int) -> str:
        """Returns ``value.issued_s.signature``."""
        text = f"{value}.{issued_s}"
        return f"{text}.{self._signature(text)}"

    def read(self, token: str) -> Signed | None:
        """Returns what a token of :meth:`sign` says, or nothing if this server did not sign it."""
        if len(token) > _MOST_CHARACTERS:
            return None
        text, _, signature = token.rpartition(".")
        if not hmac.compare_digest(self._signature(text).encode(), signature.encode()):
            return None
        value, _, issued_s = text.rpartition(".")
        return Signed(value, int(issued_s))

    def _signature(self, text: str) -> str:
        digest = hmac.digest(self._key, text.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
