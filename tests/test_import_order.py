"""Imports go one way: no module needs one that needs it.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import speechbrain_neuronprune

ROOT = Path(speechbrain_neuronprune.__file__).parent


def module_name(path):
    parts = (ROOT.name, *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in ROOT.rglob("*.py")}


def imported(path):
    """The modules of this package that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [(alias.name, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [
                (f"{node.module}.{alias.name}", node.module)
                for alias in node.names
            ]
        else:
            continue
        for name, parent in names:
            found = name if name in MODULES else parent
            if found in MODULES:
                yield found


GRAPH = {name: {*imported(path)} for name, path in MODULES.items()}


def packages():
    """Package to those that it imports."""
    graph = {}
    for name, others in GRAPH.items():
        package, *_ = name.removeprefix(f"{ROOT.name}.").split(".")
        graph.setdefault(package, set()).update(
            other.removeprefix(f"{ROOT.name}.").split(".")[0]
            for other in others
        )
    return {name: others - {name} for name, others in graph.items()}


def test_modules_have_an_order():
    assert len(GRAPH) > 100
    TopologicalSorter(GRAPH).prepare()  # refuses a cycle, and names it


def test_packages_have_an_order():
    TopologicalSorter(packages()).prepare()


def documented():
    """The lines of the page on the architecture, from the first one on."""
    page = (ROOT.parent / "docs/architecture.md").read_text(encoding="utf-8")
    block = page.split("Imports go one way.")[1].split("```")[1]
    _, *lines = block.splitlines()
    return [line.split(", ") for line in lines]


def test_packages_follow_the_documented_order():
    lines = documented()
    rank = {name: i for i, line in enumerate(lines) for name in line}
    assert len(rank) > 20
    wrong = {
        (name, other)
        for name, others in packages().items()
        for other in others
        if rank.get(name, len(lines)) <= rank.get(other, -1)
    }
    assert not wrong
