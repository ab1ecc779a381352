"""A smaller one of any directory that SpeechBrain's inference loads.

``EncoderASR``, ``EncoderDecoderASR`` and their kind build a model from a
directory's yaml and let its ``pretrainer`` load the weights. The smaller
directory has the same yaml with one entry more, which narrows what was built
before the weights come. Files that hold pruned weights are written anew, all
others are copied, so that it refers to no other place any more.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ruamel.yaml import YAML, Tag
from ruamel.yaml.comments import CommentedMap
from speechbrain.inference.interfaces import Pretrained
from speechbrain.utils.parameter_transfer import Pretrainer
from torch import nn

from speechbrain_neuronprune import compaction
from speechbrain_neuronprune.deploy.checksums import CARD, write_card
from speechbrain_neuronprune.deploy.directory import whole_directory
from speechbrain_neuronprune.deploy.experiment_yaml import (
    NARROWED,
    PLAN,
    dump,
    rename_anchors,
)
from speechbrain_neuronprune.errors import ExportError
from speechbrain_neuronprune.files import PathLike
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.units import count_parameters

Widths = Mapping[str, int | list[int]]

RECIPE = "hyperparams.yaml"
DENSE_CARD = "README.dense.md"
NARROW = "!apply:speechbrain_neuronprune.deploy.narrow_in_place"

TEXT = """\
# A smaller {name}

Made of the model directory `{name}` by speechbrain-neuronprune, which has to
be installed where this one is loaded: {kept:,} of the {dense:,} parameters of
the pruned modules stayed. Otherwise it is loaded and used as that one is.

Nobody has measured its error rate. What is said of the larger model{card} does
not hold for this one.
"""


def write_narrowed_directory(
    folder: PathLike,
    recogniser: Pretrained,
    network: nn.Module,
    plan: PruningPlan,
    output: PathLike,
) -> None:
    """Write the directory of a smaller model, whole or not at all.

    Arguments
    ---------
    folder : path-like
        The directory of the larger one.
    recogniser : Pretrained
        What SpeechBrain's interface loaded from there; it is narrowed.
    network : nn.Module
        One of its modules (``recogniser.mods``), or all of them.
    plan : PruningPlan
        Which units of the network stay.
    output : path-like
        The new directory; one that exists is replaced.

    Raises
    ------
    ExportError
        If the directory is one that has been narrowed already, or the new
        one is the same or cannot be written.
    PlanError
        If the plan does not fit the network.
    """
    folder, output = Path(folder), Path(output)
    if output.resolve() == folder.resolve():
        raise ExportError(
            f"The smaller model would take the place of {folder}, which it is "
            "made from; name another folder."
        )
    pretrainer = recogniser.hparams.pretrainer
    plan.check(network)
    recipe = narrowed_recipe(
        (folder / RECIPE).read_text(encoding="utf-8"),
        _by_module(recogniser.mods, network, plan.widths(network)),
    )
    dense = count_parameters(network)
    pruned = _files_of(network, pretrainer.loadables)
    compaction.narrow(network, plan.keep)
    text = TEXT.format(
        name=folder.resolve().name,
        kept=count_parameters(network),
        dense=dense,
        card=f", in `{DENSE_CARD}`," if (folder / CARD).is_file() else "",
    )
    try:
        with whole_directory(output) as temporary:
            (temporary / RECIPE).write_text(recipe, encoding="utf-8")
            plan.save(temporary / PLAN)
            _write_weights(pretrainer, pruned, temporary)
            _copy_others(folder, pretrainer, temporary)
            write_card(temporary, text)
    except OSError as error:
        raise ExportError(
            f"Cannot write {output} ({error}); name a folder that you may "
            "write to, on a disk with some space left."
        ) from error


def narrowed_recipe(text: str, widths: Mapping[str, Widths]) -> str:
    """The yaml of the smaller model.

    Arguments
    ---------
    text : str
        That of the larger one.
    widths : mapping
        Name of a module (below ``modules``) to what ``PruningPlan.widths``
        gives of it.

    Returns
    -------
    str
        HyperPyYAML.

    Raises
    ------
    ExportError
        If it is that of a narrowed model.
    """
    recipe = YAML().load(rename_anchors(text))
    if NARROWED in recipe:
        raise ExportError(
            f"The model directory has been narrowed already (its {RECIPE} has "
            f"the entry {NARROWED}); give the one that it was made from, with "
            "a plan that keeps less."
        )
    # All weights are in the new directory, under their names.
    recipe["pretrainer"].pop("paths", None)
    recipe[NARROWED] = {
        name: _narrowing(name, those) for name, those in widths.items()
    }
    return dump(recipe)


def _narrowing(module: str, widths: Widths) -> CommentedMap:
    reference = YAML().load(f"!ref <modules[{module}]>")
    node = CommentedMap({"model": reference, "widths": dict(widths)})
    node.yaml_set_ctag(Tag(suffix=NARROW))
    return node


def _by_module(
    modules: nn.ModuleDict, network: nn.Module, widths: Widths
) -> dict[str, Widths]:
    """The widths of each module's own groups."""
    for name, module in modules.items():
        if module is network:
            return {name: widths}
    found: dict[str, Widths] = {}
    for group, width in widths.items():
        name, _, rest = group.partition(".")
        found.setdefault(name, {})[rest] = width
    return found


def _files_of(network: nn.Module, loadables: Mapping[str, Any]) -> set[str]:
    """The files that hold any of a network's weights."""
    weights = {id(weight) for weight in network.parameters()}
    return {
        name
        for name, thing in loadables.items()
        if isinstance(thing, nn.Module)
        and not weights.isdisjoint(map(id, thing.parameters()))
    }


def _write_weights(
    pretrainer: Pretrainer, pruned: set[str], folder: Path
) -> None:
    for name, path in pretrainer.paths.items():
        target = folder / f"{name}.ckpt"
        if name in pruned:
            module = pretrainer.loadables[name].cpu()
            torch.save(module.state_dict(), target)
        else:
            shutil.copyfile(path, target)


def _copy_others(folder: Path, pretrainer: Pretrainer, target: Path) -> None:
    """Copy tokenizers, code and whatever else an interface may need."""
    weights = {Path(path).resolve() for path in pretrainer.paths.values()}
    for path in folder.iterdir():
        known = path.resolve() in weights or (target / path.name).exists()
        if path.is_file() and not known:
            name = DENSE_CARD if path.name == CARD else path.name
            shutil.copyfile(path, target / name)
