"""What answers claim: every canonical answer is judged rightly."""

from __future__ import annotations

import random

import pytest

from videollm.synthetic.language.denials import claims_object, denies
from videollm.synthetic.language.questions import DESCRIPTIONS, KINDS, ask
from videollm.synthetic.sampling import sample_clip


@pytest.mark.parametrize(
    ("text", "denied", "claimed"),
    [
        ("There is no star in this video.", True, False),
        ("The red star does not grow.", True, False),
        ("nothing", True, False),
        ("nothing but a gray background", True, False),
        ("I cannot name what is in this scene.", True, False),
        ("Red.", False, True),
        ("large", False, True),
        ("moves left", False, True),
        ("two stars", False, True),
        ("a small red star and a large blue ring", False, True),
        ("[0:00-0:04] A textured scene. It fades in from black.", False, False),
        ("The camera pans right over a photographed scene; then a red and blue gradient.", False, False),
        ("[0:00-0:02] A textured scene.\\n[0:02-0:05] A star blinks, over a textured scene.", False, True),
    ],
)
def test_answers_are_judged_by_what_they_say(text: str, denied: bool, claimed: bool) -> None:
    assert (denies(text), claims_object(text)) == (denied, claimed)


def test_every_unanswerable_question_is_denied() -> None:
    for seed in range(60):
        question = ask(sample_clip(seed), random.Random(seed), "unanswerable")
        if question is not None:
            assert denies(question.answer), question.answer


@pytest.mark.parametrize("backdrop", ["texture", "photo"])
def test_no_true_answer_about_a_clip_without_objects_claims_one(backdrop: str) -> None:
    for seed in range(20):
        clip, rng = sample_clip(seed, objects=0, backdrop=backdrop), random.Random(seed)
        for kind in (*KINDS, *DESCRIPTIONS):
            question = ask(clip, rng, kind)
            if question is not None:
                assert not claims_object(question.answer), question


@pytest.mark.parametrize("kind", ["contents", "first_last", "action", "colour", "shape", "size", "caption"])
def test_true_answers_about_objects_claim_them(kind: str) -> None:
    asked = 0
    for seed in range(60):
        clip, rng = sample_clip(seed, objects=2), random.Random(seed)
        question = ask(clip, rng, kind)
        if question is not None and question.answer != "nothing":
            asked += 1
            assert claims_object(question.answer), question
    assert asked
