"""What a checkpoint says about itself without being loaded: its card's licence and summary, its weights' sizes."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yaml
from safetensors import SafetensorError, safe_open

from ..errors import CheckpointError
from .families import Family

CARD_FILE = "README.md"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a person should know about a model.

    Attributes:
        licence: The licence, as the card's front matter names it; empty where it does not.
        summary: The card's first paragraph: what the model can see and what not; empty without a card.
    """

    licence: str = ""
    summary: str = ""


def read_card(directory: Path) -> ModelCard:
    """Reads the model card, ``README.md``, of a checkpoint.

    Raises:
        CheckpointError: Its front matter is not YAML.
    """
    path = directory / CARD_FILE
    if not path.is_file():
        return ModelCard()
    text = path.read_text("utf-8")
    front: dict[str, object] = {}
    if text.startswith("---\n"):
        head, _, text = text.removeprefix("---\n").partition("\n---\n")
        try:
            front = yaml.safe_load(head) or {}
        except yaml.YAMLError as error:
            raise CheckpointError(f"{path}: its front matter is not YAML ({error})") from error
    paragraphs = [
        part.strip()
        for part in text.split("\n\n")
        if part.strip() and not part.lstrip().startswith(("#", "!"))
    ]
    return ModelCard(str(front.get("license", "")), " ".join(paragraphs[0].split()) if paragraphs else "")


def count_parameters(directory: Path, family: Family | None = None) -> dict[str, int]:
    """Counts the weights of each component of a checkpoint from the headers of its files.

    Args:
        directory: Where it lies.
        family: What it is one of, if it is a published model.

    Returns:
        Numbers by component, the first part of a weight's name, such as ``vision``.

    Raises:
        CheckpointError: There are no safetensors files, or one is broken.
    """
    files = sorted(directory.glob("*.safetensors"))
    if not files:
        raise CheckpointError(f"{directory}: there are no weights (*.safetensors) here")
    counts: Counter[str] = Counter()
    for file in files:
        try:
            with safe_open(file, framework="np") as weights:
                for name in weights.keys():  # noqa: SIM118 - not a mapping
                    ours = name if family is None else family.rename(name)
                    if ours is not None:
                        counts[ours.partition(".")[0]] += math.prod(weights.get_slice(name).get_shape())
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{file}: the file is broken ({error}); copy it again") from error
        except KeyError as error:
            raise CheckpointError(f"{file}: the tensor {error} is none of this model's") from error
    return dict(counts)
