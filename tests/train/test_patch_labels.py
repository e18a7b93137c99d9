"""What patches are said to show, against the truth of clips made by hand and drawn ones; and the heads' arithmetic."""

import pytest
import torch

from videollm.errors import DataError
from videollm.model.settings import VideoSettings
from videollm.synthetic.reading import plan_clip
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import COLOURS, Action, Backdrop, Clip, Shot, WorldObject
from videollm_train.frame_windows import FrameWindows
from videollm_train.patch_head import PatchHead, count_right, patch_losses
from videollm_train.patch_labels import CLASSES, IGNORED, OBJECT_TRAITS, SCENE_TRAITS, patch_labels
from videollm_train.settings import VisionPretraining
from videollm_train.told import ToldEncoder

SIZE, GRID = 48, 6


def thing(action=None, **changes):
    values = {
        "colour": "red",
        "shape": "star",
        "size": "large",
        "action": action or Action("stays still", 0.0, 4.0),
        "x": 0.25,
        "y": 0.5,
        "extent": 0.3,
        "rgb": (255, 0, 0),
    }
    return WorldObject(**(values | changes))


def shot(*objects, start=0.0, end=4.0, **changes):
    values = {"backdrop": Backdrop("plain", ("gray",), ((128, 128, 128),))}
    return Shot(start, end, objects=objects, **(values | changes))


def clip_of(*shots):
    return Clip(seed=1, split="train", width=96, height=96, fps=8.0, shots=shots)


def named(classes_K):
    """The names of a patch's classes; ``None`` where a trait is not asked for."""
    found = {}
    for trait, label in zip(CLASSES, classes_K.tolist(), strict=True):
        names = ("none", *OBJECT_TRAITS[trait]) if trait in OBJECT_TRAITS else SCENE_TRAITS[trait]
        found[trait] = None if label == IGNORED else names[label]
    return found


def label(clip, *times):
    return patch_labels(clip, times, SIZE, GRID)


def centres(labels, frame=0):
    return [named(classes) for classes in labels.classes_TPK[frame][labels.centres_TP[frame]]]


def test_a_colour_without_a_name_is_not_asked_for():
    told = centres(label(clip_of(shot(thing(colour="unnamed", rgb=(0, 128, 128)))), 1.0))
    assert [(one["colour"], one["shape"]) for one in told] == [(None, "star")]


def test_a_patch_tells_its_object_and_the_scene_around_it():
    labels = label(clip_of(shot(thing())), 1.0)
    assert labels.centres_TP.nonzero().tolist() == [[0, 3 * GRID + 1]]
    assert centres(labels) == [
        {
            "colour": "red",
            "shape": "star",
            "size": "large",
            "doing": "stays still",
            "camera": "is static",
            "light": "normal",
            "tone": "in colour",
            "backdrop": "plain",
            "ground": "gray",
            "cut": "none",
        }
    ]
    empty = named(labels.classes_TPK[0, -1])
    assert [empty[trait] for trait in OBJECT_TRAITS] == ["none"] * 4
    assert empty["ground"] == "gray"


@pytest.mark.parametrize(
    ("time", "doing"), [(0.5, "stays still"), (1.5, "moves right"), (3.0, "stays still")]
)
def test_an_object_does_what_it_does_only_while_it_does(time, doing):
    moving = thing(Action("moves right", 1.0, 2.0, 0.5))
    assert [found["doing"] for found in centres(label(clip_of(shot(moving)), time))] == [doing]


def test_a_moved_object_is_found_where_it_went():
    moving = thing(Action("moves right", 1.0, 2.0, 0.5))
    labels = label(clip_of(shot(moving)), 0.5, 3.0)
    assert labels.centres_TP.nonzero().tolist() == [[0, 3 * GRID + 1], [1, 3 * GRID + 4]]


def test_the_size_is_not_asked_for_once_it_changed():
    growing = thing(Action("grows", 1.0, 2.0, 2.0), size="small", extent=0.15)
    sizes = [centres(label(clip_of(shot(growing)), time))[0]["size"] for time in (0.5, 3.0)]
    assert sizes == ["small", None]


def test_nothing_is_asked_of_an_object_that_cannot_be_seen_just_now():
    blinking = clip_of(shot(thing(Action("blinks", 1.0, 2.0, 3))))
    off, on = label(blinking, 1.05), label(blinking, 1.25)
    assert not off.centres_TP.any()
    assert named(off.classes_TPK[0, 3 * GRID + 1])["colour"] is None
    assert centres(on)[0]["doing"] == "blinks"


def test_an_object_that_has_gone_leaves_no_trace():
    going = clip_of(shot(thing(Action("disappears", 1.0, 2.0))))
    assert (label(going, 2.5).classes_TPK[..., : len(OBJECT_TRAITS)] == 0).all()


