"""Writes the parts of README.md that are output of the program: the report, the leaderboard. `--check` only compares.

python benchmarks/readme.py [--check]
"""

import argparse
import contextlib
import io
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def report() -> str:
    """The report of the case that the README's first command runs, as a pipe shows it."""
    from nandoctor.cli import main

    out = io.StringIO()
    here = Path.cwd()
    os.chdir(ROOT)
    try:
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            main(["tests/corpus/pool_ave_k2s3_h24", "--lang", "en"])
    finally:
        os.chdir(here)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines())


def leaderboard() -> str:
    """The table of benchmarks/leaderboard.py over the shipped cases."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from leaderboard import table

    return table(ROOT / "benchmarks" / "cases")


def filled(text: str, name: str, body: str) -> str:
    """README with the part between `<!-- name -->` and `<!-- end -->` replaced."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"README.md has no part `{name}`")
    return pattern.sub(lambda m: m[1] + body + "\n" + m[2], text, count=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    old = README.read_text("utf-8")
    new = filled(old, "report", f"```text\n{report()}\n```")
    if not options.check:
        new = filled(new, "leaderboard", leaderboard())
        README.write_text(new, "utf-8")
    elif new != old:
        raise SystemExit("README.md is not what the program prints: run python benchmarks/readme.py")


if __name__ == "__main__":
    main()
