"""Questions: canonical examples word for word, truth against a literal second opinion, and balance."""

from __future__ import annotations

import itertools
import os
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import replace

import pytest

from videollm.clock import format_time
from videollm.synthetic import truth, words
from videollm.synthetic.language.questions import DESCRIPTIONS, KINDS, ask, questions
from videollm.synthetic.language.small_talk import OUT_OF_SCOPE, SMALL_TALK
from videollm.synthetic.scenes import HELD_OUT_ACTING, HELD_OUT_COLOURED, Backdrop


def _all_asked(clip, kind, draws=1500):
    """Returns every question of a kind that many draws bring up about a clip, by text."""
    rng = random.Random(7)
    asked = (ask(clip, rng, kind) for _ in range(draws))
    return {question.text: question.answer for question in asked if question}


@pytest.mark.parametrize(
    ("kind", "text", "answer"),
    [
        ("colour", "What colour is the star?", "red"),
        ("shape", "What shape is the blue object?", "ring"),
        ("size", "How big is the blue ring?", "large"),
        ("action", "What does the red star do?", "moves left"),
        ("count_objects", "How many objects are there?", "2"),
        ("count_shots", "How many shots are there?", "2"),
        ("exists", "Is there a red star?", "yes"),
        ("exists", "Is there a blue star?", "no"),
        ("first_last", "What happens first?", "a small red star moves left"),
        ("first_last", "What happens last?", "a large blue ring grows"),
        ("after_before", "What happens after the red star moves left?", "a large blue ring grows"),
        ("after_before", "What happens after the blue ring grows?", "nothing"),
        ("after_before", "What happens before the blue ring grows?", "a small red star moves left"),
        ("order", "Does the blue ring grow before the red star moves left?", "no"),
        ("order", "Does the red star move left before the blue ring grows?", "yes"),
        ("when", "When does the red star move left?", "from 0:03 to 0:05"),
        ("at", "What happens at 0:04?", "a small red star moves left"),
        ("at", "What happens at 0:01?", "nothing"),
        ("camera", "What does the camera do in the second shot?", "pans right"),
        ("light", "How is the light in the second shot?", "dark"),
        ("tone", "Is the clip in colour or in black and white?", "in colour"),
        ("cut", "When does the first cut happen?", "at 0:08"),
        ("backdrop", "What colour is the background in the first shot?", "gray"),
        (
            "backdrop",
            "What colour is the background in the second shot?",
            "The background has no single colour.",
        ),
        ("contents", "What is in this video?", "a small red star and a large blue ring"),
        ("contents", "What is in the second shot?", "I cannot name what is in this scene."),
        ("unanswerable", "What colour is the circle?", "There is no circle in this video."),
        (
            "unanswerable",
            "What colour is the star in the second shot?",
            "There is no star in the second shot.",
        ),
        ("unanswerable", "When does the red star grow?", "The red star does not grow."),
        ("unanswerable", "What does the camera do in the third shot?", "There is no third shot."),
        ("out_of_scope", "Who is the person?", OUT_OF_SCOPE),
        ("out_of_scope", "Hello!", OUT_OF_SCOPE),
        ("out_of_scope", "What can you do?", OUT_OF_SCOPE),
    ],
)
def test_the_worlds_own_examples_are_asked_and_answered_word_for_word(example, kind, text, answer):
    rng = random.Random(7)
    drawn = (ask(example, rng, kind) for _ in range(60000))
    assert next(question.answer for question in drawn if question and question.text == text) == answer


def test_a_clip_of_one_shot_has_no_cut_and_is_never_asked_by_shot(clip_of, shot, thing):
    clip = clip_of(shot(6.0, thing("small red star grows", 1, 3)))
    assert ask(clip, random.Random(0), "cut") is None
    assert (
        _all_asked(clip, "unanswerable")["When does the first cut happen?"]
        == "There is no cut in this video."
    )
    for kind in set(KINDS) - {"unanswerable", "out_of_scope", "count_shots"}:
        assert not any(" shot" in text for text in _all_asked(clip, kind, 300))


def test_an_empty_plain_clip_holds_nothing_but_its_background(clip_of, shot):
    assert (
        _all_asked(clip_of(shot(4.0)), "contents")["What is in this video?"]
        == "nothing but a gray background"
    )
    assert _all_asked(clip_of(shot(4.0)), "count_objects")["How many objects are there?"] == "0"


def test_what_two_shots_disagree_in_is_asked_only_of_a_named_shot(example):
    for kind in ("camera", "light", "backdrop"):
        assert all(re.search(r"\bshot\b", text.lower()) for text in _all_asked(example, kind, 500))


