"""The yaml of an experiment folder, and that of the compact experiment.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import inspect
import io
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hyperpyyaml import resolve_references
from ruamel.yaml import YAML, Tag
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from speechbrain.utils.checkpoints import Checkpointer

from speechbrain_neuronprune.deploy.in_yaml import (
    ATTACH,
    NARROW_BY_PLAN,
    STEER,
)
from speechbrain_neuronprune.errors import ExperimentError
from speechbrain_neuronprune.file_names import PLAN

# The entry that narrows what a yaml has built
NARROWED = "narrowed"


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
        inside = isinstance(node, str) and f"{node}/".startswith(f"{old}/")
        # A single word may mean something else, as "conformer" does.
        if inside and (node != old or "/" in old):
            return str(folder / node[len(old) :].strip("/"))
        return node

    _replace(recipe, moved)
    recipe["output_folder"] = str(folder)


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
    keywords(recipe, checkpointer, Checkpointer)["allow_partial_load"] = True
    reference = YAML().load(f"!ref <{network}>")
    node = CommentedMap({"model": reference, "plan": str(folder / PLAN)})
    node.yaml_set_ctag(Tag(suffix=NARROW_BY_PLAN))
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
    return re.sub(r"(?<=[\s\[{,][&*])id(?=\d{3,}\b)", "shared", text)


def keywords(recipe: CommentedMap, name: str, kind: type) -> CommentedMap:
    """The arguments of an object, by their names, to be changed in place.

    Arguments
    ---------
    recipe : CommentedMap
        Where it is described; positional arguments are given names there.
    name : str
        Its entry, which may refer to another one.
    kind : type
        Its class.

    Returns
    -------
    CommentedMap
        The node.

    Raises
    ------
    ExperimentError
        If the entry is something else.

    Example
    -------
    >>> from fractions import Fraction
    >>> recipe = YAML().load("a: !new:fractions.Fraction [1, 2]\\nb: !ref <a>")
    >>> dict(keywords(recipe, "b", Fraction))
    {'numerator': 1, 'denominator': 2}
    """
    node = recipe.get(name)
    other = re.fullmatch(r"<(\w+)>", str(getattr(node, "value", "")))
    if other and other[1] in recipe and other[1] != name:
        return keywords(recipe, other[1], kind)
    if isinstance(node, CommentedSeq):
        arguments = zip(inspect.signature(kind).parameters, node, strict=False)
        recipe[name] = CommentedMap(arguments)
        recipe[name].yaml_set_ctag(node.tag)
    if not isinstance(recipe.get(name), CommentedMap):
        raise ExperimentError(
            f"The entry {name} of the yaml is no {kind.__name__} with its "
            "arguments; write it as !new: with a mapping."
        )
    return recipe[name]


def strings(tree: CommentedMap) -> Iterator[str]:
    """All strings of a yaml.

    Arguments
    ---------
    tree : CommentedMap
        What ``YAML().load`` gave.

    Returns
    -------
    iterator of str
        Keys are none of them.

    Example
    -------
    >>> sorted(strings(YAML().load("{a: b, c: [d, 1]}")))
    ['b', 'd']
    """
    for one, key in _entries(tree):
        if isinstance(one[key], str):
            yield one[key]


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
    """What gates were attached to, in place of the attaching, and what was
    steered in place of the steering; which may be one in the other."""
    tag = getattr(node, "tag", None)
    if tag is None or not str(tag.value).endswith((ATTACH, STEER)):
        return node
    given = node["model"] if isinstance(node, CommentedMap) else node[0]
    return _without_gates(given)


def _replace(tree: CommentedMap, change: Callable[[Any], Any]) -> None:
    """Change every node below a tree once, in place."""
    for one, key in _entries(tree):
        one[key] = change(one[key])


def _entries(tree: CommentedMap) -> Iterator[tuple[Any, Any]]:
    """Every container below a tree with each of its keys. What stands there
    is opened afterwards, as it is then."""
    containers, seen = [tree], set()
    while containers:
        one = containers.pop()
        if id(one) in seen:  # nodes may be shared
            continue
        seen.add(id(one))
        keys = list(one) if isinstance(one, CommentedMap) else range(len(one))
        for key in keys:
            yield one, key
            if isinstance(one[key], (CommentedMap, CommentedSeq)):
                containers.append(one[key])
