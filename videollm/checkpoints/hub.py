"""Published models by their name on the Hugging Face hub, through its own cache and its own switches.

``HF_HUB_OFFLINE=1`` keeps to the cache, ``HF_HOME`` moves it, ``HF_TOKEN`` or ``hf auth login`` opens gated models.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path

from ..errors import UnsupportedModelError

_NAME = re.compile(r"[\w.-]+/[\w.-]+")
# Configuration, tokenizer and safetensors; no pickles.
_WANTED = ["*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt", "*.safetensors"]


def is_hub_name(name: str) -> bool:
    """Returns whether a name has the form ``owner/model``."""
    return _NAME.fullmatch(name) is not None and not name.startswith((".", "~"))


@functools.cache
def fetch(name: str, accepts: Callable[[dict[str, object]], bool]) -> Path:
    """Returns the directory of a published model in the hub's cache, fetched if it is not there.

    Args:
        name: Such as ``llava-hf/llava-onevision-qwen2-0.5b-ov-hf``.
        accepts: Whether a model of this configuration is of use.

    Raises:
        UnsupportedModelError: There is no such model, it may not be had, it is of no supported family, or it is not in
            the cache and the hub cannot be reached.
    """
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    try:
        # What it is, before gigabytes are fetched.
        config = json.loads(Path(hf_hub_download(name, "config.json")).read_text("utf-8"))
        if not accepts(config):
            raise UnsupportedModelError(
                f"{name}: models of type {config.get('model_type')!r} are not supported"
            )
        return Path(snapshot_download(name, allow_patterns=_WANTED))
    except GatedRepoError as error:
        raise UnsupportedModelError(
            f"{name}: its owners ask for consent first; give it on the model's page, then run 'hf auth login'"
        ) from error
    except RepositoryNotFoundError as error:
        raise UnsupportedModelError(
            f"{name}: there is no such directory, and no such model on the hub (or it is private: 'hf auth login')"
        ) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise UnsupportedModelError(
            f"{name}: there is no such directory, it is not in the hub's cache, and the hub cannot be reached; "
            "get it where there is a network ('hf download'), or name its directory"
        ) from error
    except EntryNotFoundError as error:
        raise UnsupportedModelError(f"{name}: this repository of the hub holds no config.json") from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UnsupportedModelError(f"{name}: it cannot be had from the hub ({reason})") from error
