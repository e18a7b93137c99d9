"""Which questions are asked of which clips: drawn from the test split by a seed, every kind equally often.

Each question is asked of two clips. Mostly the other one is *blind*: any clip of the test split, so that what is right
there was known without looking. In a *counterfactual pair* it is the clip's twin (run backwards, cut in another order,
one object recoloured), of which another answer is true. And questions about objects are asked of two *empty* clips,
textures and photographs, where no answer may claim an object.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from ..synthetic.language.counterfactual import counterfactual
from ..synthetic.language.questions import DESCRIPTIONS, KINDS, Question, ask
from ..synthetic.sampling import sample_clip
from ..synthetic.scenes import Clip

BLIND = "blind"
EMPTY = "empty"

# Questions on one clip are not independent, so a clip gets few; more would spare encoding but widen the intervals.
_PER_CLIP = 8
_PAIRS_PER_CLIP = 2
# Of so many drafts that one is asked whose answer was asked least so far, and no answer makes up more than half of a
# kind: else most answers of some kinds would be the same ("nothing", "is static"), and fifty questions could not tell
# seeing from guessing.
_DRAFTS = 4
_ONE_ANSWER = ("out_of_scope",)
_SEED_STRIDE = 1 << 32
# Kinds of questions that take objects for granted or ask for them, whose answers cannot do without one.
_OF_OBJECTS = (
    "colour",
    "shape",
    "size",
    "action",
    "first_last",
    "after_before",
    "when",
    "at",
    "contents",
    *DESCRIPTIONS,
)


@dataclass(frozen=True, slots=True)
class Item:
    """A question to be asked of two clips.

    Attributes:
        index: Place in the test.
        clip: The clip that it is about.
        other: What the other clip is: ``"blind"``, ``"backwards"``, ``"recut"`` or ``"recoloured"``; ``"empty"`` where
            neither clip has objects. Then the questions expect nothing.
        other_clip: The other clip.
        question: The question with the answer that is true of the clip.
        other_question: The same text with the answer that is expected of the other clip; blind, it is the same.
    """

    index: int
    clip: Clip
    other: str
    other_clip: Clip
    question: Question
    other_question: Question


def draw_items(
    questions: int,
    seed: int,
    *,
    kinds: Sequence[str] = (*KINDS, *DESCRIPTIONS),
    pairs: int = 0,
    empty: int = 0,
) -> list[Item]:
    """Draws a test.

    Clips are drawn one after the other; each is asked up to eight questions, all of different kinds, those first that
    still lack most. So the questions of one kind are all about different clips. Their answers vary: no answer is right
    for more than half of a kind, where a kind has more than one.

    Args:
        questions: At least so many questions, over all of ``KINDS``; each kind gets the same number, and so does each
            description.
        seed: Chooses clips, wordings, blind clips and twins.
        kinds: What is asked.
        pairs: Counterfactual pairs to add, of the same clips.
        empty: Questions about objects to ask of two clips each that have none.

    Returns:
        The items, those of one clip together, then pairs, then those of empty clips.
    """
    each = -(-questions // len(KINDS))
    lacking, answers = dict.fromkeys(kinds, each), _Answers(-(-each // 2))
    drawn: list[tuple[Clip, Question]] = []
    clip_seed = seed * _SEED_STRIDE
    while lacking:
        clip = _test_clip(clip_seed)
        drawn += [(clip, question) for question in _ask_clip(clip, lacking, answers)]
        clip_seed += 1
    clips = list(dict.fromkeys(clip for clip, _ in drawn))
    rng = random.Random(seed)
    items = [
        Item(index, clip, BLIND, _another(rng, clips, clip), question, question)
        for index, (clip, question) in enumerate(drawn)
    ]
    items += _draw_pairs(rng, clips, len(items), pairs)
    return items + list(_draw_empty(clips, len(items), seed, empty))


class _Answers:
    """How often each answer was asked for.

    Args:
        most: Most questions of a kind with the same answer.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: Counter[tuple[str, str]] = Counter()

    def count(self, question: Question) -> None:
        self._counts[question.kind, question.answer] += 1

    def rarest(self, drafts: Sequence[Question | None]) -> Question | None:
        """Returns the question whose answer was asked for least, if one may be asked at all."""
        found = [question for question in drafts if question is not None and self._may_ask(question)]
        return min(found, key=lambda question: self._counts[question.kind, question.answer], default=None)

    def _may_ask(self, question: Question) -> bool:
        return question.kind in _ONE_ANSWER or self._counts[question.kind, question.answer] < self._most


@lru_cache(maxsize=1024)
def _test_clip(clip_seed: int) -> Clip:
    return sample_clip(clip_seed, "test")


def _ask_clip(clip: Clip, lacking: dict[str, int], answers: _Answers) -> list[Question]:
    """Asks a clip questions of the kinds that lack most, and counts kinds and answers."""
    rng = random.Random(clip.seed)
    order = sorted(rng.sample(list(lacking), len(lacking)), key=lambda kind: -lacking[kind])
    asked: list[Question] = []
    for kind in order:
        drafts = [ask(clip, rng, kind) for _ in range(_DRAFTS)] if len(asked) < _PER_CLIP else []
        question = answers.rarest(drafts)
        if question is not None:
            asked.append(question)
            answers.count(question)
            lacking[kind] -= 1
            if not lacking[kind]:
                del lacking[kind]
    return asked


def _another(rng: random.Random, clips: Sequence[Clip], own: Clip) -> Clip:
    others = [clip for clip in clips if clip != own]
    return rng.choice(others or [own])


def _draw_pairs(rng: random.Random, clips: Sequence[Clip], first_index: int, count: int) -> Iterator[Item]:
    """Draws pairs from clip after clip, from each only of one twin, so that few clips have to be encoded besides."""
    index = first_index
    for clip in clips:
        found = counterfactual(clip, rng)
        change = rng.choice(sorted({pair.change for pair in found})) if found else ""
        of_change = [pair for pair in found if pair.change == change]
        for pair in rng.sample(of_change, min(_PAIRS_PER_CLIP, len(of_change))):
            if index == first_index + count:
                return
            yield Item(index, clip, change, pair.twin, pair.question, pair.twin_question)
            index += 1


def _draw_empty(clips: Sequence[Clip], first_index: int, seed: int, count: int) -> Iterator[Item]:
    """Draws questions about the objects of clips, and for each a texture and a photograph that have none."""
    asked = 0
    for number, clip in enumerate(itertools.cycle(clips)):
        if asked == count:
            return
        rng = random.Random(f"{clip.seed} {number}")
        question = ask(clip, rng, rng.choice(_OF_OBJECTS)) if clip.objects else None
        if question is None:
            continue
        question = replace(question, answer="", about=(), exact_s=())
        texture, photo = (
            sample_clip(seed * _SEED_STRIDE + asked, "test", objects=0, backdrop=kind)
            for kind in ("texture", "photo")
        )
        yield Item(first_index + asked, texture, EMPTY, photo, question, question)
        asked += 1
