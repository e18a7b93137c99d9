"""Canonical descriptions: every clause of the world, captions, dense lines and still pictures."""

from __future__ import annotations

import pytest

from videollm.synthetic.language.descriptions import caption, dense, frame_caption, shot_description
from videollm.synthetic.language.scoring import seconds_of
from videollm.synthetic.scenes import Backdrop

GRADIENT = Backdrop("gradient", ("red", "blue"), ((200, 0, 0), (0, 0, 200)))
PHOTO = Backdrop("photo", photo="coast")


def test_the_worlds_own_caption_comes_out_word_for_word(example):
    assert caption(example) == (
        "A small red star moves left, then a large blue ring grows, on a gray background; "
        "then the camera pans right over a textured scene, and it is dark."
    )


def test_a_pan_alone_gives_the_worlds_own_second_half(clip_of, shot, thing, texture):
    star, ring = thing("small red star moves left", 1, 2), thing("large blue ring grows", 3, 4)
    pan = shot(9.0, start_s=4.4, backdrop=texture, camera="pans right")
    assert caption(clip_of(shot(4.4, star, ring), pan)) == (
        "A small red star moves left, then a large blue ring grows, on a gray background; "
        "then the camera pans right over a textured scene."
    )


def test_the_worlds_own_dense_lines_come_out_word_for_word(clip_of, shot, thing, texture):
    star, ring = thing("small red star moves left", 1, 2), thing("large blue ring grows", 3, 4)
    second = shot(9.0, start_s=4.0, backdrop=texture, camera="pans right", light="dark")
    assert dense(clip_of(shot(4.0, star, ring), second)) == (
        "[0:00-0:04] A small red star moves left, then a large blue ring grows, on a gray background.\n"
        "[0:04-0:09] A textured scene. The camera pans right. It is dark."
    )


def test_still_objects_stand_beside_what_happens(shot, thing):
    things = (thing("small white cross"), thing("small red star moves left", 1, 2), thing("large pink heart"))
    assert shot_description(shot(4.0, *things), 0) == (
        "A small red star moves left beside a large pink heart and a small white cross, on a gray background."
    )


def test_simultaneous_events_are_joined_by_while_in_the_order_of_colours(shot, thing):
    things = (thing("small blue star grows", 1, 2), thing("large orange ring spins", 1.4, 3))
    assert shot_description(shot(4.0, *things), 0) == (
        "A large orange ring spins while a small blue star grows, on a gray background."
    )


def test_still_objects_alone_are_a_list(shot, thing):
    things = (thing("small white cross"), thing("large blue ring"), thing("small red star"))
    assert shot_description(shot(4.0, *things), 0) == (
        "A small red star, a large blue ring and a small white cross, on a gray background."
    )


@pytest.mark.parametrize(
    ("backdrop", "empty", "around"),
    [
        (
            Backdrop("plain", ("orange",)),
            "An empty orange background.",
            "A small red star, on an orange background.",
        ),
        (GRADIENT, "A red and blue gradient.", "A small red star, on a red and blue gradient."),
        (Backdrop("texture"), "A textured scene.", "A small red star, over a textured scene."),
        (PHOTO, "A photographed scene.", "A small red star, over a photographed scene."),
    ],
)
def test_every_backdrop_has_its_words_empty_and_around_objects(shot, thing, backdrop, empty, around):
    assert shot_description(shot(4.0, backdrop=backdrop), 0) == empty
    assert shot_description(shot(4.0, thing("small red star"), backdrop=backdrop), 0) == around


@pytest.mark.parametrize(
    ("fields", "remark"),
    [
        ({"camera": "zooms out"}, "The camera zooms out."),
        ({"light": "bright"}, "It is bright."),
        ({"light": "fades in"}, "It fades in from black."),
        ({"light": "fades out"}, "It fades out to black."),
        ({"tone": "in black and white"}, "It is in black and white."),
    ],
)
def test_dense_lines_tell_what_is_not_usual(shot, fields, remark):
    assert shot_description(shot(4.0, backdrop=PHOTO, **fields), 0) == f"A photographed scene. {remark}"


