"""Wordings put together from parts: what is asked for, and a way of asking.

A small model that learns a dozen sentences for a question knows those sentences, and takes any other for small talk. So
half of the questions are put together: "Please find out" + "how big the star is". The ways of asking that the test
split's own wordings use ("Give me …", "Say …", "Would you say …") are none of these.
"""

from __future__ import annotations

#: Indirect questions by what they ask for; slots as in :mod:`.wordings`.
_CLAUSES: dict[str, tuple[str, ...]] = {
    "colour": ("what colour {thing} is{where}", "which colour {thing} has{where}", "what colour {thing} has{where}"),
    "shape": ("what shape {thing} is{where}", "which shape {thing} has{where}", "what kind of shape {thing} is{where}"),
    "size": (
        "how big {thing} is{where}", "how large {thing} is{where}", "what size {thing} has{where}",
        "whether {thing} is small or large{where}", "if {thing} is large or small{where}",
    ),
    "action": (
        "what {thing} does{where}", "what {thing} is doing{where}", "what happens to {thing}{where}",
        "how {thing} behaves{where}", "how {thing} moves or changes{where}", "which action {thing} performs{where}",
    ),
    "count_objects": (
        "how many {things} there are{where}", "how many {things} can be seen{where}",
        "how many {things} you can see{where}", "how many {things} are shown{where}",
        "how many {things} you count{where}",
    ),
    "count_shots": (
        "how many shots there are", "how many shots the video has", "how many shots this clip has",
        "how many shots the clip consists of", "how many shots you can count", "how many scenes there are",
    ),
    "exists": (
        "whether there is {some}{where}", "if there is {some}{where}", "whether you can see {some}{where}",
        "if {some} can be seen{where}", "whether {some} is shown{where}", "if you see {some}{where}",
        "whether any {bare} is there{where}",
    ),
    "first": (
        "what happens first{where}", "which event comes first{where}", "which action is the first{where}",
        "what takes place first{where}", "what the first event is{where}", "what happens at the beginning{where}",
    ),
    "last": (
        "what happens last{where}", "which event comes last{where}", "which action is the last{where}",
        "what takes place last{where}", "what the last event is{where}", "what happens at the end{where}",
    ),
    "after": (
        "what happens after {thing} {does}", "what comes after {thing} {does}", "what happens once {thing} {does}",
        "what the next event is after {thing} {does}", "what follows after {thing} {does}",
        "which action comes next after {thing} {does}",
    ),
    "before": (
        "what happens before {thing} {does}", "what comes before {thing} {does}",
        "what the last event is before {thing} {does}", "what goes on just before {thing} {does}",
        "which action comes just before {thing} {does}",
    ),
    "order": (
        "whether {thing} {does} {relation} {other} {other_does}", "if {thing} {does} {relation} {other} {other_does}",
        "whether it is true that {thing} {does} {relation} {other} {other_does}",
    ),
    "when": (
        "when {thing} {does}", "at what time {thing} {does}", "from when to when {thing} {does}",
        "in which seconds {thing} {does}", "when it is that {thing} {does}", "when {thing} is {doing}",
    ),
    "at": (
        "what happens at {time}", "what is happening at {time}", "what is going on at {time}", "what goes on at {time}",
        "what takes place at {time}", "which event is going on at {time}", "what there is to see happening at {time}",
    ),
    "camera": (
        "what the camera does{where}", "what the camera is doing{where}", "how the camera is moved{where}",
        "which way the camera moves{where}", "which camera move there is{where}",
        "whether the camera pans, tilts, zooms or stands still{where}",
    ),
    "light": (
        "how the light is{where}", "what the light is like{where}", "what the lighting is like{where}",
        "how bright it is{where}", "whether it is dark or bright{where}", "how dark it is{where}",
    ),
    "tone": (
        "whether {scope} is in colour or in black and white", "if {scope} is in black and white or in colour",
        "whether it is in colour or black and white{where}",
        "whether there is any colour in {scope}, or only black and white",
    ),
    "cut": (
        "when {cut} happens", "when {cut} is", "at what time {cut} happens", "when {cut} comes",
        "at which second {cut} is",
        "where {cut} is",
    ),
    "backdrop": (
        "what colour the background is{where}", "which colour the background has{where}",
        "what colour the backdrop has{where}", "what colour is behind everything{where}",
    ),
    "contents": (
        "what is in {scope}", "what {scope} shows", "which objects there are{where}", "what is shown{where}",
        "which objects you can see{where}", "what is to be seen{where}", "which objects {scope} contains",
    ),
    "choice_event": (
        "which one happens{where}", "which of these events happens", "which of the following happens",
        "which option is true", "which event can be seen{where}", "what it is that happens{where}",
    ),
    "choice_object": (
        "which one is there{where}", "which of these objects is there", "which of the following is there",
        "which option can be seen{where}", "which object is shown{where}",
    ),
}  # fmt: skip

