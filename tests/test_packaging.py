"""What is published: requirements, and what a source distribution holds.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import ast
import configparser
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "speechbrain_neuronprune"
# Where what is installed has another name than what is imported
NAMES = {"ruamel": "ruamel.yaml", "espeakng_loader": "espeakng-loader"}
NAMES |= {"torch_pruning": "torch-pruning"}


def imported():
    """The packages that any module imports, anywhere in it."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            yield from (name.partition(".")[0] for name in names)


def test_every_import_is_a_requirement():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    lists = [config["options"]["install_requires"]]
    lists += dict(config["options.extras_require"]).values()
    required = {
        re.match(r"[\w.-]*", line)[0]
        for lines in lists
        for line in lines.strip().splitlines()
    }
    needed = set(imported()) - sys.stdlib_module_names - {PACKAGE.name}
    assert {NAMES.get(name, name) for name in needed} <= required


def _made(folder, names):
    """What is no source; the results of benchmarks are."""
    made = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__")
    top = {"results", "build", "dist"} if Path(folder) == ROOT else set()
    return made(folder, names) | top


@pytest.fixture(scope="module")
def distributed(tmp_path_factory):
    """The files of a source distribution."""
    folder = tmp_path_factory.mktemp("source")
    source = shutil.copytree(ROOT, folder / "copy", ignore=_made)
    make = "from setuptools.build_meta import build_sdist as build; build('.')"
    command = [sys.executable, "-c", make]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    with tarfile.open(next(source.glob("*.tar.gz"))) as archive:
        names = archive.getnames()
    return {name.partition("/")[2] for name in names}


@pytest.mark.parametrize(
    "folder", ["benchmarks", "docs", "hparams", "recipes", "tests"]
)
def test_a_source_distribution_has_what_documents_name(folder, distributed):
    files = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".md", ".py", ".yaml", ".png", ".jsonl")
        and path.is_file()
    ]
    present = {name for name in files if "api/modules" not in name}
    assert present and present <= distributed


def test_a_source_distribution_has_what_installs_it(distributed):
    needed = {"README.md", "LICENSE", "CHANGELOG.md", "Makefile"}
    assert needed | {"requirements-lock.txt", "setup.cfg"} <= distributed
