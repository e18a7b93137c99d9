"""Questions built like those of the pocket world, but about what it does not hold: cars, sounds, reasons, prices.

Listed sentences teach a small model those sentences. Put together from parts, they teach it that what counts is
whether every word is one of its own.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from .. import words
from ..scenes import SHAPES
from .indirect import INDIRECT_WORDINGS

_NOUNS = (
    "man", "woman", "boy", "girl", "child", "baby", "person", "player", "driver", "teacher", "doctor", "soldier",
    "singer", "crowd", "dog", "cat", "horse", "bird", "fish", "cow", "sheep", "elephant", "lion", "monkey", "bear",
    "rabbit", "snake", "insect", "butterfly", "car", "bus", "train", "truck", "plane", "boat", "ship", "motorbike",
    "helicopter", "rocket", "wheel", "house", "building", "tower", "bridge", "church", "castle", "street", "road",
    "river", "lake", "sea", "beach", "mountain", "hill", "forest", "tree", "flower", "leaf", "grass", "cloud", "sun",
    "moon", "rain", "snow", "fire", "smoke", "table", "chair", "bed", "lamp", "door", "window", "mirror", "clock",
    "book", "newspaper", "pen", "letter", "phone", "laptop", "keyboard", "television", "guitar", "piano", "drum",
    "cup", "glass", "bottle", "plate", "spoon", "knife", "apple", "banana", "bread", "cake", "pizza", "coffee",
    "shirt", "hat", "shoe", "coat", "dress", "umbrella", "ball", "kite", "doll", "flag", "ticket", "coin", "hammer",
    "ladder", "rope", "key", "bag", "box", "face", "hand", "hair", "eye", "hexagon", "pentagon", "rectangle", "oval",
    "arrow", "spiral", "cube", "sphere", "cylinder", "pyramid", "line", "dot", "crescent", "flurble", "zonk",
    "wumpus", "blicket",
)  # fmt: skip
_TEST_NOUNS = (
    "farmer", "grandmother", "swimmer", "pig", "tiger", "penguin", "tractor", "tram", "balloon", "hospital", "garden",
    "desert", "storm", "sofa", "radio", "violin", "orange juice", "sandwich", "glove", "trumpet", "octagon", "cone",
    "parallelogram", "snorp", "dax",
)  # fmt: skip

_LIKE_OURS = (
    "What colour is the {noun}?", "What color is the {noun}?", "Which colour does the {noun} have?",
    "What shape is the {noun}?", "How big is the {noun}?", "Is the {noun} large or small?", "What size is the {noun}?",
    "What does the {noun} do?", "What is the {noun} doing?", "What happens to the {noun}?", "Is there {some}?",
    "Can you see {some}?", "Do you see the {noun}?", "Is {some} visible?", "Does the video show {some}?",
    "How many {nouns} are there?", "How many {nouns} do you see?", "Count the {nouns}.",
    "When does the {noun} move left?", "When does the {noun} appear?", "When is the {noun} shown?",
    "What happens after the {noun} moves right?", "What happens before the {noun} disappears?",
    "What does the {noun} do first?", "Does the {noun} grow before the red star moves?", "Describe the {noun}.",
    "Tell me about the {noun}.", "Is there a red {noun}?", "What does the blue {noun} do?",
    "Is the {noun} in the second shot?", "What is the {noun} doing in the first shot?",
    "What does the {noun} look like?",
)  # fmt: skip
_BEYOND = (
    "Does the {noun} make a noise?", "What sound does the {noun} make?", "Can you hear the {noun}?",
    "What does the {noun} say?", "Why does the {noun} do that?", "Who made the {noun}?", "Whose {noun} is it?",
    "How heavy is the {noun}?", "How old is the {noun}?", "What is the {noun} made of?", "Where is the {noun}?",
    "Where does the {noun} go?", "Where does the {noun} come from?", "How fast is the {noun}?", "Is the {noun} happy?",
    "Is the {noun} beautiful?", "What does the {noun} mean?", "How much does the {noun} cost?",
    "Do you like the {noun}?", "What is behind the {noun}?", "What is inside the {noun}?",
    "Who holds the {noun}?", "What is the {noun} called?",
    "What will the {noun} do next?", "How far does the {noun} move?", "How many corners does the {noun} have?",
    "What is the {noun} thinking?", "Is the {noun} dangerous?",
)  # fmt: skip
_OF_THE_FILE = (
    "How long is the {clip}?", "How long does the {clip} last?", "What is the length of the {clip}?",
    "How many seconds does the {clip} have?", "How many frames does the {clip} have?", "What is the frame rate?",
    "What is the resolution of the {clip}?", "How wide is the {clip}?", "How large is the file?",
    "When was the {clip} made?", "Which camera was used for the {clip}?", "What is the {clip} called?",
    "Where can I find the {clip}?", "Who uploaded the {clip}?", "Can you cut the {clip}?", "Play the {clip} again.",
    "Can you make the {clip} brighter?", "Draw {some}.", "Show me another {clip}.", "Is the {clip} real?",
)  # fmt: skip
_INDIRECT = ("colour", "shape", "size", "action", "count_objects", "exists", "after", "before", "when")
_DEEDS = (
    ("moves left", "moving left"), ("appears", "appearing"), ("grows", "growing"), ("spins", "spinning"),
    ("runs away", "running away"), ("falls down", "falling down"), ("opens", "opening"), ("sings", "singing"),
)  # fmt: skip
_CLIPS = ("video", "clip", "film", "movie", "recording")


def draw_foreign(rng: random.Random, *, only_in_test: bool = False) -> str:
    """Draws a question that the world has no answer to.

    Args:
        rng: Source of chance.
        only_in_test: Whether it is about a thing that training never names.
    """
    nouns: Sequence[str] = _TEST_NOUNS if only_in_test else _NOUNS
    drawn = rng.random()
    if drawn < 0.3:
        return _indirect(rng, rng.choice(nouns))
    if drawn < 0.55:
        sentence = rng.choice(_LIKE_OURS)
    elif drawn < 0.85 or only_in_test:
        sentence = rng.choice(_BEYOND)
        # Of our own shapes too there is much that cannot be told.
        nouns = nouns if only_in_test or rng.random() < 0.5 else SHAPES
    else:
        sentence = rng.choice(_OF_THE_FILE)
    noun = rng.choice(nouns)
    return sentence.format(
        noun=noun, nouns=words.plural(noun), some=words.with_article(noun), clip=rng.choice(_CLIPS)
    )


def _indirect(rng: random.Random, noun: str) -> str:
    """A question put together as those of the world are: the way of asking must not give the answer away."""
    template = rng.choice(INDIRECT_WORDINGS[rng.choice(_INDIRECT)])
    does, doing = rng.choice(_DEEDS)
    slots = {
        "thing": f"the {noun}",
        "things": words.plural(noun),
        "some": words.with_article(noun),
        "bare": noun,
    }
    return words.capitalised(template.format(where="", does=does, doing=doing, **slots))
