"""The wordings of questions: many for each kind, the test split's own among them, spelt in more than one way."""

from __future__ import annotations

import random
import re

from videollm.synthetic.language import phrasings
from videollm.synthetic.language.follow_ups import FOLLOW_UPS, TEST_FOLLOW_UPS
from videollm.synthetic.language.held_out_wordings import TEST_WORDINGS
from videollm.synthetic.language.indirect import INDIRECT_WORDINGS
from videollm.synthetic.language.small_talk import SMALL_TALK, TEST_SMALL_TALK
from videollm.synthetic.language.wordings import WORDINGS


def test_every_kind_has_a_dozen_wordings_and_the_test_split_at_least_two_of_its_own():
    for key, wordings in WORDINGS.items():
        assert len(set(wordings)) >= 12, key
        assert len(set(TEST_WORDINGS[key])) >= 2, key
        assert not {*wordings} & {*TEST_WORDINGS[key]}, key
    for train, test in ((FOLLOW_UPS, TEST_FOLLOW_UPS), (SMALL_TALK, TEST_SMALL_TALK)):
        assert train.keys() == test.keys()
        assert not any({*train[key]} & {*test[key]} for key in train)


def test_every_kind_is_asked_in_a_hundred_ways_put_together_none_of_them_the_test_splits():
    assert INDIRECT_WORDINGS.keys() == WORDINGS.keys()
    for key, wordings in INDIRECT_WORDINGS.items():
        assert len(set(wordings)) > 100, key
        assert not {*wordings} & {*TEST_WORDINGS[key]}, key
        for wording in wordings:
            assert not wording.startswith(("Give me", "Say", "Would you say", "Look", "Do you know")), wording
            assert wording.endswith((".", "?")), wording
            assert "{}" not in wording, wording


def test_training_uses_no_wording_of_the_test_split():
    rng = random.Random(9)
    slots = dict.fromkeys(("thing", "things", "some", "bare", "does", "do", "doing", "other"), "x")
    slots |= dict.fromkeys(("other_does", "relation", "time", "seconds", "cut"), "x")
    said = {key: [phrasings.say(rng, "train", key, **slots) for _ in range(300)] for key in WORDINGS}
    for key, templates in TEST_WORDINGS.items():
        own = [re.escape(template.split("{")[0].lower()) for template in templates if template.split("{")[0]]
        endings = [
            template.format(where="", scope="the clip", **slots).lower().rstrip("?.")
            for template in templates
        ]
        texts = [wording.text.lower().rstrip("?.") for wording in said[key]]
        assert not {*texts} & {*endings}, key
        assert not any(wording.only_in_test for wording in said[key])
        assert own


def test_spelling_capitals_and_question_marks_vary():
    rng = random.Random(10)
    texts = [phrasings.say(rng, "train", "colour", thing="the gray star").text for _ in range(400)]
    for found in ("colour", "color", "gray", "grey"):
        assert sum(found in text for text in texts) > 40
    assert sum(text == text.lower() for text in texts) > 40
    assert sum(text[-1] not in "?." for text in texts) > 20
