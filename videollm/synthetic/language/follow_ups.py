"""The wordings of questions that refer to the turn before them; slots as in :mod:`.wordings`."""

from __future__ import annotations

FOLLOW_UPS: dict[str, tuple[str, ...]] = {
    "colour": (
        "And what colour is it?",
        "What colour is that?",
        "Which colour does it have?",
        "And its colour?",
    ),
    "shape": ("And what shape is it?", "What shape is that?", "Which shape does it have?", "And its shape?"),
    "size": ("And how big is it?", "Is it small or large?", "And its size?", "How large is that?"),
    "action": ("And what does it do?", "What does it do?", "What is it doing?", "And what happens to it?"),
    "when": ("And when does it do that?", "When does that happen?", "And when?", "When is that?"),
    "after": ("And then?", "What happens after that?", "And after that?", "What happens next?"),
    "before": ("And before that?", "What happens before that?", "What comes before that?"),
    "other_shot": ("And in {shot}?", "What about {shot}?", "And {shot}?", "How about in {shot}?"),
    "other_thing": ("And {thing}?", "What about {thing}?", "How about {thing}?"),
    "last": ("And what happens last?", "And last?", "And in the end?"),
    "first": ("And what happens first?", "And first?", "And at the start?"),
    "other_cut": ("And {cut}?", "What about {cut}?", "And when is {cut}?"),
}
TEST_FOLLOW_UPS: dict[str, tuple[str, ...]] = {
    "colour": ("And which colour?",),
    "shape": ("And which shape?",),
    "size": ("And is it large or small?",),
    "action": ("And what is it doing?",),
    "when": ("And at what time is that?",),
    "after": ("And next?",),
    "before": ("And just before that?",),
    "other_shot": ("How is that in {shot}?",),
    "other_thing": ("And how about {thing}?",),
    "last": ("And what comes last?",),
    "first": ("And what comes first?",),
    "other_cut": ("How about {cut}?",),
}
