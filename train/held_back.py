"""Words that training must not teach never to say: those that would name a combination it never shows.

No answer in training says "orange heart". A language model that learns to prefer every other word wherever this one
could stand learns that such a thing cannot be, and calls it something else when it sees it. So where an answer names an
object, the words that would make it a combination that is held back are left out of the choice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from transformers import PreTrainedTokenizerBase

from videollm.model.prompting import IGNORED
from videollm.synthetic import truth
from videollm.synthetic.language.question import Question
from videollm.synthetic.scenes import ACTIONS, COLOURS, SHAPES

_NAMES = {"colour": COLOURS, "shape": SHAPES, "action": ACTIONS}
#: Place of a label in its row, and the id that does not compete with it.
Exclusion = tuple[int, int]
_Pieces = dict[str, tuple[int, ...]]


class HeldBack:
    """Finds the words of answers' labels that do not compete.

    Args:
        tokenizer: The model's.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        def pieces(text: str) -> tuple[int, ...]:
            return tuple(tokenizer.encode(text, add_special_tokens=False))

        before = pieces("a")
        self._alone = {trait: {name: pieces(name) for name in names} for trait, names in _NAMES.items()}
        self._inside = {
            trait: {name: pieces(f"a {name}")[len(before) :] for name in names}
            for trait, names in _NAMES.items()
        }

    def __call__(self, labels: Sequence[int], questions: Sequence[Question]) -> list[Exclusion]:
        """Returns what does not compete in a row.

        Args:
            labels: The labels of a row, -100 where there is no loss.
            questions: Those whose answers the stretches of labels are, in order.
        """
        answers = list(_stretches(labels))
        assert len(answers) == len(questions)
        found: list[Exclusion] = []
        for (start, ids), question in zip(answers, questions, strict=True):
            found += [(start + place, token) for place, token in self._in_answer(ids, question)]
        return found

    def _in_answer(self, ids: Sequence[int], question: Question) -> Iterator[Exclusion]:
        if question.kind in _NAMES and len(question.about) == 1:
            (thing,) = question.about
            traits = {"colour": thing.colour, "shape": thing.shape, "action": thing.action.kind}
            yield from _rivals(self._alone[question.kind], traits, question.kind, 0)
            return
        for place in range(len(ids)):
            yield from self._of_object(ids, place)

    def _of_object(self, ids: Sequence[int], place: int) -> Iterator[Exclusion]:
        """Of what is named from this place on: a colour and a shape, perhaps what it does."""
        traits: dict[str, str] = {}
        places: dict[str, int] = {}
        for trait in _NAMES:
            name = _said(self._inside[trait], ids, place)
            if name is None:
                break
            traits[trait], places[trait] = name, place
            place += len(self._inside[trait][name])
        if len(traits) > 1:
            for trait, where in places.items():
                yield from _rivals(self._inside[trait], traits, trait, where)


def _stretches(labels: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """Start and ids of every run of labels."""
    ids: list[int] = []
    for place, label in enumerate([*labels, IGNORED]):
        if label != IGNORED:
            ids.append(label)
        elif ids:
            yield place - len(ids), ids
            ids = []


def _said(names: _Pieces, ids: Sequence[int], place: int) -> str | None:
    """The longest name that the ids say at a place."""
    found = [name for name, pieces in names.items() if tuple(ids[place : place + len(pieces)]) == pieces]
    return max(found, key=lambda name: len(names[name]), default=None)


def _rivals(names: _Pieces, traits: dict[str, str], trait: str, place: int) -> Iterator[Exclusion]:
    """Ids that lead only to names of the trait that training never shows beside the other traits."""
    closed = {name for name in names if name != traits[trait] and _is_held_out(traits | {trait: name})}
    right = names[traits[trait]]
    for name in closed:
        rival = names[name]
        fork = next(
            (at for at, pair in enumerate(zip(right, rival, strict=False)) if pair[0] != pair[1]), None
        )
        if fork is None:
            continue
        lead = rival[: fork + 1]
        if not any(names[other][: fork + 1] == lead for other in names if other not in closed):
            yield place + fork, lead[-1]


def _is_held_out(traits: dict[str, str]) -> bool:
    colour, shape, action = (traits.get(trait, "") for trait in _NAMES)
    return truth.is_held_out_pair(colour, shape) or truth.is_held_out_act(shape, action)
