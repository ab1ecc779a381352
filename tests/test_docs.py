"""The documentation: all is in it, all of it can be found, and it builds.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import re
import shutil
from pathlib import Path

import pytest

import speechbrain_neuronprune

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def pages() -> set[Path]:
    """All pages that people write, but the entry page."""
    found = {ROOT / "README.md", ROOT / "CHANGELOG.md", DOCS / "api/index.rst"}
    found |= {*DOCS.glob("*.md"), *ROOT.glob("recipes/**/README.md")}
    return found - {DOCS / "index.md"}


def navigation() -> set[Path]:
    """The pages that the toctrees of the entry page name."""
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    trees = re.findall(r"^```\{toctree\}\n(.*?)^```$", text, re.M | re.S)
    entries = re.findall(r"^(?:[^:\n].*<)?([\w./]+)>?$", "\n".join(trees), re.M)
    stems = [(DOCS / entry).resolve() for entry in entries]
    return {
        page
        for stem in stems
        for page in (stem.with_suffix(".md"), stem.with_suffix(".rst"))
        if page.is_file()
    }


def test_the_api_reference_has_every_public_name():
    reference = (DOCS / "api/index.rst").read_text(encoding="utf-8")
    names = re.findall(r"^\.\. auto\w+:: (\w+)$", reference, re.M)
    assert sorted(names) == sorted(speechbrain_neuronprune.__all__)


def test_every_page_is_in_the_navigation():
    assert navigation() == pages()


@pytest.fixture
def sources(tmp_path):
    """A copy of the pages, without those of modules that `make docs` leaves."""
    folder = tmp_path / "sources"
    for name in ("docs", "recipes"):
        shutil.copytree(
            ROOT / name,
            folder / name,
            ignore=shutil.ignore_patterns("modules", "results"),
        )
    for name in ("README.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_the_pages_build_without_warnings(sources, tmp_path):
    """As in `make docs`, with the modules of one package."""
    for needed in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(needed, reason="the extra docs is not installed")
    from sphinx.cmd.build import build_main
    from sphinx.ext.apidoc import main as apidoc

    docs, site = sources / "docs", tmp_path / "site"
    package = ROOT / "speechbrain_neuronprune"
    apidoc(
        [
            *("-q", "--no-toc", "--templatedir", str(docs / "_templates")),
            *("--output-dir", str(docs / "api/modules")),
            str(package),
            str(package / "[!g_]*"),  # leave out all but gates
        ]
    )
    strictly = ["-q", "-W", "--keep-going", "-c", str(docs)]
    assert build_main([*strictly, str(sources), str(site)]) == 0
    reference = (site / "docs/api/index.html").read_text(encoding="utf-8")
    for name in speechbrain_neuronprune.__all__:
        assert f'id="speechbrain_neuronprune.{name}"' in reference
    # SpeechBrain's "Arguments" are fields, and no text.
    assert "Parameters<" in reference and "Arguments" not in reference
    gates = site / "docs/api/modules/speechbrain_neuronprune.gates.html"
    assert "FixedMask" in gates.read_text(encoding="utf-8")
