"""The pages are true: their Python runs and prints what they say, their links lead somewhere.

A `text` block right after a `python` block is what that program prints. Rust blocks run as doc tests.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n^```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def programs():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield pytest.param(match[1], match[2], id=f"{page.relative_to(ROOT)}:{line}")


def run(arguments, folder):
    done = subprocess.run(
        [sys.executable, "-X", "dev", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, f"status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("program, output", list(programs()))
def test_program_on_a_page_runs_and_prints_what_the_page_says(program, output, tmp_path):
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    printed = run(["program.py"], tmp_path)
    assert output is None or printed == output


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example_prints_what_its_header_says(example, tmp_path):
    header = example.read_text(encoding="utf-8").split('"""')[1]
    said = header.split("It prints:\n\n")[1]
    printed = run([str(example)], tmp_path)
    assert printed.split() == said.split()


def test_first_programs_of_the_readme_are_the_examples():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in ("first_program.py", "first_program.rs"):
        source = (ROOT / "examples" / name).read_text(encoding="utf-8")
        body = source.split('"""\n\n')[-1] if name.endswith(".py") else source.split("\n\n", 1)[1]
        assert body in readme, f"the README does not hold the program of examples/{name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    broken = []
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        file = page if not path else page.parent / path
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert not broken


def anchors(page):
    """The anchors of a page's headings, made as code hosts make them."""
    headings = HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
