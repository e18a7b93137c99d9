"""Which words do not compete in the loss, for answers written by hand and drawn ones; the loss leaves them out."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest
import torch

from videollm.checkpoints import POCKET, load_model
from videollm.media import processor_of
from videollm.model.prompting import IGNORED
from videollm.synthetic.language.question import Question
from videollm.synthetic.language.questions import ask
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import Action, WorldObject
from videollm_train.answers import answer_loss
from videollm_train.held_back import HeldBack


@pytest.fixture(scope="module")
def tokenizer():
    return processor_of(load_model(POCKET, device="cpu")).tokenizer


@pytest.fixture(scope="module")
def held_back(tokenizer):
    return HeldBack(tokenizer)


def thing(colour, shape, action="stays still"):
    return WorldObject(colour, shape, "small", Action(action, 0.0, 1.0), 0.5, 0.5, 0.2, (0, 0, 0))


def found(held_back, tokenizer, *questions):
    """For each answer the word that is said and the one that does not compete, as pieces."""
    labels = [IGNORED]
    for question in questions:
        labels += [*tokenizer.encode(question.answer, add_special_tokens=False), IGNORED]
    return [
        tuple(tokenizer.convert_ids_to_tokens([labels[place], token]))
        for place, token in sorted(held_back(labels, questions))
    ]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("a small red heart", [("▁red", "▁orange")]),
        ("a large orange star", [("▁orange", "▁purple"), ("▁star", "▁heart")]),
        # What spins is no star; a ring that spins is no orange one.
        ("a large red ring spins", [("▁red", "▁pink"), ("▁ring", "▁star"), ("▁spins", "▁grows")]),
        # Left and up are told apart behind "moves"; nothing else begins with it that is held back of a cross.
        ("a small red cross moves left", [("▁red", "▁white"), ("▁left", "▁up")]),
        ("a small red heart and a large gray star", [("▁red", "▁orange"), ("▁gray", "▁purple")]),
        ("There is no red heart in this video.", [("▁red", "▁orange")]),
        ("nothing but a red background", []),
        ("A red and blue gradient.", []),
        ("3", []),
    ],
)
def test_words_that_would_name_what_is_held_back_do_not_compete(held_back, tokenizer, answer, expected):
    assert found(held_back, tokenizer, Question("contents", answer)) == expected


def test_a_word_alone_is_a_trait_of_what_was_asked_about(held_back, tokenizer):
    asked = [
        Question("colour", "red", about=(thing("red", "star"),)),
        Question("shape", "star", about=(thing("orange", "star", "blinks"),)),
        Question("action", "shrinks", about=(thing("red", "star", "shrinks"),)),
        Question("exists", "yes", about=(thing("red", "star"),)),
    ]
    # "shrinks" and "spins" are told apart by their second piece.
    assert found(held_back, tokenizer, *asked) == [("red", "purple"), ("star", "heart"), ("h", "p")]


def test_what_is_said_always_competes(held_back, tokenizer):
    rng = random.Random(0)
    for seed in range(40):
        clip = sample_clip(seed, "train")
        asked = [
            question
            for kind in ("caption", "dense", "contents", "action", "first_last")
            if (question := ask(clip, rng, kind))
        ]
        assert all(said != barred for said, barred in found(held_back, tokenizer, *asked))


def test_the_loss_leaves_out_what_is_excluded():
    torch.manual_seed(0)
    logits_BLV = torch.randn(2, 4, 7)
    labels = torch.tensor([[IGNORED, IGNORED, 3, 5], [IGNORED, 2, IGNORED, 6]])
    batch = {
        "input_ids": labels.clamp(min=0),
        "labels": labels,
        "position_ids": torch.arange(4).expand(2, 4),
        "owners": torch.ones(2, 4, dtype=torch.int64),
    }

    def model(*, logits_to_keep, **_):
        return SimpleNamespace(logits=logits_BLV[logits_to_keep])

    def by_hand(excluded):
        total = torch.zeros(())
        for row, place, label in ((0, 2, 3), (0, 3, 5), (1, 1, 2), (1, 3, 6)):
            logits = logits_BLV[row, place - 1].clone()
            logits[[token for one, where, token in excluded if (one, where) == (row, place)]] = -torch.inf
            total -= logits.log_softmax(0)[label]
        return total

    plain = answer_loss(model, batch, torch.float32)
    torch.testing.assert_close(plain, by_hand([]))
    excluded = [(0, 3, 1), (0, 3, 6), (1, 1, 0)]
    without = answer_loss(model, batch | {"excluded": torch.tensor(excluded)}, torch.float32)
    torch.testing.assert_close(without, by_hand(excluded))
    none = torch.zeros(0, 3, dtype=torch.int64)
    assert answer_loss(model, batch | {"excluded": none}, torch.float32) == plain
