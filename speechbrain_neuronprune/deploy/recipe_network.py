"""The network that a recipe's yaml describes, before any training.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import io
from collections.abc import Iterable, Mapping
from typing import Any

from hyperpyyaml import load_hyperpyyaml, resolve_references
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from torch import nn

from speechbrain_neuronprune.errors import DataError, UnitsError, in_short
from speechbrain_neuronprune.units import supported_units

PLACEHOLDER = "!PLACEHOLDER"


def network_of_yaml(
    path: str, name: str | None = None
) -> tuple[nn.Module, nn.Module]:
    """Build a network from a recipe's yaml, and nothing else of it.

    Arguments
    ---------
    path : str
        A yaml file in HyperPyYAML, whose placeholders may be unfilled.
    name : str, optional
        Its entry with the network; by default the one of ``modules`` that
        has removable units.

    Returns
    -------
    tuple of nn.Module
        The network, and all modules that were built.

    Raises
    ------
    NeuronPruneError
        If the file cannot be read or built, or the choice is not clear.

    Example
    -------
    >>> path = getfixture("tmp_path") / "recipe.yaml"
    >>> _ = path.write_text(
    ...     "net: !new:torch.nn.Linear {in_features: 2, out_features: 3}"
    ... )
    >>> network_of_yaml(path, "net")[0]
    Linear(in_features=2, out_features=3, bias=True)
    """
    try:
        tree = _resolved(path)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"The yaml file {path} cannot be read ({error}); give the path of "
            "a recipe's yaml."
        ) from error
    except Exception as error:
        raise _cannot_build(path, error) from error
    wanted = name or "modules"
    if wanted not in tree:
        raise UnitsError(
            f"The file {path} has no entry {wanted!r}; give --module=NAME with "
            f"one of its entries: {', '.join(map(str, tree))}."
        )
    try:
        built = _build(tree, wanted)
    except Exception as error:
        raise _cannot_build(path, error) from error
    if isinstance(built, nn.Module):
        return built, built
    if name is None and isinstance(built, Mapping):
        modules = nn.ModuleDict(built)
        return modules[_with_units(path, modules.items())], modules
    raise UnitsError(
        f"The entry {wanted!r} of {path} is a {type(built).__name__}, no "
        "torch module; give --module=NAME with the name of one."
    )


def _resolved(path: str) -> CommentedMap:
    """The file's tree with references resolved and placeholders filled."""
    with open(path, encoding="utf-8") as file:
        raw = YAML().load(file)
        if not isinstance(raw, CommentedMap):
            raise ValueError("it is no mapping in yaml")
        file.seek(0)
        unfilled = {
            key: "unknown"
            for key, node in raw.items()
            if str(getattr(getattr(node, "tag", None), "value", ""))
            == PLACEHOLDER
        }
        return YAML().load(resolve_references(file, unfilled))


def _build(tree: CommentedMap, name: str) -> Any:
    stream = io.StringIO()
    YAML().dump(CommentedMap({name: tree[name]}), stream)
    return load_hyperpyyaml(stream.getvalue())[name]


def _with_units(path: str, modules: Iterable[tuple[str, nn.Module]]) -> str:
    names = [name for name, module in modules if supported_units(module)]
    if len(names) != 1:
        raise UnitsError(
            f"{len(names)} of the modules of {path} have removable units "
            f"({', '.join(names) or 'none'}); give one as --module=NAME."
        )
    return names[0]


def _cannot_build(path: str, error: Exception) -> DataError:
    return DataError(
        f"The network of {path} cannot be built ({in_short(error)}); give a "
        "recipe's yaml, or the folder of a trained model."
    )