def test_actions_and_sizes_are_not_asked_for_where_they_cannot_be_told():
    zoomed = clip_of(shot(thing(), backdrop=Backdrop("texture"), camera="zooms in", camera_amount=1.5))
    found = centres(label(zoomed, 1.0))[0]
    assert (found["camera"], found["doing"], found["size"]) == ("zooms in", None, None)


def test_in_the_dark_of_a_fade_only_the_light_is_asked_for():
    fading = clip_of(shot(thing(), light="fades in", light_amount=2.0))
    labels = label(fading, 0.1, 1.0, 3.0)
    dark = named(labels.classes_TPK[0, 0])
    assert {name for name, value in dark.items() if value is not None} == {"light", "cut"}
    assert [named(labels.classes_TPK[frame, 0])["light"] for frame in range(3)] == [
        "fades in",
        "fades in",
        "normal",
    ]
    assert not labels.centres_TP[0].any()


def test_frames_beside_a_cut_know_it():
    cut = clip_of(shot(end=2.0), shot(start=2.0, end=4.0))
    found = [named(classes[0])["cut"] for classes in label(cut, 1.0, 1.5, 2.0, 2.5).classes_TPK]
    assert found == ["none", "after", "before", "none"]


def test_a_gradient_has_the_colour_of_its_nearer_end():
    for axis, across in (("horizontal", True), ("vertical", False)):
        backdrop = Backdrop("gradient", ("red", "blue"), ((255, 0, 0), (0, 0, 255)), axis=axis)
        ground = label(clip_of(shot(backdrop=backdrop)), 1.0).classes_TPK[0, :, list(CLASSES).index("ground")]
        ground_RC = ground.view(GRID, GRID) if across else ground.view(GRID, GRID).T
        assert (ground_RC[:, :3] == COLOURS.index("red") + 1).all()
        assert (ground_RC[:, 3:] == COLOURS.index("blue") + 1).all()


def test_every_drawn_clip_is_labelled_within_the_classes():
    for seed in range(30):
        clip = sample_clip(seed, max_short_side=96)
        labels = patch_labels(clip, plan_clip(clip, VideoSettings()).times_s, 96, 12)
        for trait, count in enumerate(CLASSES.values()):
            classes = labels.classes_TPK[..., trait]
            assert ((classes == IGNORED) | ((classes >= 0) & (classes < count))).all()
        assert (labels.classes_TPK[..., 0][labels.centres_TP] > 0).all()


def one_hot(classes_NPK):
    return [
        20.0 * torch.nn.functional.one_hot(classes_NPK[..., trait].clamp(min=0), count).float()
        for trait, count in enumerate(CLASSES.values())
    ]


def test_right_logits_have_no_loss_and_are_counted_right():
    labels = label(clip_of(shot(thing(Action("blinks", 1.0, 2.0, 4.0)))), 0.5, 1.5)
    logits = one_hot(labels.classes_TPK)
    objects, scene = patch_losses(logits, labels.classes_TPK)
    assert objects < 1e-6
    assert scene < 1e-6
    counted = count_right(logits, labels.classes_TPK, labels.centres_TP)
    assert all(right == asked for right, asked in counted.values())
    assert counted["whole"] == (2, 2)


def test_one_wrong_trait_spoils_the_whole_object():
    labels = label(clip_of(shot(thing())), 1.0)
    wrong = labels.classes_TPK.clone()
    wrong[..., 1][labels.centres_TP] = 1
    counted = count_right(one_hot(wrong), labels.classes_TPK, labels.centres_TP)
    assert counted["whole"] == counted["shape"] == (0, 1)
    assert counted["colour"] == (1, 1)


def test_what_goes_somewhere_is_counted_on_its_own():
    labels = label(clip_of(shot(thing(Action("moves up", 0.0, 1.0, 0.3)))), 0.5, 1.5)
    still = labels.classes_TPK.clone()
    still[..., 3][still[..., 3] > 0] = 1
    counted = count_right(one_hot(still), labels.classes_TPK, labels.centres_TP)
    assert counted["doing"] == (1, 2)
    assert counted["doing moving"] == (0, 1)
    assert counted["camera moving"] == (0, 0)


@pytest.mark.parametrize(
    ("shown", "trait", "excluded"),
    [
        (thing(), "shape", set()),
        (thing(), "colour", {"purple"}),
        (thing(), "doing", {"spins"}),
        (thing(colour="purple", shape="ring"), "shape", {"star"}),
        (thing(colour="purple", shape="ring"), "colour", {"pink"}),
        (thing(Action("spins", 0.0, 4.0, 1.0), shape="heart"), "shape", {"star"}),
        (thing(colour="unnamed", shape="heart"), "doing", {"blinks"}),
    ],
)
def test_nobody_is_taught_that_what_training_holds_back_cannot_be(shown, trait, excluded):
    classes = label(clip_of(shot(shown)), 1.0).classes_TPK
    place = list(CLASSES).index(trait)
    for number, name in enumerate(OBJECT_TRAITS[trait], start=1):
        logits = [torch.zeros_like(part, requires_grad=True) for part in one_hot(classes)]
        patch_losses(logits, classes)[0].backward()
        pushed = logits[place].grad[..., number][classes[..., 0] != 0]
        assert (pushed == 0).all() == (name in excluded), name


