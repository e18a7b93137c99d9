"""Questions that assume what is not so, and questions about anything but the pocket world."""

from __future__ import annotations

import random
from collections.abc import Callable

from .. import truth, words
from ..scenes import ACTIONS, SIZES, Clip
from . import facts, references
from .foreign import draw_foreign
from .phrasings import say
from .question import Question
from .small_talk import OUT_OF_SCOPE, SMALL_TALK, TEST_SMALL_TALK

_TEST_SAYING_SHARE = 0.25
_FOREIGN_SHARE = 0.35
_FOREIGN = "foreign"
_TIMES = ("when", "after", "before")
_OF_ANY_OBJECT = ("size", "action", "time")
# What can be asked about something that is not there, by what is said of it.
_ABSENT = (
    (references.absent_shape, ("colour", "colour", *_OF_ANY_OBJECT)),
    (references.absent_object, ("shape", "shape", *_OF_ANY_OBJECT)),
    (references.absent_name, _OF_ANY_OBJECT),
    (references.absent_doer, ("colour", "shape", "size")),
)
_SIZED_SHARE = 0.15


def ask_unanswerable(clip: Clip, rng: random.Random) -> Question | None:
    """Asks about an object, an action, a shot or a cut that is not there; each form is as likely where it can be."""
    for form in rng.sample(list(_FORMS), len(_FORMS)):
        question = _FORMS[form](clip, rng)
        if question:
            return question
    return None


def ask_out_of_scope(clip: Clip, rng: random.Random) -> Question:
    """Asks something that pocket cannot speak about: a listed sentence, each topic as likely, or one made of parts."""
    only_in_test = clip.split == "test" and rng.random() < _TEST_SAYING_SHARE
    if rng.random() < _FOREIGN_SHARE:
        topic, text = _FOREIGN, draw_foreign(rng, only_in_test=only_in_test)
    else:
        topic = rng.choice(sorted(SMALL_TALK))
        text = rng.choice((TEST_SMALL_TALK if only_in_test else SMALL_TALK)[topic])
    if rng.random() < 0.25:
        text = text.lower()
    if text.endswith(("?", ".")) and rng.random() < 0.15:
        text = text[:-1].rstrip()
    return Question("out_of_scope", OUT_OF_SCOPE, text, form=topic, only_in_test=only_in_test)


def _no_object(clip: Clip, rng: random.Random) -> Question | None:
    return _absent_object(clip, rng, None)


def _no_object_in_shot(clip: Clip, rng: random.Random) -> Question | None:
    return _absent_object(clip, rng, rng.randrange(len(clip.shots))) if len(clip.shots) > 1 else None


def _absent_object(clip: Clip, rng: random.Random, shot_index: int | None) -> Question | None:
    draw, topics = rng.choice(_ABSENT)
    noun = draw(rng, clip, shot_index)
    if not noun:
        return None
    topic = rng.choice([topic for topic in topics if shot_index is None or topic != "time"])
    if topic != "size" and rng.random() < _SIZED_SHARE:
        noun = f"{rng.choice(SIZES)} {noun}"
    place = "this video" if shot_index is None else f"the {words.ORDINALS[shot_index]} shot"
    form = "no_object" if shot_index is None else "no_object_in_shot"
    fact = Question("unanswerable", f"There is no {noun} in {place}.", form=form, shot_index=shot_index)
    slots = {"thing": references.in_other_words(rng, f"the {noun}")}
    if topic == "time":
        topic = rng.choice(_TIMES)
        possible = [kind for kind in ACTIONS[1:] if references.may_act(clip, noun.split(" ")[-1], kind)]
        slots |= words.verb_forms(rng.choice(possible))
    return fact.worded(say(rng, clip.split, topic, shot_index, **slots))


def _no_action(clip: Clip, rng: random.Random) -> Question | None:
    things = [thing for shot in clip.shots if truth.shows_actions(shot) for thing in shot.objects]
    options = [(thing, wrong) for thing in things for wrong in references.wrong_actions(clip, thing)]
    if not options:
        return None
    thing, wrong = rng.choice(options)
    slots = {"thing": references.by_shape_or_name(rng, clip, thing), **words.verb_forms(wrong)}
    answer = words.capitalised(f"{slots['thing']} does not {slots['do']}.")
    fact = Question("unanswerable", answer, form="no_action", about=(thing,))
    return fact.worded(say(rng, clip.split, rng.choice(("when", "when", "after", "before")), **slots))


def _no_shot(clip: Clip, rng: random.Random) -> Question:
    shot_index = _missing(rng, len(clip.shots))
    topic = rng.choice((*facts.SHOT_KINDS, "contents", "count_objects", "action"))
    thing = references.refer(rng, clip, rng.choice(clip.objects)) if clip.objects else "the red star"
    fact = Question("unanswerable", f"There is no {words.ORDINALS[shot_index]} shot.", form="no_shot")
    return fact.worded(say(rng, clip.split, topic, shot_index, thing=thing, things="objects"))


def _no_cut(clip: Clip, rng: random.Random) -> Question | None:
    count = len(truth.cuts_s(clip))
    if not count:
        name = rng.choice(("the first cut", "the first cut", "the cut", "the last cut", "the second cut"))
        answer = "There is no cut in this video."
    elif rng.random() < 0.5:
        ordinal = words.ORDINALS[_missing(rng, count)]
        name, answer = f"the {ordinal} cut", f"There is no {ordinal} cut in this video."
    else:
        return None
    return Question("unanswerable", answer, form="no_cut").worded(say(rng, clip.split, "cut", cut=name))


def _missing(rng: random.Random, count: int) -> int:
    """Index of one that is not there: mostly the next one, sometimes any other that has a name."""
    return count if rng.random() < 0.6 else rng.randrange(count, len(words.ORDINALS))


_FORMS: dict[str, Callable[[Clip, random.Random], Question | None]] = {
    "no_object": _no_object,
    "no_object_in_shot": _no_object_in_shot,
    "no_action": _no_action,
    "no_shot": _no_shot,
    "no_cut": _no_cut,
}
