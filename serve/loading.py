"""The models that a server was told to serve: found and named first, which is quick, then loaded."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videollm.checkpoints import find_model
from videollm.checkpoints.hub import is_hub_name
from videollm.errors import ConfigError, VideoLLMError

if TYPE_CHECKING:
    from videollm.checkpoints import ModelDirectory
    from videollm.encodings.cache import EncodedCache

    from .service.models import Models
    from .service.service import ChatService

# Below this many parameters several threads of a matrix product wait for one another longer than they help, and keep
# the cores from the threads that read and answer: 2.8 instead of 1.9 times the answers of one client, for forty.
_SMALL_MODEL = 100_000_000


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model that can be loaded.

    Attributes:
        name: What it is called here.
        directory: Where it lies.
    """

    name: str
    directory: ModelDirectory


def find_models(wanted: Sequence[str]) -> list[FoundModel]:
    """Finds models and gives them names that differ.

    Args:
        wanted: What ``load_model`` takes, for each.

    Raises:
        VideoLLMError: One of them is no model, or is wanted twice.
    """
    from .service.models import tell_apart

    found = [find_model(one) for one in wanted]
    places = [_place(one) for one in found]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise ConfigError(f"--model {wanted[number]} is given twice; once is enough")
    return [FoundModel(name, one) for name, one in zip(tell_apart(places), found, strict=True)]


def load_models(found: Sequence[FoundModel], loading: Mapping[str, Any], *, keeps_encoded: bool) -> Models:
    """Loads models, which share what is kept of media.

    Args:
        found: The models.
        loading: Keyword options of ``load_model``, for all of them.
        keeps_encoded: Whether encoded media are kept on the disk as well.

    Raises:
        VideoLLMError: One of them cannot be loaded; the message says which.
    """
    import torch

    from videollm.encodings.cache import EncodedCache
    from videollm.encodings.memory import MemoryCache
    from videollm.encodings.places import open_cache
    from videollm.video import warm_up

    from .service.models import Models

    warm_up()
    cache = open_cache() if keeps_encoded else EncodedCache(MemoryCache())
    models = Models([_load(one, loading, cache) for one in found])
    if all(one.model.device.type == "cpu" and one.model.num_parameters() < _SMALL_MODEL for one in models):
        torch.set_num_threads(1)
    return models


def _place(found: ModelDirectory) -> Path:
    """Where a model lies for people: not in which folder of this installation, or of the hub's cache."""
    if found.name == "pocket" or (is_hub_name(found.name) and not Path(found.name).exists()):
        return Path("/", found.name)
    return (found.adapter or found.base).resolve()


def _load(found: FoundModel, loading: Mapping[str, Any], cache: EncodedCache) -> ChatService:
    from videollm import load_model

    from .service.service import ChatService, card_summary

    wanted = found.directory.name
    print(f"loading {wanted} …", file=sys.stderr)
    try:
        model = load_model(wanted, **loading)
    except VideoLLMError as error:
        told = str(error) if wanted in str(error) else f"{wanted}: {error}"
        raise type(error)(told) from error
    return ChatService(model, found.name, card_summary(found.directory.base), cache=cache)