def test_a_caption_leaves_out_the_light_where_something_happens(clip_of, shot, thing):
    clip = clip_of(shot(6.0, thing("small orange star grows", 3, 4), light="fades in", light_amount=1.0))
    assert caption(clip) == "A small orange star grows, on a gray background."


def test_a_caption_is_one_sentence_that_starts_with_a_capital(training_clips, test_clips):
    for clip in (*training_clips, *test_clips):
        assert caption(clip)[0] in "AT"
        assert caption(clip).count(".") == 1


def test_dense_lines_cover_the_clip_without_gaps(test_clips):
    for clip in test_clips:
        times = [line[1:].split("]")[0].split("-") for line in dense(clip).splitlines()]
        assert times[0][0] == "0:00"
        assert [end for _, end in times[:-1]] == [start for start, _ in times[1:]]
        assert abs(seconds_of(times[-1][1]) - clip.duration_s) <= 0.5


def test_a_still_picture_shows_objects_where_they_are_then(clip_of, shot, thing):
    star = thing("small red star moves right", 1, 3, x=0.1, y=0.1)
    clip = clip_of(shot(5.0, star, thing("large blue ring", x=0.5, y=0.8)))
    before, after = (frame_caption(clip, time, placed=True) for time in (0.5, 4.0))
    ring = "at the bottom a large blue ring, on a gray background."
    assert before == f"At the upper left a small red star and {ring}"
    assert after == f"At the top a small red star and {ring}"
    assert frame_caption(clip, 0.5) == "A small red star and a large blue ring, on a gray background."


def test_placed_objects_are_told_in_reading_order(clip_of, shot, thing):
    low, left, right = (
        thing("small red star", x=0.1, y=0.9),
        thing("large blue ring", x=0.2, y=0.2),
        thing("small pink cross", x=0.9, y=0.25),
    )
    for objects in ((low, left, right), (right, low, left)):
        told = frame_caption(clip_of(shot(5.0, *objects)), 0.5, placed=True)
        assert [told.index(name) for name in ("ring", "cross", "star")] == sorted(
            told.index(name) for name in ("ring", "cross", "star")
        )


def test_a_still_picture_leaves_out_what_cannot_be_seen_then(clip_of, shot, thing):
    clip = clip_of(
        shot(5.0, thing("small red star appears", 2, 3), thing("small pink cross blinks", 1.0, 3.5))
    )
    assert frame_caption(clip, 0.5) == "A small pink cross, on a gray background."
    assert frame_caption(clip, 1.1) == "An empty gray background."
    assert frame_caption(clip, 4.0) == "A small red star and a small pink cross, on a gray background."


def test_a_still_picture_tells_the_size_and_the_light_of_that_moment(clip_of, shot, thing, texture):
    grown = clip_of(shot(5.0, thing("small red star grows", 1, 3)))
    assert frame_caption(grown, 4.0) == "A large red star, on a gray background."
    fading = clip_of(
        shot(5.0, backdrop=texture, light="fades in", light_amount=2.0, tone="in black and white")
    )
    seen = [frame_caption(fading, time) for time in (0.1, 0.8, 4.0)]
    assert seen[0] == "A black picture."
    assert seen[1] == "A textured scene. It is dark. It is in black and white."
    assert seen[2] == "A textured scene. It is in black and white."


def test_a_panning_camera_moves_things_through_a_still_picture(clip_of, shot, thing, texture):
    pan = shot(4.0, thing("small red star", x=0.9), backdrop=texture, camera="pans right", camera_amount=0.5)
    assert frame_caption(clip_of(pan), 0.0, placed=True).startswith("At the right a ")
    assert frame_caption(clip_of(pan), 4.0, placed=True).startswith("At the center a ")