def test_nothing_is_asked_of_actions_under_a_moving_camera_or_of_sizes_under_a_zoom(
    clip_of, shot, thing, texture
):
    zoom = clip_of(shot(6.0, thing("small red star"), backdrop=texture, camera="zooms in", camera_amount=1.5))
    for kind in ("action", "size", "first_last", "after_before", "order", "when"):
        assert ask(zoom, random.Random(0), kind) is None
    assert not any("does not" in answer for answer in _all_asked(zoom, "unanswerable", 500).values())
    assert ask(zoom, random.Random(0), "colour").answer == "red"


@pytest.mark.parametrize(
    ("pattern", "denied"),
    [
        (r"how big is the (star|heart|ring)\b(?! that)", "{}"),
        (r"how big is the (\w+) that is ((?!gr)\w+)", "{1} {0}"),
        (r"what does the (star|heart|ring) do\b", "{}"),
        (r"what does the (red|white|blue|pink) (?:object|thing|shape) do\b", "{} object"),
        (r"how big is the (red|white|blue|pink) (?:object|thing|shape)\b", "{} object"),
        (r"what shape is the (red|white|blue|pink) (?:object|thing|shape)\b", "{} object"),
        (r"what shape is the (?:object|thing|shape) that (blinks|spins|shrinks)\b", "object that {}"),
        (r"what colour is the (?:object|thing|shape) that (blinks|spins|shrinks)\b", "object that {}"),
    ],
)
def test_all_that_is_asked_of_an_object_is_asked_of_absent_ones_too(clip_of, shot, texture, pattern, denied):
    questions = _all_asked(clip_of(shot(6.0, backdrop=texture)), "unanswerable", 20_000)
    matches = [(re.match(pattern, text.lower()), answer) for text, answer in questions.items()]
    found = [(match.groups(), answer) for match, answer in matches if match]
    assert found
    assert all(answer == f"There is no {denied.format(*named)} in this video." for named, answer in found)


def test_nobody_is_said_not_to_do_what_an_object_does_or_seems_to_do(clip_of, shot, thing, texture):
    clip = clip_of(shot(6.0, thing("small red heart appears", 1.0, 2.0)))
    denied = {answer for answer in _all_asked(clip, "unanswerable", 5000).values() if "object that" in answer}
    assert any("object that spins" in answer for answer in denied)
    assert not any(f"that {seen}" in answer for answer in denied for seen in ("appears", "blinks"))
    pans = clip_of(
        shot(6.0, thing("small red star"), backdrop=texture, camera="pans left", camera_amount=0.4)
    )
    assert not any("object that" in answer for answer in _all_asked(pans, "unanswerable", 2000).values())


def test_training_names_nothing_by_one_trait_beside_what_would_show_a_held_out_combination_with_it(
    clip_of, shot, thing
):
    clip = clip_of(shot(6.0, thing("small red star appears", 1.0, 2.0), thing("large purple heart")))
    kinds = ("colour", "shape", "size", "exists", "count_objects", "unanswerable")
    single = re.compile(
        r"purple (?:object|thing|shape)|that spins|\b(?:the|there a|any|how many) stars?\b(?! that is)"
    )

    def named_alone(clip):
        texts = [text for kind in kinds for text in _all_asked(clip, kind)]
        return {found[0] for text in texts if (found := single.search(text.lower()))}

    assert not named_alone(clip)
    in_test = named_alone(replace(clip, split="test"))
    assert {"purple object", "the star", "that spins"} <= in_test


def test_training_asks_now_and_then_what_happens_first_where_nothing_does(clip_of, shot, thing, texture):
    for still in (clip_of(shot(4.0, backdrop=texture)), clip_of(shot(4.0, thing("small red star")))):
        assert set(_all_asked(still, "first_last").values()) == {"nothing"}
        assert sum(ask(still, random.Random(seed), "first_last") is not None for seed in range(100)) < 50
        assert not _all_asked(replace(still, split="test"), "first_last")
    zoom = clip_of(shot(6.0, thing("small red star"), backdrop=texture, camera="zooms in", camera_amount=1.5))
    assert not _all_asked(zoom, "first_last")


def test_simultaneous_events_are_asked_no_order(clip_of, shot, thing):
    clip = clip_of(shot(6.0, thing("small red star grows", 1, 4), thing("large blue ring spins", 1.4, 4)))
    for kind in ("first_last", "after_before", "order"):
        assert ask(clip, random.Random(0), kind) is None
    both = "a small red star grows and a large blue ring spins"
    assert _all_asked(clip, "at")["What happens at 0:03?"] == both


