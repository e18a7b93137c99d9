"""``videollm describe`` as a program: interrupted, killed, started twice, without room on the disk."""

import itertools
import json
import os
import random
import signal
import subprocess
import time

import pytest
from typer.testing import CliRunner

from videollm.cli import app

from ..forking import ForkedProgram

FILES = 14


@pytest.fixture(scope="module")
def library(tmp_path_factory, write_video):
    folder = tmp_path_factory.mktemp("library")
    for number in range(FILES - 2):
        write_video(folder / f"{number:02}.mp4", (number, number + 1), 1.4 + number / 5)
    (folder / "10.mp4").write_bytes((folder / "03.mp4").read_bytes())
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "-it's “odd”.mp4").write_bytes((folder / "05.mp4").read_bytes()[:600])
    return folder


@pytest.fixture(scope="module")
def options(tiny_checkpoint):
    return ["--model", str(tiny_checkpoint), "--device", "cpu", "--max-new-tokens", "4"]


@pytest.fixture(scope="module")
def start(options):
    """Starts the program in a process of its own; what it prints can be read from its pipes."""
    return lambda *arguments: ForkedProgram("describe", *arguments, *options, pipes=True)


@pytest.fixture(scope="module")
def run(options):
    """Runs the program in this process, which is quicker; returns its exit code, what it says and its errors."""

    def run(*arguments, stdin=None):
        done = CliRunner().invoke(app, ["describe", *map(str, arguments), *options], input=stdin)
        assert done.exception is None or isinstance(done.exception, SystemExit)
        return done.exit_code, done.stdout, done.stderr

    return run


def lines(out):
    path = out / "descriptions.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def wait_for_rows(process, out, count):
    """Waits until so many files are done, or the program has ended."""
    while process.poll() is None and len(lines(out)) < count:
        time.sleep(0.01)


def matters(out):
    """The rows without what differs from run to run."""
    found = []
    for line in lines(out):
        row = json.loads(line)
        row["seconds"] = None
        if row["usage"]:
            del row["usage"]["seconds"]
        found.append(row)
    return found