#: What is asked for as a noun, one of it.
_NOUNS: dict[str, tuple[str, ...]] = {
    "colour": ("the colour of {thing}{where}",),
    "shape": ("the shape of {thing}{where}",),
    "size": ("the size of {thing}{where}",),
    "action": ("the action of {thing}{where}", "the behaviour of {thing}{where}"),
    "count_objects": (
        "the number of {things}{where}", "the total number of {things}{where}", "the count of {things}{where}",
    ),
    "count_shots": (
        "the number of shots", "the number of shots in this clip", "the number of scenes", "the shot count",
    ),
    "first": ("the first event{where}", "the first action{where}", "the first thing that happens{where}"),
    "last": ("the last event{where}", "the last action{where}", "the last thing that happens{where}"),
    "after": ("the next event after {thing} {does}", "the thing that happens after {thing} {does}"),
    "before": ("the last event before {thing} {does}", "the thing that happens just before {thing} {does}"),
    "when": ("the time when {thing} {does}", "the start and the end of the time when {thing} {does}"),
    "at": ("the event at {time}", "the action at {time}", "the thing that happens at {time}"),
    "camera": (
        "the camera move{where}", "the movement of the camera{where}", "the motion of the camera{where}",
        "the camera's movement{where}", "the camera motion{where}",
    ),
    "light": ("the light{where}", "the lighting{where}", "the brightness{where}", "the kind of light{where}"),
    "tone": ("the tone of {scope}, colour or black and white",),
    "cut": ("the moment of {cut}", "the second of {cut}", "the time when {cut} happens"),
    "backdrop": (
        "the colour of the background{where}", "the background colour{where}", "the background's colour{where}",
        "the colour behind everything{where}", "the colour of the backdrop{where}",
    ),
    "choice_event": ("the one that happens{where}", "the event that happens{where}", "the right option"),
    "choice_object": ("the one that is there{where}", "the object that can be seen{where}", "the option that is shown"),
}  # fmt: skip

#: Several of it.
_LISTS: dict[str, tuple[str, ...]] = {
    "contents": (
        "the objects in {scope}", "all objects in {scope}", "the things in {scope}",
        "the objects that can be seen{where}",
        "all things that are there{where}", "the contents of {scope}", "the shapes in {scope}",
    ),
}  # fmt: skip

#: What is to be written.
_TEXTS: dict[str, tuple[str, ...]] = {
    "caption": (
        "a caption", "a caption for this clip", "a caption of the video", "a short caption", "a summary",
        "a short summary of the video", "a short description of this video", "a brief description", "a description",
        "a sentence about the video", "one sentence about this clip", "one sentence that describes the video",
    ),
    "dense": (
        "a detailed description", "a detailed description of the video", "a dense description with times",
        "a description of each shot", "a description shot by shot", "a list of all shots with their times",
        "a list of what happens in each shot, with times", "a timed description of this clip",
        "a timeline of the video",
        "a shot list with times", "a full description with the times of all shots",
    ),
}  # fmt: skip

_ASKING_CLAUSES = (
    "Tell me {}.", "Please tell me {}.", "Can you tell me {}?", "Could you tell me {}?", "Will you tell me {}?",
    "Would you tell me {}?", "Just tell me {}.", "Now tell me {}.", "Tell us {}.", "I want to know {}.",
    "I would like to know {}.", "I'd like to know {}.", "I need to know {}.", "I wonder {}.", "I am wondering {}.",
    "Let me know {}.", "Find out {}.", "Please find out {}.", "Can you find out {}?", "Can you see {}?",
    "Could you explain {}?", "Explain {}.", "State {}.", "Please answer {}.", "Check {}.", "Work out {}.",
    "Can you work out {}?", "Determine {}.", "Watch the video and answer {}.", "From the video, tell me {}.",
    "My question is {}.", "The question is {}.", "Any idea {}?", "Can you describe {}?", "Write down {}.",
)  # fmt: skip
_ASKING_NOUNS = (
    "Tell me {}.", "Please tell me {}.", "Can you tell me {}?", "Could you tell me {}?", "Name {}.", "Please name {}.",
    "Can you name {}?", "Could you name {}?", "State {}.", "Please state {}.", "Report {}.", "Please report {}.",
    "Write down {}.", "I want to know {}.", "I would like to know {}.", "I need {}.", "I'd like to have {}.",
    "Let me know {}.", "Let me have {}.", "Find {}.", "Find out {}.", "Identify {}.", "Determine {}.", "Describe {}.",
    "What is {}?", "What's {}?", "What was {}?", "{}, please.", "{}?", "Please give {}.", "Could you give {}?",
)  # fmt: skip
_ASKING_LISTS = (
    "Tell me {}.", "List {}.", "Please list {}.", "Name {}.", "Please name {}.", "Can you name {}?",
    "Could you list {}?",
    "I want to know {}.", "I would like a list of {}.", "Make a list of {}.", "Write down {}.", "Report {}.",
    "What are {}?", "Identify {}.", "Enumerate {}.", "{}, please.", "{}?",
)  # fmt: skip
_ASKING_TEXTS = (
    "Write {}.", "Please write {}.", "Can you write {}?", "Could you write {}?", "Write me {}.", "Make {}.",
    "Please make {}.", "Can you make {}?", "I want {}.", "I would like {}.", "I'd like {}.", "I need {}.",
    "Let me have {}.", "Can I have {}?", "Could I have {}?", "Provide {}.", "Please provide {}.", "Produce {}.",
    "Create {}.", "Generate {}.", "{}, please.", "Please give {}.", "Can you give {}?", "Could you give {}?",
)  # fmt: skip

_PARTS = (
    (_ASKING_CLAUSES, _CLAUSES),
    (_ASKING_NOUNS, _NOUNS),
    (_ASKING_LISTS, _LISTS),
    (_ASKING_TEXTS, _TEXTS),
)

#: Templates by kind, in the form of ``WORDINGS``.
INDIRECT_WORDINGS: dict[str, tuple[str, ...]] = {
    key: tuple(
        asking.replace("{}", part) for ways, parts in _PARTS for part in parts.get(key, ()) for asking in ways
    )
    for key in {key: None for _, parts in _PARTS for key in parts}
}
