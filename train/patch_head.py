"""Linear classifiers of what each patch shows: they teach the ViT and are thrown away after its pretraining."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import nn

from videollm.synthetic.scenes import ACTIONS, CAMERAS, HELD_OUT_ACTING, HELD_OUT_COLOURED

from .optimization import Head
from .patch_labels import CLASSES, IGNORED, OBJECT_TRAITS
from .patch_motion import MOTIONS

# Patches without an object are many and easy.
_EMPTY_WEIGHT = 0.05
_OBJECTS = len(OBJECT_TRAITS)
# Classes of the traits that tell which way something goes. Most stands still, and would hide that none of it is seen.
_DIRECTIONS = {
    "doing": torch.tensor([1 + ACTIONS.index(name) for name in ACTIONS if name.startswith("moves")]),
    "camera": torch.arange(1, len(CAMERAS)),
}


def _kept_apart(
    one: str, other: str, pairs: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], torch.Tensor]:
    """For two traits, either way: whether training keeps a class of the one (rows) from one of the other (columns)."""
    apart = torch.zeros(CLASSES[one], CLASSES[other], dtype=torch.bool)
    for first, second in pairs:
        apart[OBJECT_TRAITS[one].index(first) + 1, OBJECT_TRAITS[other].index(second) + 1] = True
    return {(one, other): apart, (other, one): apart.T}


# What training never shows in one object. Asked to tell it from the rest, a ViT learns that it cannot be.
_APART = _kept_apart("colour", "shape", HELD_OUT_COLOURED) | _kept_apart("shape", "doing", HELD_OUT_ACTING)


class PatchHead(Head):
    """On every patch one linear classifier for each trait, and linear maps to how it moves.

    Args:
        width: Width of the patches.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.traits = nn.Linear(width, sum(CLASSES.values()))
        self.motions = nn.Linear(width, len(MOTIONS))

    def forward(self, patches_NPD: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Returns the logits (N, P, classes) of every trait in the order of ``CLASSES``, and (N, P, motions)."""
        normed = self.norm(patches_NPD)
        logits: torch.Tensor = self.traits(normed)
        motions: torch.Tensor = self.motions(normed)
        return list(logits.float().split(list(CLASSES.values()), dim=-1)), motions.float()


def patch_losses(logits: list[torch.Tensor], classes_NPK: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy by trait, each class against those that training may show beside the patch's other traits.

    Args:
        logits: Of every trait, (N, P, classes).
        classes_NPK: Labels, ``IGNORED`` where there is none.

    Returns:
        Sum over the traits of objects of the mean over patches, in which patches without an object count little; and
        the mean over the traits of the scene of the plain mean over patches.
    """
    of_objects, of_scene = [], []
    for trait, logits_NPV in enumerate(logits):
        labels_M = classes_NPK[..., trait].flatten()
        open_MV = logits_NPV.flatten(0, 1).masked_fill(_excluded(trait, classes_NPK).flatten(0, 1), -math.inf)
        losses_M = F.cross_entropy(open_MV, labels_M, reduction="none", ignore_index=IGNORED)
        known_M = labels_M != IGNORED
        if trait < _OBJECTS:
            weights_M = torch.where(labels_M > 0, 1.0, _EMPTY_WEIGHT) * known_M
            of_objects.append(losses_M @ weights_M / weights_M.sum().clamp(min=1))
        else:
            of_scene.append(losses_M.sum() / known_M.sum().clamp(min=1))
    return torch.stack(of_objects).sum(), torch.stack(of_scene).mean()


def _excluded(trait: int, classes_NPK: torch.Tensor) -> torch.Tensor:
    """Which classes (N, P, V) of a trait training never shows beside the other traits of each patch."""
    names = list(CLASSES)
    shape = (*classes_NPK.shape[:2], CLASSES[names[trait]])
    excluded = torch.zeros(shape, dtype=torch.bool, device=classes_NPK.device)
    for (given, asked), apart in _APART.items():
        if asked == names[trait]:
            # What is not known excludes nothing, like class 0, which is no object.
            excluded |= apart.to(excluded.device)[classes_NPK[..., names.index(given)].clamp(min=0)]
    return excluded


def count_right(
    logits: list[torch.Tensor], classes_NPK: torch.Tensor, centres_NP: torch.Tensor
) -> dict[str, tuple[int, int]]:
    """How often the traits are told right: of objects at their centres, of the scene at every patch.

    Returns:
        Right and asked by trait; by ``doing moving`` and ``camera moving``, of these what goes somewhere; by ``whole``,
        objects of which every trait that can be told is right; and by ``nothing``, patches without an object where no
        colour is seen.
    """
    found: dict[str, tuple[int, int]] = {}
    whole_M = torch.ones(int(centres_NP.sum()), dtype=torch.bool, device=centres_NP.device)
    for trait, (name, logits_NPV) in enumerate(zip(CLASSES, logits, strict=True)):
        labels_NP, guesses_NP = classes_NPK[..., trait], logits_NPV.argmax(-1)
        asked_NP = labels_NP != IGNORED
        if trait < _OBJECTS:
            asked_NP = asked_NP & centres_NP
            whole_M &= ((guesses_NP == labels_NP) | (labels_NP == IGNORED))[centres_NP]
        right_NP = (guesses_NP == labels_NP) & asked_NP
        found[name] = (int(right_NP.sum()), int(asked_NP.sum()))
        if name in _DIRECTIONS:
            moving_NP = torch.isin(labels_NP, _DIRECTIONS[name].to(labels_NP.device)) & asked_NP
            found[f"{name} moving"] = (int((right_NP & moving_NP).sum()), int(moving_NP.sum()))
    found["whole"] = (int(whole_M.sum()), len(whole_M))
    empty_NP = classes_NPK[..., 0] == 0
    found["nothing"] = (int((logits[0].argmax(-1) == 0)[empty_NP].sum()), int(empty_NP.sum()))
    return found