@pytest.fixture(scope="module")
def undisturbed(run, library, tmp_path_factory):
    """What a run gives that nothing disturbs, as files and as what it says."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    return out, run(library, "--out", out, "--format", "srt,html")


def test_it_says_what_it_did_and_leaves_with_1_where_a_file_failed(undisturbed, library):
    out, (code, told, errors) = undisturbed
    assert code == 1
    assert "empty.mp4: the file is empty" in errors
    assert told.startswith(
        f"{FILES} files: {FILES - 3} described, 1 the same as another, 2 without a description"
    )
    assert len(told.splitlines()) == 1
    assert [row["path"] for row in matters(out)] == sorted(str(path) for path in library.iterdir())
    assert (out / "index.html").is_file()
    assert len(list((out / "srt").iterdir())) == FILES - 2


def test_good_files_alone_leave_with_0_and_tell_machines_in_json(run, library, tmp_path):
    code, told, err = run(library / "00.mp4", library / "0[12].mp4", "--out", tmp_path / "out", "--json")
    assert code == 0, err
    tally = json.loads(told)
    assert (tally["files"], tally["described"], tally["bad"], tally["left"]) == (3, 3, 0, 0)


def test_lists_come_through_a_pipe(run, library, tmp_path):
    named = f"{library / '00.mp4'}\n{json.dumps({'path': str(library / '01.mp4'), 'end_s': 1})}\n"
    code, _, err = run("-", "--out", tmp_path / "out", "--json", stdin=named)
    assert code == 0, err
    assert [row["end_s"] for row in matters(tmp_path / "out")] == [None, 1.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "needs something to describe"),
        (["{library}"], "needs --out DIR"),
        (["{library}", "--out", "{out}", "--format", "srt,doc"], "unknown output format 'doc'"),
        (["{library}/*.avi", "--out", "{out}"], "*.avi"),
        (["{library}", "--out", "{out}", "--shard", "two"], "--shard must be I/N"),
        (["{library}", "--out", "{out}", "--shard", "3/2"], "I from 1 to N, got 3/2"),
        (["{library}/nosuch/", "--out", "{out}"], "nosuch: there is no such file or folder; check the path"),
        (["{library}", "--out", "{library}/00.mp4"], "00.mp4 is a file, --out must be a directory"),
        (["{library}", "--out", "{library}/00.mp4/out"], "00.mp4/out cannot be made"),
        (["{library}", "--out", "{library}"], "is not empty: go on there with --resume"),
        (["{library}", "--out", "{out}", "--style", "limerick"], "no style 'limerick'"),
        (["{library}", "--out", "{out}", "--every", "10s", "--detail", "dense"], "one of the two"),
        (["{library}", "--out", "{out}", "--join"], "not the output of 'videollm describe'"),
    ],
)
def test_bad_input_is_one_line_and_2(run, library, tmp_path, arguments, message):
    filled = [text.format(library=library, out=tmp_path / "out") for text in arguments]
    before = sorted(library.iterdir())
    code, _, err = run(*filled)
    assert code == 2
    assert sorted(library.iterdir()) == before
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert message in line


def test_what_fails_three_times_is_set_aside_and_what_is_described_anew_is_said(run, library, tmp_path):
    arguments = (library / "00.mp4", library / "empty.mp4", "--out", tmp_path / "out", "--resume")
    runs = [run(*arguments) for _ in range(3)]
    assert ["1 without a description" in told for _, told, _ in runs] == [True, True, False]
    assert ["1 set aside, not tried again without --retry" in told for _, told, _ in runs] == [
        False,
        False,
        True,
    ]
    assert not any("anew" in errors for *_, errors in runs)
    code, told, errors = run(*arguments, "--every", "1s")
    assert "note: described before with another model or other settings, now anew: 1 file\n" in errors
    assert (code, "1 described" in told) == (1, True)


def test_killed_at_any_moment_it_ends_like_a_run_that_was_not(start, run, library, undisturbed, tmp_path):
    whole, _ = undisturbed
    out, rng = tmp_path / "out", random.Random(0)
    kills = 0
    for count in itertools.count(2, 4):
        process = start(library, "--out", out, "--batch-size", "1", "--format", "srt,html", "--resume")
        wait_for_rows(process, out, count)
        time.sleep(rng.random() * 0.05)
        if process.poll() is not None:
            break
        process.kill()
        process.communicate()
        kills += 1
    process.communicate()
    assert kills >= 2
    assert process.returncode == 1
    assert matters(out) == matters(whole)
    for folder in ("srt", "thumbnails"):
        ours, theirs = (
            {path.name: path.is_file() and path.read_bytes() for path in (place / folder).rglob("*")}
            for place in (out, whole)
        )
        assert ours == theirs
    _, told, _ = run(library, "--out", out, "--resume", "--format", "srt,html")
    assert f"{FILES - 2} done before, 2 " in told  # in how many runs they failed differs


def test_the_first_interrupt_finishes_what_is_in_work(start, run, library, undisturbed, tmp_path):
    out = tmp_path / "out"
    process = start(library, "--out", out, "--batch-size", "1")
    wait_for_rows(process, out, 3)
    process.send_signal(signal.SIGINT)
    told, err = process.communicate()
    assert process.returncode == 130, err
    assert "finishing what is in work" in err
    assert "left: go on with --resume" in told
    assert "Traceback" not in err
    done = len(lines(out))
    assert 3 <= done < FILES
    run(library, "--out", out, "--resume")
    assert matters(out) == matters(undisturbed[0])


def test_the_second_interrupt_stops_at_once_and_loses_nothing(start, run, library, undisturbed, tmp_path):
    out = tmp_path / "out"
    process = start(library, "--out", out, "--batch-size", "1")
    wait_for_rows(process, out, 2)
    process.send_signal(signal.SIGINT)
    process.stderr.readline(), process.stderr.readline()
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    run(library, "--out", out, "--resume")
    assert matters(out) == matters(undisturbed[0])


def test_a_second_copy_says_who_holds_the_directory(start, run, library, tmp_path):
    out = tmp_path / "out"
    first = start(library, "--out", out, "--batch-size", "1")
    wait_for_rows(first, out, 1)
    first.send_signal(signal.SIGSTOP)
    try:
        code, _, err = run(library, "--out", out, "--resume")
    finally:
        first.send_signal(signal.SIGCONT)
        first.kill()
        first.communicate()
    assert code == 2
    assert f"is in use by process {first.pid} on " in err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk_stops_it_clearly_and_with_room_it_completes(run, library, undisturbed, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount a disk")
    try:
        filler = disk / "filler"
        filler.write_bytes(bytes((2 << 20) - (160 << 10)))
        code, _, err = run(library, "--out", disk / "out", "--batch-size", "1")
        assert code == 1
        (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
        assert "make room, then go on with --resume" in line
        done = len(lines(disk / "out"))
        assert done < FILES
        filler.unlink()
        code, _, err = run(library, "--out", disk / "out", "--resume")
        assert (code, "error:" in err) == (1, False), err
        assert matters(disk / "out") == matters(undisturbed[0])
    finally:
        subprocess.run(["umount", str(disk)], check=True)
