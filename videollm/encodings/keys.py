"""What an encoded medium is known by, as text that stays the same from run to run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from operator import methodcaller
from typing import Any

# Counted up when the same file, settings and weights become other tokens than before: through a change in how frames
# are chosen, read, scaled or encoded that neither the settings nor the weights show.
_SEEING = 1


@dataclass(frozen=True, slots=True)
class EncodingKey:
    """What an encoded medium depends on.

    Attributes:
        looked_at: What was looked at and how closely, as :func:`describe_look` tells it.
        fingerprint: The weights and settings that encoded it; see ``VideoLLM.fingerprint``.
    """

    looked_at: str
    fingerprint: str

    @property
    def text(self) -> str:
        """The whole key as one line of ASCII."""
        return json.dumps([self.looked_at, self.fingerprint])

    @property
    def stem(self) -> str:
        """A name for a file: two SHA-256 hashes, of what was looked at and of who encoded it."""
        return f"{name_of_look(self.looked_at)}-{_sha256(self.fingerprint)}"


def describe_look(**parts: Any) -> str:
    """Tells what is looked at as JSON: the same text for the same parts, in whichever order they are given.

    Args:
        **parts: A content hash and settings: plain values, numbers of NumPy, or containers of them.
    """
    return json.dumps({"seeing": _SEEING, **parts}, sort_keys=True, default=methodcaller("item"))


def name_of_look(looked_at: str) -> str:
    """Returns the first half of the names of all files about what was looked at, whichever model encoded it."""
    return _sha256(looked_at)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
