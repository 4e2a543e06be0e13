"""What the documents claim is what the program does."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from nandoctor.cli import commands
from nandoctor.cli.options import COMMANDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def test_the_readme_shows_what_the_program_prints() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/readme.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_readme_has_the_test_command_that_ci_runs() -> None:
    part = README.split("<!-- test command -->")[1].split("<!-- end -->")[0]
    assert "pytest" in part
    assert "README.md" in (ROOT / ".ci" / "run").read_text("utf-8")


@pytest.mark.parametrize("document", [*sorted(ROOT.glob("docs/*.md")), ROOT / "README.md"], ids=lambda p: p.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text("utf-8")):
        assert (document.parent / target).exists(), target


def test_every_command_has_help_and_is_in_a_document() -> None:
    documents = README + "".join(p.read_text("utf-8") for p in (ROOT / "docs").glob("*.md"))
    assert set(commands.group.commands) == set(COMMANDS)
    for name, command in commands.group.commands.items():
        assert command.help, name
        assert f"nandoctor {name}" in documents, name
        if isinstance(command, click.Group):
            for sub, part in command.commands.items():
                assert part.help, sub
                assert f"{name} {sub}" in documents, f"{name} {sub}"


def test_every_option_has_help() -> None:
    for parameter in commands.report.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
