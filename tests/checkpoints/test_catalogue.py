"""The page of published models says what the code says."""

from pathlib import Path

from typer.testing import CliRunner

from videollm.checkpoints.catalogue import CATALOGUE
from videollm.cli import app

PAGE = Path(__file__).parents[2] / "docs" / "models.md"


def test_the_page_has_the_table_of_the_command():
    table = CliRunner().invoke(app, ["info", "--models"]).stdout
    assert len(table.splitlines()) == 2 + len(CATALOGUE)
    assert table in PAGE.read_text()