def test_the_star_is_asked_for_only_where_it_is_the_only_one(clip_of, shot, thing):
    assert (
        ask(clip_of(shot(4.0, thing("small red star"), thing("small blue star"))), random.Random(0), "colour")
        is None
    )
    by_size = _all_asked(clip_of(shot(4.0, thing("small red star"), thing("large blue star"))), "colour")
    assert by_size["What colour is the small star?"] == "red"
    assert "What colour is the star?" not in by_size
    one_each = clip_of(shot(4.0, thing("small red star")), shot(8.0, thing("small blue star"), start_s=4.0))
    asked = _all_asked(one_each, "colour")
    assert asked["What colour is the star in the second shot?"] == "blue"
    assert "What colour is the star?" not in asked


def _second(text):
    """Reads the second that an "at" question asks for."""
    clock = re.search(r"(\d+):(\d\d)", text)
    return int(clock[1]) * 60 + int(clock[2]) if clock else int(re.search(r"(\d+) second", text)[1])


def _literal(clip, question):
    """Answers some kinds a second time, slowly, from the text and the clip alone."""
    events = sorted(
        (
            (thing.action.start_s, thing.action.end_s, thing)
            for thing in clip.objects
            if thing.action.kind != "stays still"
        ),
        key=lambda event: event[0],
    )
    told = [f"{words.full_name(thing)} {thing.action.kind}" for _, _, thing in events]
    match question.kind, question.form:
        case "first_last", form:
            return told[0 if form == "first" else -1] if told else "nothing"
        case "after_before", form:
            asked = next(index for index, event in enumerate(events) if event[2] == question.about[-1])
            around = told[asked + 1 :][:1] if form == "after" else told[:asked][-1:]
            return around[0] if around else "nothing"
        case "order", form:
            one, other = (thing.action.start_s for thing in question.about)
            return "yes" if (one < other) == (form == "before") else "no"
        case "at", _:
            going_on = [thing for start, end, thing in events if start <= _second(question.text) <= end]
            named = [f"{words.full_name(thing)} {thing.action.kind}" for thing in words.in_order(going_on)]
            return " and ".join(named) or "nothing"
        case "count_shots", _:
            return str(len(clip.shots))
        case "cut", form:
            return f"at {format_time(clip.shots[int(form)].start_s)}"
        case "count_objects", "all":
            shots = clip.shots if question.shot_index is None else [clip.shots[question.shot_index]]
            return str(sum(len(shot.objects) for shot in shots))
        case _:
            return question.answer


def test_sampled_questions_agree_with_a_literal_second_opinion(training_clips, test_clips):
    rng = random.Random(3)
    for clip in (*training_clips, *test_clips):
        for kind in KINDS:
            question = ask(clip, rng, kind)
            if question:
                assert question.answer == _literal(clip, question), question


_ASK = """
import random
from videollm.synthetic.language.questions import KINDS, ask
from videollm.synthetic.sampling import sample_clip
for seed in range(40):
    clip, rng = sample_clip(seed, "train"), random.Random(seed)
    for kind in KINDS * 4:
        print(ask(clip, rng, kind), clip)
"""


