"""``videollm export``: mistakes are told before anything is loaded or written."""

import pytest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{model}"], "give the checkpoint a directory with --out"),
        (["{model}", "--out", "{out}"], "this is a whole model, there is no adapter to fold in"),
        (["nowhere", "--out", "{out}"], "there is no such directory"),
    ],
)
def test_mistakes_in_export_are_explained(run, tmp_path, arguments, message):
    out = tmp_path / "out"
    done = run("export", *(argument.replace("{out}", str(out)) for argument in arguments))
    assert done.exit_code == 2
    assert message in done.stderr
    assert not out.exists()
