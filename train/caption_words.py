"""The closed vocabulary of frame captions: one id a word, so that the throw-away text tower stays small."""

from __future__ import annotations

import re

from videollm.errors import DataError
from videollm.synthetic.scenes import COLOURS, SHAPES, SIZES

_SENTENCES = (
    "a an and at the upper lower left right top bottom center on over it is in",
    "background gradient textured photographed scene empty black picture dark bright white",
    ", .",
)
_WORDS = tuple(sorted({*" ".join(_SENTENCES).split(), *COLOURS, *SHAPES, *SIZES}))
_IDS = {word: number for number, word in enumerate(_WORDS)}

VOCABULARY_SIZE = len(_WORDS)


def encode_caption(caption: str) -> list[int]:
    """Returns the ids of a caption's words and punctuation, without capitals.

    Raises:
        DataError: A word is not in the vocabulary.
    """
    try:
        return [_IDS[word] for word in re.findall(r"\w+|[^\w\s]", caption.lower())]
    except KeyError as error:
        raise DataError(
            f"the frame caption {caption!r} has a word outside the vocabulary: {error}"
        ) from error
