"""Training on people's records: what is read, what is left out, and what packing changes (nothing)."""

import hashlib
import json
import pickle
import shutil

import pytest
import torch
from torch.utils.data import DataLoader

from videollm.checkpoints import load_model
from videollm.data.reader import Reader
from videollm.data.reading import read_records
from videollm.data.records import MediaFile
from videollm.errors import DataError
from videollm.media import ReadOptions, processor_of, read_frames
from videollm_train.loop import fit
from videollm_train.media_features import MediaFeatures
from videollm_train.record_sources import load_sources
from videollm_train.spool import spooled
from videollm_train.tuning import TuningTask
from videollm_train.tuning_settings import Instruction


def settings(folder, checkpoint, **changes):
    fields = {
        "stage": "instruct",
        "model": checkpoint,
        "features": folder / "features",
        "data": [{"path": folder / "good.jsonl"}],
        "steps": 2,
        "batch_size": 8,
        "optimizer": {"lr": 1e-3},
        "precision": "fp32",
        "workers": 0,
        "evaluation_questions": 0,
    }
    return Instruction.model_validate(fields | changes)


def losses(task, index=0):
    """Loss and gradient of a micro batch."""
    torch.manual_seed(0)
    task.model.zero_grad()
    for part in task.dataset[index]:
        task.loss(part).total.backward()
    parts = task.dataset[index]
    total = sum(float(task.loss(part).total.detach()) for part in parts)
    gradient = {name: weight.grad for name, weight in task.model.named_parameters() if weight.requires_grad}
    return total, gradient, sum(part["supervised"] for part in parts)


def test_packed_records_are_learnt_like_single_ones(folder, tiny_checkpoint):
    short = [
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": word}]}
        for word in "abcd"
    ]
    rows = [(folder / "good.jsonl").read_text(), *map(json.dumps, short)]
    (folder / "mixed.jsonl").write_text("\n".join(rows))
    data = [{"path": folder / "mixed.jsonl"}]
    tasks = [
        TuningTask(
            settings(
                folder,
                tiny_checkpoint,
                data=data,
                tokens_per_pass=tokens,
                rows_per_pass=together,
                lora={"dropout": 0},
            )
        )
        for tokens, together in ((None, 8), (100, 1), (2000, 3))
    ]
    alone, gradient, count = losses(tasks[0])
    assert sum(len(part["input_ids"]) for part in tasks[0].dataset[0]) == 8
    for task in tasks[1:]:
        total, packed, learnt = losses(task)
        assert learnt == count
        assert total == pytest.approx(alone, rel=1e-5)
        for name, weight in gradient.items():
            torch.testing.assert_close(packed[name], weight, atol=1e-4, rtol=1e-3)
    assert len(tasks[1].dataset[0]) > 1
    (together,) = tasks[2].dataset[0]
    assert len(together["input_ids"]) < 8


def kept_for_the_way_back(task):
    """Loss, gradient, and how many numbers a pass kept for its way back."""
    kept = 0

    def count(tensor):
        nonlocal kept
        kept += tensor.numel()
        return tensor

    (part,) = task.dataset[0]
    task.model.train()
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        total = task.loss(part).total
    total.backward()
    return (
        float(total.detach()),
        {name: w.grad for name, w in task.model.named_parameters() if w.requires_grad},
        kept,
    )


def test_gradient_checkpointing_keeps_less_and_changes_nothing(folder, tiny_checkpoint):
    plain, thrifty = (
        kept_for_the_way_back(
            TuningTask(settings(folder, tiny_checkpoint, lora={"dropout": 0}, gradient_checkpointing=wanted))
        )
        for wanted in (False, True)
    )
    assert thrifty[0] == plain[0]
    assert thrifty[2] < 0.8 * plain[2]
    for name, gradient in plain[1].items():
        torch.testing.assert_close(thrifty[1][name], gradient, atol=1e-6, rtol=1e-5)


