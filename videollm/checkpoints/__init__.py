"""Models by name: the built-in one, checkpoint directories, and adapters over their base; always strict.

:func:`load_model` brings torch with it, so it is imported when first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .directories import POCKET, ModelDirectory, find_model

if TYPE_CHECKING:
    from .loading import load_model

__all__ = ["POCKET", "ModelDirectory", "find_model", "load_model"]


def __getattr__(name: str) -> Any:
    if name == "load_model":
        from .loading import load_model

        return load_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
