"""Training of pocket's tokenizer: sentencepiece with byte fallback, on world text."""

from __future__ import annotations

import itertools
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from videollm.model.tokenization import SAMPLE_TEXTS, build_tokenizer, train_sentencepiece
from videollm.synthetic.language.descriptions import frame_caption
from videollm.synthetic.language.questions import questions
from videollm.synthetic.sampling import sample_clip

from .conversations import describing

# Words people use that the world's own phrasings lack, so that they are not spelt out byte by byte.
_OTHER_TEXT = (
    "Please tell me about the people, animals, cars, music, speech and words in this video.",
    "Who is speaking? What is the weather like? Where was this filmed? Why did that happen?",
    "Thank you very much! That is great. Could you help me? Summarise the story in one sentence.",
)

# Times are few and frequent: as pieces of their own they are read and written in one step.
_TIMES = tuple(f"0:{second:02}" for second in range(60))


def train_tokenizer(directory: Path, *, pieces: int = 800, clips: int = 4000, seed: int = 0) -> None:
    """Trains a tokenizer on the text of rendered clips and saves it as a tokenizer directory.

    Args:
        directory: Where ``tokenizer.model`` and ``tokenizer.json`` go.
        pieces: Vocabulary size before the chat tokens are added, byte pieces included.
        clips: How many clips' texts are read.
        seed: Which clips.
    """
    with tempfile.TemporaryDirectory() as scratch:
        model = train_sentencepiece(
            _texts(clips, seed), Path(scratch) / "pocket.model", vocab_size=pieces, whole=_TIMES
        )
        build_tokenizer(model, directory, samples=(*SAMPLE_TEXTS, *_texts(20, seed)), whole=_TIMES)


def _texts(clips: int, seed: int) -> Iterator[str]:
    for number in range(clips):
        clip_seed = (seed << 40) + number
        clip, rng = sample_clip(clip_seed, "train"), random.Random(clip_seed)
        yield frame_caption(clip, rng.uniform(0.0, clip.duration_s), placed=True)
        for question in [*describing(clip, rng, 2), *questions(clip, rng, 6)]:
            yield from (*question.text.splitlines(), *question.answer.splitlines())
    yield from itertools.chain.from_iterable(itertools.repeat(_OTHER_TEXT, 20))