def test_what_is_learnt_is_the_answers(folder, tiny_checkpoint):
    task = TuningTask(settings(folder, tiny_checkpoint))
    decode = task.model.processor.tokenizer.decode
    said = set()
    for part in task.dataset[0]:
        for labels in part["labels"]:
            said.add(decode(labels[labels != -100]).replace("<|end|>", "").strip())
    assert {"1", "neither", "I cannot name what is in this scene."} <= said


def test_features_are_those_of_the_file_and_made_once(folder, tiny_checkpoint, tmp_path):
    model = load_model(str(tiny_checkpoint), device="cpu")
    store = MediaFeatures(tmp_path / "features", model)
    media = [MediaFile(path=str(folder / "0.mp4")), MediaFile(path=str(folder / "0.mp4"), start_s=1)]
    assert store.make(media) == {}
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "features").rglob("*.safetensors")}
    assert len(files) == 2
    assert MediaFeatures(tmp_path / "features", model).make(media) == {}
    assert files == {path: path.stat().st_mtime_ns for path in (tmp_path / "features").rglob("*.safetensors")}
    for medium in media:
        merged, plan = store.load(medium)
        options = ReadOptions(medium.start_s)
        frames = read_frames(medium.path, model.config.video, model.config.image, options)
        expected = model.merge_video(
            processor_of(model).prepare_frames(frames.frames_THW3), frames.plan
        ).to_tensors(torch.float16)
        assert plan == frames.plan == store.plan(medium)
        for name, value in merged.to_tensors(torch.float16).items():
            assert torch.equal(value, expected[name])


def test_other_encoders_features_are_refused(folder, tiny_checkpoint, tmp_path):
    model = load_model(str(tiny_checkpoint), device="cpu")
    MediaFeatures(tmp_path, model)
    with torch.no_grad():
        next(model.vision.parameters()).add_(1)
    with pytest.raises(DataError, match="features of another encoder"):
        MediaFeatures(tmp_path, model)


def test_bad_rows_are_told_and_end_the_run_where_they_are_too_many(folder, tiny_checkpoint, tmp_path):
    model = load_model(str(tiny_checkpoint), device="cpu")
    reader = Reader.of_model(str(tiny_checkpoint))
    store = MediaFeatures(tmp_path, model)
    sources = settings(folder, tiny_checkpoint, data=[{"path": folder / "bad.jsonl"}]).data
    told = []
    (loaded,) = load_sources(sources, store, reader, max_bad_fraction=0.25, tell=told.append)
    assert [record.id for record in loaded.records] == ["bad-1", "bad-3", "bad-4"]
    assert f"{folder}/bad.jsonl: 3 records, 1 bad rows left out" in told
    assert any(
        line.startswith(f"{folder}/bad.jsonl:2: error: {folder}/none.mp4: there is no such") for line in told
    )
    with pytest.raises(DataError, match=r"1 of 4 rows are bad, max_bad_fraction is 0.2 \(line 2: .*none.mp4"):
        load_sources(sources, store, reader, max_bad_fraction=0.2, tell=told.append)


def test_bad_rows_of_shards_are_told_with_their_file(folder, tiny_checkpoint, tmp_path):
    rows = (folder / "bad.jsonl").read_text().splitlines()
    (tmp_path / "parts").mkdir()
    for number, part in enumerate((rows[:1], rows[1:])):
        (tmp_path / "parts" / f"{number}.jsonl").write_text("\n".join(part))
    model = load_model(str(tiny_checkpoint), device="cpu")
    sources = settings(folder, tiny_checkpoint, data=[{"path": tmp_path / "parts", "media": [folder]}]).data
    with pytest.raises(DataError, match=r"1 of 4 rows are bad, .*\(1\.jsonl line 1: .*none.mp4"):
        load_sources(
            sources,
            MediaFeatures(tmp_path / "features", model),
            Reader.of_model(str(tiny_checkpoint)),
            max_bad_fraction=0.2,
            tell=lambda text: None,
        )