def test_what_is_asked_is_the_same_in_every_process():
    asked = {
        subprocess.run(
            [sys.executable, "-c", _ASK],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(asked) == 1


def test_exists_agrees_with_contents(training_clips):
    rng, colours = random.Random(5), "|".join(_COLOURS)
    for clip in training_clips:
        for _ in range(3):
            question = ask(clip, rng, "exists")
            contents = " and ".join(
                words.full_name(thing) for thing in truth.things_in(clip, question.shot_index)
            )
            parts = re.search(
                rf"\b(?:(small|large) )?(?:({colours}) )?({'|'.join(_SHAPES)}|object|thing|shape)\b"
                rf"(?: that is ({colours}))?",
                question.text.lower(),
            )
            size, before, shape, behind = parts.groups()
            colour = before or behind
            noun = shape if shape in _SHAPES else "[a-z]+"
            pattern = f"{size or '[a-z]+'} {(colour or '[a-z]+').replace('grey', 'gray')} {noun}"
            assert (question.answer == "yes") == bool(re.search(pattern, contents)), question


_COLOURS = (
    "red",
    "orange",
    "yellow",
    "green",
    "blue",
    "purple",
    "pink",
    "brown",
    "white",
    "black",
    "gray",
    "grey",
)
_SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "heart", "diamond")


def _is_true(clip, question, option):
    """Whether an option of a choice is true of the clip (and shot) it asks about."""
    things = truth.things_in(clip, question.shot_index)
    named = {f"the {words.name(thing)} {thing.action.kind}" for thing in things}
    match question.form:
        case "event":
            return option in named
        case "object":
            return option in {words.with_article(words.name(thing)) for thing in things}
        case "first":
            first = truth.events(clip)[0].thing
            return option == f"the {words.name(first)} {first.action.kind}"
        case "colour" | "shape":
            return option == getattr(question.about[0], question.form)
        case form:
            return all(getattr(shot, form) == option for shot in truth.scope(clip, question.shot_index))


def test_exactly_one_option_of_a_choice_is_true_and_it_is_the_answer(training_clips, test_clips):
    rng = random.Random(11)
    forms = set()
    for clip in (*training_clips, *test_clips):
        question = ask(clip, rng, "choice")
        if question is None:
            continue
        options = dict(re.findall(r"\b([A-D])\) (.*?)(?=\s[A-D]\) |$)", question.text, re.DOTALL))
        assert sorted(options) == ["A", "B", "C", "D"]
        assert len(set(options.values())) == 4
        assert [letter for letter, option in options.items() if _is_true(clip, question, option)] == [
            question.answer
        ]
        forms.add(question.form)
    assert forms == {"event", "object", "colour", "shape", "camera", "light", "first"}


def test_every_kind_can_be_asked_of_many_clips(training_clips):
    rng = random.Random(1)
    asked = Counter(
        kind for clip in training_clips for kind in (*KINDS, *DESCRIPTIONS) if ask(clip, rng, kind)
    )
    assert min(asked[kind] for kind in (*KINDS, *DESCRIPTIONS)) >= len(training_clips) / 8


def test_no_answer_is_nearly_always_right(training_clips, test_clips):
    rng = random.Random(2)
    answers = defaultdict(Counter)
    for clip, _ in itertools.product((*training_clips, *test_clips), range(4)):
        for kind in set(KINDS) - {"out_of_scope"}:
            question = ask(clip, rng, kind)
            if question:
                answers[kind][question.answer] += 1
    shares = {kind: counts.most_common(1)[0][1] / counts.total() for kind, counts in answers.items()}
    assert max(shares.values()) < 0.8, shares
    assert 0.4 < shares["exists"] < 0.6
    assert shares["order"] < 0.6
    assert shares["choice"] < 0.35


def test_unanswerable_and_out_of_scope_cover_all_their_forms(training_clips):
    rng = random.Random(4)
    forms = defaultdict(set)
    for clip, kind in itertools.product(training_clips, ("unanswerable", "out_of_scope")):
        forms[kind].add(ask(clip, rng, kind).form)
    assert forms["unanswerable"] == {"no_object", "no_object_in_shot", "no_action", "no_shot", "no_cut"}
    assert forms["out_of_scope"] == {*SMALL_TALK, "foreign"}


def test_training_never_concerns_or_names_a_held_out_combination(training_clips):
    rng = random.Random(6)
    pairs = {" ".join(pair) for pair in HELD_OUT_COLOURED}
    acts = {f"{shape} {form}" for shape, act in HELD_OUT_ACTING for form in words.verb_forms(act).values()}
    for clip in training_clips:
        for question in questions(clip, rng, 21):
            assert not question.held_out
            text = f"{question.text} {question.answer}".lower().replace("grey", "gray")
            assert not any(re.search(rf"\b{named}\b", text) for named in pairs | acts), question


def test_the_test_split_marks_what_is_held_out_and_what_is_worded_its_own_way(test_clips):
    rng = random.Random(8)
    asked = [question for clip in test_clips for question in questions(clip, rng, 21)]
    assert 0.05 < sum(question.held_out for question in asked) / len(asked) < 0.5
    assert 0.1 < sum(question.only_in_test for question in asked) / len(asked) < 0.4


def test_the_same_seed_asks_the_same_questions(test_clips):
    for clip in test_clips[:10]:
        assert questions(clip, random.Random(clip.seed), 12) == questions(clip, random.Random(clip.seed), 12)


def test_questions_about_one_clip_differ_and_are_of_many_kinds(training_clips):
    for clip in training_clips[:20]:
        drawn = questions(clip, random.Random(0), 10)
        assert len({question.text for question in drawn}) == 10
        assert len({question.kind for question in drawn}) >= 6


def test_a_gradient_counts_as_a_background_without_a_single_colour(clip_of, shot):
    clip = clip_of(shot(4.0, backdrop=Backdrop("gradient", ("red", "blue"))))
    assert set(_all_asked(clip, "backdrop", 100).values()) == {"The background has no single colour."}
    assert set(_all_asked(clip, "contents", 100).values()) == {"nothing but a red and blue gradient"}


def test_a_clip_with_every_shape_and_colour_is_still_asked_everything(clip_of, shot, thing):
    names = itertools.zip_longest(_COLOURS[:11], _SHAPES, fillvalue="star")
    things = [thing(f"small {colour} {shape}") for colour, shape in names]
    shots = [shot(4.0 * (i + 1), *things[3 * i : 3 * i + 3], start_s=4.0 * i) for i in range(4)]
    rng = random.Random(0)
    for kind, _ in itertools.product(KINDS, range(200)):
        ask(clip_of(*shots, split="test"), rng, kind)
