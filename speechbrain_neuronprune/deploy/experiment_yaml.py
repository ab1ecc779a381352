"""The yaml of an experiment folder, and that of the compact experiment.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hyperpyyaml import resolve_references
from ruamel.yaml import YAML, Tag
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from speechbrain_neuronprune.deploy.directory import ATTACH

NARROW = "!apply:speechbrain_neuronprune.deploy.experiment.narrow_by_plan"
NARROWED = "narrowed"
PLAN = "plan.json"


def read_recipe(
    path: Path, overrides: str | Mapping[str, Any] | None = None
) -> str:
    """Read the ``hyperparams.yaml`` of an experiment folder.

    Arguments
    ---------
    path : Path
        The yaml file, with references resolved, as SpeechBrain's
        ``create_experiment_directory`` writes it.
    overrides : str or mapping, optional
        Other values for some entries.

    Returns
    -------
    str
        HyperPyYAML. Paths in the folder that was written to are paths in the
        folder that the file is in now.
    """
    text = rename_anchors(path.read_text(encoding="utf-8"))
    recipe = YAML().load(resolve_references(text, overrides))
    relocate(recipe, path.parent)
    return dump(recipe)


def relocate(recipe: CommentedMap, folder: Path) -> None:
    """Change the output folder, and all paths in it, in place.

    Arguments
    ---------
    recipe : CommentedMap
        Its ``output_folder`` says where the paths lead now.
    folder : Path
        Where they shall lead.

    Example
    -------
    >>> recipe = YAML().load("output_folder: out/\\nsave: [out/save, outer]")
    >>> relocate(recipe, Path("/new"))
    >>> recipe["output_folder"], list(recipe["save"])
    ('/new', ['/new/save', 'outer'])
    """
    old = str(recipe.get("output_folder") or "").rstrip("/")
    if not old:
        return

    def moved(node: Any) -> Any:
        if isinstance(node, str) and f"{node}/".startswith(f"{old}/"):
            return str(folder / node[len(old) :].strip("/"))
        return node

    _replace(recipe, moved)


def compact_recipe(
    text: str, network: str, checkpointer: str, folder: Path
) -> str:
    """The yaml of the compact experiment.

    Arguments
    ---------
    text : str
        That of the experiment.
    network : str
        Which entry is narrowed.
    checkpointer : str
        Which entry is the checkpointer. It is told to do without the
        optimiser's state, which fits the dense model only.
    folder : Path
        The folder of the compact experiment, which has the plan.

    Returns
    -------
    str
        HyperPyYAML.
    """
    recipe = YAML().load(text)
    relocate(recipe, folder)
    _replace(recipe, _without_gates)
    recipe[checkpointer]["allow_partial_load"] = True
    reference = YAML().load(f"!ref <{network}>")
    node = CommentedMap({"model": reference, "plan": str(folder / PLAN)})
    node.yaml_set_ctag(Tag(suffix=NARROW))
    recipe[NARROWED] = node
    return dump(recipe)


def rename_anchors(text: str) -> str:
    """Give anchors names that yaml does not give itself. When it reads and
    writes a file again, it keeps those of scalars and numbers all others
    anew, so that two things may get one name.

    Arguments
    ---------
    text : str
        Yaml.

    Returns
    -------
    str
        The same with other names.

    Example
    -------
    >>> rename_anchors("a: &id001 (2, 2)\\nb: [*id001]")
    'a: &shared001 (2, 2)\\nb: [*shared001]'
    """
    return re.sub(r"(?<=[\s\[][&*])id(?=\d{3,}\b)", "shared", text)


def dump(recipe: CommentedMap) -> str:
    """Write yaml that has been read and changed.

    Arguments
    ---------
    recipe : CommentedMap
        What ``YAML().load`` gave.

    Returns
    -------
    str
        HyperPyYAML.

    Example
    -------
    >>> dump(YAML().load("a: !ref <b>  # as b"))
    'a: !ref <b>  # as b\\n'
    """
    stream = io.StringIO()
    YAML().dump(recipe, stream)
    return stream.getvalue()


def _without_gates(node: Any) -> Any:
    """What gates were attached to, in place of the attaching."""
    tag = getattr(node, "tag", None)
    if tag is None or not str(tag.value).endswith(ATTACH):
        return node
    return node["model"] if isinstance(node, CommentedMap) else node[0]


def _replace(tree: CommentedMap | CommentedSeq, change: Any) -> None:
    """Change every node below a tree once, in place."""
    containers, seen = [tree], set()
    while containers:
        one = containers.pop()
        if id(one) in seen:  # nodes may be shared
            continue
        seen.add(id(one))
        keys = list(one) if isinstance(one, CommentedMap) else range(len(one))
        for key in keys:
            one[key] = change(one[key])
            if isinstance(one[key], (CommentedMap, CommentedSeq)):
                containers.append(one[key])