def test_bad_rows_are_counted_even_where_all_stand_in_one_line(folder, tiny_checkpoint, tmp_path):
    rows = [json.loads(line) for line in (folder / "bad.jsonl").read_text().splitlines()]
    (folder / "compact.json").write_text(json.dumps([rows[0], rows[1], {"clip": 1}, {"clip": 2}]))
    model = load_model(str(tiny_checkpoint), device="cpu")
    sources = settings(folder, tiny_checkpoint, data=[{"path": folder / "compact.json"}]).data
    with pytest.raises(DataError, match="3 of 4 rows are bad"):
        load_sources(
            sources,
            MediaFeatures(tmp_path, model),
            Reader.of_model(str(tiny_checkpoint)),
            max_bad_fraction=0.5,
            tell=lambda text: None,
        )


@pytest.mark.parametrize("path", ["shards", "shards/part-*.jsonl"])
def test_shards_are_learnt_as_one_file(folder, tiny_checkpoint, path):
    rows = (folder / "good.jsonl").read_text().splitlines()
    (folder / "shards").mkdir(exist_ok=True)
    (folder / "shards" / "part-0.jsonl").write_text("\n".join(rows[:1]))
    (folder / "shards" / "part-1.jsonl").write_text("\n".join(rows[1:]))
    one, many = (
        TuningTask(settings(folder, tiny_checkpoint, data=[{"path": folder / name, "media": [folder]}]))
        for name in ("good.jsonl", path)
    )
    for index in range(2):
        (whole,), (parts,) = one.dataset[index], many.dataset[index]
        assert torch.equal(whole["input_ids"], parts["input_ids"])
    hashes = [task.facts()[0]["sha256"] for task in (one, many)]
    assert (
        hashes[1] == hashlib.sha256("\n".join(rows[:1]).encode() + "\n".join(rows[1:]).encode()).hexdigest()
    )
    assert hashes[0] != hashes[1]


def test_a_pattern_without_files_is_an_error(folder, tiny_checkpoint):
    with pytest.raises(DataError, match=r"none-\*.jsonl: there are no data files"):
        TuningTask(settings(folder, tiny_checkpoint, data=[{"path": folder / "none-*.jsonl"}]))


def test_spooled_records_come_back_in_any_order_and_from_forked_processes(folder):
    found = [one.record for one in read_records(folder / "good.jsonl")]
    spool = spooled(found)
    assert list(spool) == found
    assert [spool[3], spool[-4], spool[1]] == [found[3], found[0], found[1]]
    assert spool[1:3] == found[1:3]
    with pytest.raises(IndexError):
        spool[4]
    assert list(DataLoader(spool, batch_size=None, num_workers=2)) == found
    assert list(pickle.loads(pickle.dumps(spool))) == found


