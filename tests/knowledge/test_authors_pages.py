"""The pages for authors say what is so: every code is explained, every example in them passes the lint."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from nandoctor.authoring import check_all

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "authoring.md"
EXAMPLE = re.compile(
    r"^    # ((?:causes|observations|remedies|dialects|checks)/[\w.-]+\.yaml)\n((?:    .*\n|\n(?=    ))+)", re.MULTILINE
)


def test_every_code_is_explained_and_every_explained_code_exists() -> None:
    sources = [*(ROOT / "nandoctor/kb").glob("*.py"), *(ROOT / "nandoctor/authoring").glob("*.py")]
    used = {code for path in sources for code in re.findall(r'"(KB\d{3})"', path.read_text(encoding="utf-8"))}
    explained = set(re.findall(r"^\| (KB\d{3}) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert used == explained


def examples(page: Path) -> dict[str, str]:
    text = page.read_text(encoding="utf-8")
    return {found[1]: textwrap.dedent(found[2]) for found in EXAMPLE.finditer(text)}


@pytest.mark.parametrize("page", ["docs/authoring.md", "knowledge/README.md"])
def test_examples_pass_the_lint(page: str, tmp_path: Path) -> None:
    found = examples(ROOT / page)
    assert len(found) >= 2
    for name, text in found.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    # An example may stand alone: that nobody uses it yet is no fault of the page.
    own = [p for p in check_all([tmp_path], ignore={"KB041"}) if p.location.file.startswith(str(tmp_path))]
    assert [str(problem) for problem in own] == []
