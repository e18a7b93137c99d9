"""The wordings that only the test split uses: what is right on them was not learnt by heart.

Slots as in :mod:`.wordings`.
"""

from __future__ import annotations

TEST_WORDINGS: dict[str, tuple[str, ...]] = {
    "colour": (
        "Give me the colour of {thing}{where}.", "What colour would you say {thing} is{where}?",
    ),
    "shape": (
        "Give me the shape of {thing}{where}.", "What shape would you say {thing} is{where}?",
    ),
    "size": (
        "Give me the size of {thing}{where}.", "Do you see {thing} as small or large{where}?",
    ),
    "action": (
        "What is it that {thing} does{where}?", "Say what happens to {thing}{where}.",
    ),
    "count_objects": (
        "Give me the number of {things}{where}.", "Do you know how many {things} there are{where}?",
    ),
    "count_shots": (
        "How many shots make up this clip?", "Give me the number of shots in the video.",
    ),
    "exists": (
        "Does it show {some}{where}?", "Could you find {some}{where}?",
    ),
    "first": (
        "Which thing happens before everything else{where}?", "What starts first{where}?",
    ),
    "last": (
        "Which thing happens after everything else{where}?", "What starts last{where}?",
    ),
    "after": (
        "When {thing} {does}, what comes next?", "What do you see next after {thing} {does}?",
    ),
    "before": (
        "What do you see just before {thing} {does}?", "Say what happened before {thing} {does}.",
    ),
    "order": (
        "Would you say that {thing} {does} {relation} {other} {other_does}?",
        "Can it be seen that {thing} {does} {relation} {other} {other_does}?",
    ),
    "when": (
        "At which times does {thing} {do}?", "Give me the time span in which {thing} {does}.",
    ),
    "at": (
        "What do I see happening at {time}?", "Look at {time} and tell me what happens.",
    ),
    "camera": (
        "What kind of camera move can be seen{where}?", "Say how the camera moves{where}.",
    ),
    "light": (
        "Give me a description of the light{where}.", "Would you call it dark or bright{where}?",
    ),
    "tone": (
        "Does {scope} come in colour or in black and white?", "Has {scope} colour, or only black and white?",
    ),
    "cut": (
        "What is the time of {cut}?", "Say at what time {cut} comes.",
    ),
    "backdrop": (
        "Which background colour do you see{where}?", "Give me the background colour{where}.",
    ),
    "contents": (
        "Say what can be seen in {scope}.", "What things are there{where}?",
    ),
    "choice_event": (
        "Which one of the following can be seen to happen{where}?", "Say which of these happens.",
    ),
    "choice_object": (
        "Which one of the following do you see{where}?", "Say which of these is shown{where}.",
    ),
    "caption": (
        "Say in one sentence what happens in the video.", "Give me a summary of this clip.",
    ),
    "dense": (
        "Tell me in detail what each shot shows, with times.", "Describe all the shots and say when they are.",
    ),
}  # fmt: skip