def test_a_resumed_run_on_records_equals_an_undisturbed_one(folder, tiny_checkpoint, tmp_path):
    wanted = settings(folder, tiny_checkpoint, steps=4, save_every=2, tokens_per_pass=256, log_every=1)
    fit(TuningTask(wanted), wanted, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    shutil.rmtree(tmp_path / "cut" / "checkpoints" / "step-0000004")
    shutil.rmtree(tmp_path / "cut" / "final")
    fit(TuningTask(wanted), wanted, tmp_path / "cut", resume=True)
    whole, cut = (
        load_model(str(tmp_path / name / "final"), device="cpu").state_dict() for name in ("whole", "cut")
    )
    assert all(torch.equal(weight, cut[name]) for name, weight in whole.items())
    losses = [
        [event["loss"] for event in map(json.loads, (tmp_path / name / "log.jsonl").read_text().splitlines())]
        for name in ("whole", "cut")
    ]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 4


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.parametrize(
    "changes",
    [
        {"lora": {"rank": 4}},
        {"lora": {"rank": 4, "variant": "rslora"}},
        {"lora": {"rank": 4, "variant": "dora"}},
        {"lora": {"rank": 4}, "quantize": "4bit"},
        {"lora": {"rank": 4}, "quantize": "8bit"},
    ],
    ids=["lora", "rslora", "dora", "4bit", "8bit"],
)
def test_an_adapter_is_what_a_run_leaves(folder, tiny_checkpoint, tmp_path, changes):
    wanted = settings(folder, tiny_checkpoint, fold=False, **changes)
    task = TuningTask(wanted)
    trained = {name for name, weight in task.model.named_parameters() if weight.requires_grad}
    bridge = ("projector.modules_to_save.", "compressor.modules_to_save.")
    assert all("lora_" in name or name.startswith(bridge) for name in trained)
    assert any("lora_" in name for name in trained)
    assert any(name.startswith("projector.") for name in trained)
    before = {name: weight.detach().clone() for name, weight in task.model.named_parameters()}
    fit(task, wanted, tmp_path / "run")
    changed = {
        name for name, weight in task.model.named_parameters() if not torch.equal(weight, before[name])
    }
    assert changed <= trained
    assert {name.split(".")[0] for name in changed} == {"compressor", "projector", "language_model"}
    loaded = load_model(str(tmp_path / "run" / "final"), device="cpu")
    if wanted.quantize is None:
        with torch.no_grad():
            ids = torch.tensor([[5, 6, 7, 8]])
            ours, theirs = task.model.eval()(input_ids=ids).logits, loaded(input_ids=ids).logits
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("variant", ["lora", "rslora"])
def test_a_share_of_the_change_is_kept(folder, tiny_checkpoint, tmp_path, variant):
    def learn(name, **changes):
        kept = {"rank": 4, "variant": variant, "kept": changes.pop("kept", 1.0)}
        wanted = settings(folder, tiny_checkpoint, lora=kept, **changes)
        fit(TuningTask(wanted), wanted, tmp_path / name)
        return load_model(str(tmp_path / name / "final"), device="cpu").state_dict()

    before = load_model(str(tiny_checkpoint), device="cpu").state_dict()
    whole, some = learn("whole"), learn("some", kept=0.25)
    changed = [name for name in before if name.endswith("_proj.weight") and "language_model" in name]
    assert changed
    for name in changed:
        assert not torch.equal(whole[name], before[name])
        torch.testing.assert_close(some[name], before[name] + 0.25 * (whole[name] - before[name]))
    adapter = learn("adapter", kept=0.25, fold=False)
    for name, weight in some.items():
        torch.testing.assert_close(adapter[name], weight)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.parametrize(
    "changes", [{"fold": False, "quantize": "4bit"}, {"frozen": "bf16"}], ids=["4bit", "bf16"]
)
def test_answering_on_the_way_does_not_change_what_is_learnt(folder, tiny_checkpoint, tmp_path, changes):
    def learn(name, **more):
        features = tmp_path / "features"  # eyes in another precision see differently
        wanted = settings(folder, tiny_checkpoint, features=features, steps=3, log_every=1, **changes, **more)
        task = TuningTask(wanted)
        fit(task, wanted, tmp_path / name)
        events = map(json.loads, (tmp_path / name / "log.jsonl").read_text().splitlines())
        return task.model, [event["loss"] for event in events if "loss" in event]

    _, quiet = learn("quiet", evaluate_every=100)
    model, asked = learn("asked", evaluate_every=1, held_out={"path": folder / "good.jsonl"})
    assert asked == quiet
    assert all(weight.dtype == torch.float32 for weight in model.parameters() if weight.requires_grad)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantize": "4bit"}, "cannot be folded in: give fold=false"),
        ({"fold": False, "lora": None}, "are about an adapter: give lora"),
        ({"fold": False, "trained": ["language_model."]}, "leave out trained"),
        ({"lora": {"variant": "dora", "kept": 0.5}}, "a share of what DoRA changed cannot be kept"),
    ],
)
def test_what_cannot_go_together_is_refused(folder, tiny_checkpoint, changes, message):
    with pytest.raises(ValueError, match=message):
        settings(folder, tiny_checkpoint, **changes)
