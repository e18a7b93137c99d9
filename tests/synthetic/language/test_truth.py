"""Truth of a clip: events and their order, what goes on at a second, and what can be seen at all."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videollm.clock import format_time
from videollm.synthetic import truth, words
from videollm.synthetic.scenes import Action, Backdrop, WorldObject
from videollm.synthetic.truth import Event


def _event(start_s: float, end_s: float, colour: str = "red") -> Event:
    action = Action("grows", start_s, end_s, 2.0)
    return Event(start_s, end_s, WorldObject(colour, "star", "small", action, 0.5, 0.5, 0.13, (200, 0, 0)), 0)


def test_events_are_sorted_by_start_and_leave_out_what_stays_still(thing, shot, clip_of):
    clip = clip_of(
        shot(
            4.0,
            thing("small red star grows", 2.0, 3.0),
            thing("small blue star"),
            thing("large pink heart spins", 1, 2),
        )
    )
    assert [event.text for event in truth.events(clip)] == [
        "a large pink heart spins",
        "a small red star grows",
    ]


@pytest.mark.parametrize(("gap", "tied"), [(0.0, True), (0.49, True), (0.5, True), (0.51, False)])
def test_events_are_simultaneous_up_to_half_a_second_apart(gap, tied):
    assert truth.tie(_event(1.0, 2.0), _event(1.0 + gap, 3.0)) is tied


def test_simultaneous_events_are_named_by_colour_whatever_starts_first():
    white, red, later = _event(1.0, 2.0, "white"), _event(1.3, 2.0, "red"), _event(2.0, 3.0, "blue")
    assert truth.moments([white, red, later]) == [[red, white], [later]]
    assert [truth.untied([white, red, later], index) for index in range(3)] == [False, False, True]


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0.3, 5)), max_size=4), st.integers(0, 12))
def test_a_second_has_an_answer_only_if_every_event_is_clear_of_it(spans, second):
    colours = ("red", "blue", "white", "black")
    found = sorted(
        (
            _event(start, start + length, colour)
            for (start, length), colour in zip(spans, colours, strict=False)
        ),
        key=lambda event: event.start_s,
    )
    inside = [e for e in found if e.start_s + 0.75 <= second <= e.end_s - 0.75]
    outside = [e for e in found if second >= e.end_s + 0.75 or second <= e.start_s - 0.75]
    answer = truth.happening(found, second)
    on_an_edge = any(abs(abs(edge - second) - 0.75) < 1e-6 for e in found for edge in (e.start_s, e.end_s))
    if not on_an_edge:
        assert (answer is not None) == (len(inside) + len(outside) == len(found))
        assert answer is None or {e.thing.colour for e in answer} == {e.thing.colour for e in inside}


def test_a_moving_camera_hides_actions_and_a_zoom_sizes_too(shot, texture):
    static, pan, zoom = (
        shot(4.0, backdrop=texture, camera=move) for move in ("is static", "pans left", "zooms in")
    )
    assert [truth.shows_actions(each) for each in (static, pan, zoom)] == [True, False, False]
    assert [truth.shows_sizes(each) for each in (static, pan, zoom)] == [True, True, False]


def test_an_empty_plain_shot_shows_neither_camera_nor_light_but_fades(shot):
    assert not truth.shows_camera(shot(4.0))
    assert not truth.shows_light(shot(4.0))
    assert truth.shows_light(shot(4.0, light="fades in"))
    assert not truth.shows_light(
        shot(4.0, light="fades in", backdrop=Backdrop("plain", ("black",), ((0, 0, 0),)))
    )


def test_tone_shows_only_over_something_that_has_or_would_have_colour(shot, thing, texture):
    gray_texture = dataclasses.replace(texture, rgbs=((10, 10, 12), (200, 205, 200)))
    assert truth.shows_tone(shot(4.0, backdrop=texture, tone="in black and white"))
    assert not truth.shows_tone(shot(4.0, backdrop=gray_texture))
    assert not truth.shows_tone(shot(4.0, thing("small white star")))
    assert truth.shows_tone(shot(4.0, thing("small red star")))


def test_held_out_combinations_are_of_colour_and_shape_or_of_shape_and_action(thing):
    assert truth.is_held_out(thing("small purple star"))
    assert truth.is_held_out(thing("small red star spins"))
    assert not truth.is_held_out(thing("small red star grows"))


@pytest.mark.parametrize(
    ("seconds", "printed"),
    [(0, "0:00"), (3.49, "0:03"), (3.5, "0:04"), (2.5, "0:03"), (75, "1:15"), (3599.5, "1:00:00")],
)
def test_times_are_rounded_half_up_to_whole_seconds(seconds, printed):
    assert format_time(seconds) == printed


@pytest.mark.parametrize(
    ("action", "base", "gerund"),
    [
        ("moves left", "move left", "moving left"),
        ("spins", "spin", "spinning"),
        ("blinks", "blink", "blinking"),
        ("appears", "appear", "appearing"),
        ("stays still", "stay still", "staying still"),
    ],
)
def test_verbs_take_the_forms_that_questions_need(action, base, gerund):
    assert words.verb_forms(action) == {"does": action, "do": base, "doing": gerund}


def test_sampled_clips_have_one_object_for_each_name(training_clips, test_clips):
    for clip in (*training_clips, *test_clips):
        names = [words.name(thing) for thing in clip.objects]
        assert len(names) == len(set(names))
        assert all(thing in truth.shot_of(clip, thing).objects for thing in clip.objects)
