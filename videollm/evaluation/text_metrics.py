"""How like a reference a text is: matches, token F1, ROUGE-L, CIDEr-D. Pure functions of strings."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Iterator, Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation, " "))
_WORD = re.compile(r"\w+(?:'\w+)?")
# CIDEr-D's constants (Vedantam, Zitnick and Parikh 2015, section 5 and appendix).
_LONGEST_NGRAM = 4
_LENGTH_SIGMA = 6.0
_CIDER_SCALE = 10.0
# ROUGE-L weighs recall higher, as in the COCO caption evaluation (Chen et al. 2015).
_ROUGE_BETA = 1.2


def normalise(text: str) -> str:
    """Returns a text in lower case without punctuation, articles and surplus blanks (SQuAD, Rajpurkar et al. 2016)."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, reference: str) -> bool:
    """Tells whether two texts are the same but for case, blanks at the ends and a final full stop."""
    return _plain(answer) == _plain(reference)


def normalised_match(answer: str, reference: str) -> bool:
    """Tells whether two texts are the same once normalised; texts of nothing but punctuation must be alike exactly."""
    ours, theirs = normalise(answer), normalise(reference)
    return ours == theirs if ours or theirs else exact_match(answer, reference)


def token_f1(answer: str, reference: str) -> float:
    """Returns the harmonic mean of the shares of normalised words that two texts have in common (SQuAD), 0 to 1."""
    ours, theirs = normalise(answer).split(), normalise(reference).split()
    if not ours or not theirs:
        return float(ours == theirs and exact_match(answer, reference))
    common = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * common / (len(ours) + len(theirs))


def rouge_l(answer: str, reference: str) -> float:
    """Returns ROUGE-L (Lin 2004): F of the longest common subsequence of words, recall weighed 1.2 times, 0 to 1."""
    ours, theirs = words(answer), words(reference)
    common = _common_subsequence(ours, theirs)
    if not common:
        return 0.0
    precision, recall = common / len(ours), common / len(theirs)
    squared = _ROUGE_BETA**2
    return (1 + squared) * precision * recall / (recall + squared * precision)


def cider_d(answers: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """Returns CIDEr-D of each answer (Vedantam, Zitnick and Parikh 2015, arXiv 1411.5726), 0 to 10.

    How rare an n-gram is, is counted over the references of this very set: a figure of one set cannot be compared with
    that of another. Words are compared as they stand, without stemming.

    Args:
        answers: One for each item.
        references: One or more for each item.

    Raises:
        ValueError: They differ in number, or an item has no reference.
    """
    if len(answers) != len(references) or not all(references):
        raise ValueError(f"{len(answers)} answers need as many lists of references, each with one at least")
    counted = [[_ngrams(text) for text in texts] for texts in references]
    seen_in: Counter[tuple[str, ...]] = Counter()
    for texts in counted:
        seen_in.update(set().union(*texts))
    items = math.log(max(len(references), 1))

    def weigh(counts: Counter[tuple[str, ...]]) -> dict[tuple[str, ...], float]:
        return {gram: count * (items - math.log(max(seen_in[gram], 1))) for gram, count in counts.items()}

    scores = []
    for answer, texts in zip(answers, counted, strict=True):
        ours = _ngrams(answer)
        alike = [_similarity(ours, text, weigh(ours), weigh(text)) for text in texts]
        scores.append(_CIDER_SCALE * sum(alike) / len(alike))
    return scores


def words(text: str) -> list[str]:
    """Returns the words of a text in lower case, without punctuation."""
    return _WORD.findall(text.lower())


def _similarity(
    ours: Counter[tuple[str, ...]],
    theirs: Counter[tuple[str, ...]],
    our_weights: dict[tuple[str, ...], float],
    their_weights: dict[tuple[str, ...], float],
) -> float:
    """Mean over the lengths of n-grams of the clipped cosine, times the penalty of a difference in length."""
    lengths = [sum(count for gram, count in counts.items() if len(gram) == 1) for counts in (ours, theirs)]
    penalty = math.exp(-((lengths[0] - lengths[1]) ** 2) / (2 * _LENGTH_SIGMA**2))
    total = 0.0
    for size in range(1, _LONGEST_NGRAM + 1):
        grams = [gram for gram in our_weights if len(gram) == size]
        product = sum(
            min(our_weights[gram], their_weights.get(gram, 0.0)) * their_weights.get(gram, 0.0)
            for gram in grams
        )
        norms = _norm(our_weights, size) * _norm(their_weights, size)
        total += product / norms if norms else 0.0
    return penalty * total / _LONGEST_NGRAM


def _norm(weights: dict[tuple[str, ...], float], size: int) -> float:
    return math.sqrt(sum(weight**2 for gram, weight in weights.items() if len(gram) == size))


def _ngrams(text: str) -> Counter[tuple[str, ...]]:
    return Counter(_runs(words(text)))


def _runs(found: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for size in range(1, _LONGEST_NGRAM + 1):
        for start in range(len(found) - size + 1):
            yield tuple(found[start : start + size])


def _common_subsequence(ours: Sequence[str], theirs: Sequence[str]) -> int:
    row = [0] * (len(theirs) + 1)
    for word in ours:
        diagonal = 0
        for place, other in enumerate(theirs, start=1):
            above = row[place]
            row[place] = diagonal + 1 if word == other else max(above, row[place - 1])
            diagonal = above
    return row[-1]


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).removesuffix(".").rstrip()