def test_what_is_ignored_costs_nothing():
    torch.manual_seed(0)
    labels = label(clip_of(shot(thing())), 1.0)
    logits, _ = PatchHead(8)(torch.randn(1, GRID * GRID, 8))
    ignored = torch.full_like(labels.classes_TPK, IGNORED)
    assert [loss.item() for loss in patch_losses(logits, ignored)] == [0.0, 0.0]


def test_told_features_differ_by_what_patches_show():
    encoder = ToldEncoder(64, SIZE, GRID)
    still, moving = clip_of(shot(thing())), clip_of(shot(thing(Action("moves up", 0.0, 2.0, 0.3))))
    plan = plan_clip(still, VideoSettings(fps=1))
    one, again, other = (
        encoder.see(still, plan),
        ToldEncoder(64, SIZE, GRID).see(still, plan),
        encoder.see(moving, plan),
    )
    assert one.shape == (4, GRID * GRID, 64)
    assert torch.equal(one, again)
    changed = (one != other).any(-1)
    assert changed[0, 3 * GRID + 1]
    assert not changed[:, GRID - 1 :: GRID].any()


@pytest.fixture
def settings():
    return VisionPretraining.model_validate(
        {
            "stage": "pretrain-vision",
            "steps": 1,
            "batch_size": 3,
            "window_frames": 4,
            "shape": {"image_size": 48, "patch_size": 8},
            "world": {"wishes": {"max_short_side": 96}},
            "optimizer": {"lr": 1e-3},
        }
    )


def test_windows_are_runs_of_planned_frames_with_their_labels(settings):
    windows = FrameWindows(settings, VideoSettings(fps=3, max_frames=48), "train")
    (batch,), (again,) = windows[2], windows[2]
    assert batch["lengths"] == [4, 4, 4]
    assert batch["supervised"] == 12
    assert batch["frames"].shape == (12, 3, 48, 48)
    assert batch["classes"].shape == (12, 36, len(CLASSES))
    assert len(batch["captions"]) == 12
    for name in ("frames", "classes", "centres"):
        assert torch.equal(batch[name], again[name])
    assert not torch.equal(batch["frames"], windows[3][0]["frames"])


def windows_of(dataset, indices):
    """What each window of some batches says, in sums of its tensors."""
    found = []
    for (batch,) in (dataset[index] for index in indices):
        parts = [batch[name].split(batch["lengths"]) for name in ("frames", "classes", "centres", "motions")]
        found += [
            [part.double().nan_to_num(7).sum().item() for part in one] for one in zip(*parts, strict=True)
        ]
    return found


def test_kept_windows_are_those_that_are_rendered_and_come_again_in_another_order(settings, tmp_path):
    kept = settings.model_copy(update={"windows": tmp_path / "windows", "distinct_windows": 6})
    video = VideoSettings(fps=3, max_frames=48)
    first, alone = FrameWindows(kept, video, "train"), FrameWindows(settings, video, "train")
    rendered = windows_of(alone, (0, 1))
    epochs = [windows_of(first, (0, 1)), windows_of(first, (2, 3))]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(rendered)
    assert epochs[0] != epochs[1]
    again = FrameWindows(kept, video, "train")[3]
    assert all(torch.equal(again[0][name], first[3][0][name]) for name in ("frames", "classes", "centres"))
    with pytest.raises(DataError, match="holds windows of other clips"):
        FrameWindows(kept.model_copy(update={"crowd": 2}), video, "train")


def test_a_short_clip_gives_all_of_its_frames(settings):
    wishes = {"max_short_side": 96, "duration_s": (2, 2.2)}
    short = settings.model_copy(update={"world": settings.world.model_copy(update={"wishes": wishes})})
    (batch,) = FrameWindows(short, VideoSettings(fps=1), "train")[0]
    assert batch["lengths"] == [2, 2, 2]


def test_crowds_show_more_objects(settings):
    def objects(share):
        crowded = settings.model_copy(update={"crowded_share": share, "batch_size": 40})
        return int(FrameWindows(crowded, VideoSettings(fps=3), "train")[0][0]["centres"].sum())

    assert objects(1.0) > 1.5 * objects(0.0)


def test_windows_are_drawn_to_events(settings):
    doing = list(CLASSES).index("doing")

    def acting(share):
        drawn = settings.model_copy(update={"event_share": share, "batch_size": 60})
        (batch,) = FrameWindows(drawn, VideoSettings(fps=3, max_frames=48), "train")[0]
        return int((batch["classes"][..., doing] > 1).flatten(1).any(1).sum())

    assert acting(1.0) > 1.3 * acting(0.0)
