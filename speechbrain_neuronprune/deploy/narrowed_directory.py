"""A smaller one of any directory that SpeechBrain's inference loads.

``EncoderASR``, ``EncoderDecoderASR`` and their kind build a model from a
directory's yaml and let its ``pretrainer`` load the weights. The smaller
directory has the same yaml with one entry more, which narrows what was built
before the weights come. Files that hold pruned weights are written anew, all
others are copied. Where the yaml itself names the larger directory, for another
reader than the pretrainer, a warning says so.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import torch
from hyperpyyaml import resolve_references
from ruamel.yaml import YAML, Tag
from ruamel.yaml.comments import CommentedMap
from speechbrain.inference.interfaces import Pretrained
from speechbrain.utils.logger import get_logger
from speechbrain.utils.parameter_transfer import Pretrainer
from torch import nn

from speechbrain_neuronprune import compaction
from speechbrain_neuronprune.deploy.checksums import write_card
from speechbrain_neuronprune.deploy.experiment_yaml import (
    NARROWED,
    dump,
    keywords,
    rename_anchors,
    strings,
)
from speechbrain_neuronprune.deploy.holders import (
    check_holders,
    check_loaded,
    groups_cut,
    holding,
    tensors_of,
)
from speechbrain_neuronprune.deploy.in_yaml import NARROW_IN_PLACE
from speechbrain_neuronprune.errors import ExportError
from speechbrain_neuronprune.file_names import CARD, PLAN, RECIPE
from speechbrain_neuronprune.files import PathLike, writing
from speechbrain_neuronprune.folders import whole_folder
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.units import count_parameters

logger = get_logger(__name__)

Widths = Mapping[str, int | list[int]]

DENSE_CARD = "README.dense.md"

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
        If the directory is one that has been narrowed already, the new one is
        the same or cannot be written, or a layer to be narrowed is held by
        something that would not follow.
    PlanError
        If the plan does not fit the network.
    """
    folder, output = Path(folder), Path(output)
    _check_apart(folder, output)
    plan.check(network)
    pretrainer = recogniser.hparams.pretrainer
    loaded = loaded_modules(pretrainer)
    cut = _tensors_cut(recogniser, network, plan, loaded)
    pruned = holding(cut, loaded)
    recipe = narrowed_recipe(
        (folder / RECIPE).read_text(encoding="utf-8"),
        _by_module(recogniser.mods, network, plan.widths(network)),
        {name: name in pruned for name in _files(pretrainer)},
    )
    text = _narrow(recogniser, network, plan, folder)
    _check_replaced(holding(cut, {**loaded, **recogniser.mods}), folder)
    _warn_of_paths(recipe, folder)
    said = writing("The smaller model", output, ExportError)
    with said, whole_folder(output, replace=True) as temporary:
        (temporary / RECIPE).write_text(recipe, encoding="utf-8")
        plan.save(temporary / PLAN)
        _write_weights(pretrainer, pruned, temporary)
        _copy_others(folder, pretrainer, temporary, output)
        write_card(temporary, text)


def _check_apart(folder: Path, output: Path) -> None:
    if output.resolve() == folder.resolve():
        raise ExportError(
            f"The smaller model would take the place of {folder}, which it is "
            "made from; name another folder."
        )


def _tensors_cut(
    recogniser: Pretrained,
    network: nn.Module,
    plan: PruningPlan,
    loaded: Mapping[str, nn.Module],
) -> list[torch.Tensor]:
    """What narrowing cuts, if all that holds it would follow."""
    groups = groups_cut(network, plan)
    check_loaded(network, groups, loaded)
    check_holders(network, groups, recogniser.mods)
    return [one for group in groups for one in tensors_of(network, group)]


def _narrow(
    recogniser: Pretrained, network: nn.Module, plan: PruningPlan, folder: Path
) -> str:
    """Narrow the network; return the new directory's card."""
    dense, before = count_parameters(network), dict(recogniser.mods.items())
    narrowed = compaction.narrow(network, plan.keep)
    others = [n for n, one in before.items() if recogniser.mods[n] is not one]
    _check_replaced(others or ["network"] * (narrowed is not network), folder)
    return TEXT.format(
        name=folder.resolve().name,
        kept=count_parameters(network),
        dense=dense,
        card=f", in `{DENSE_CARD}`," if (folder / CARD).is_file() else "",
    )


def _check_replaced(names: Iterable[str], folder: Path) -> None:
    if names := sorted(names):
        raise ExportError(
            f"The module {', '.join(names)} of {folder} is a single layer that "
            "would be replaced by another one, which its yaml cannot say; let "
            "some of its units stay."
        )


def narrowed_recipe(
    text: str, widths: Mapping[str, Widths], files: Mapping[str, bool]
) -> str:
    """The yaml of the smaller model.

    Arguments
    ---------
    text : str
        That of the larger one.
    widths : mapping
        Name of a module (below ``modules``) to what ``PruningPlan.widths``
        gives of it.
    files : mapping
        Name of what the pretrainer loads to whether its weights are pruned:
        a plain state dict then, whatever it was before.

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
    pretrainer = keywords(recipe, "pretrainer", Pretrainer)
    # The weights are in the new directory, under their names.
    _drop(pretrainer, "paths", files)
    _drop(pretrainer, "custom_hooks", {n for n, cut in files.items() if cut})
    recipe[NARROWED] = {
        name: _narrowing(name, those) for name, those in widths.items()
    }
    return dump(recipe)


def _drop(node: CommentedMap, entry: str, names: Collection[str]) -> None:
    """Leave names out of a mapping; one that is empty then goes as well."""
    mapping = node.get(entry)
    if not isinstance(mapping, CommentedMap):
        node.pop(entry, None)
        return
    for name in set(mapping) & set(names):
        del mapping[name]
    if not mapping:
        del node[entry]


def _narrowing(module: str, widths: Widths) -> CommentedMap:
    reference = YAML().load(f"!ref <modules[{module}]>")
    node = CommentedMap({"model": reference, "widths": dict(widths)})
    node.yaml_set_ctag(Tag(suffix=NARROW_IN_PLACE))
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


def loaded_modules(pretrainer: Pretrainer) -> dict[str, nn.Module]:
    """The modules that a pretrainer has loaded weights into.

    Arguments
    ---------
    pretrainer : Pretrainer
        That has collected and loaded its files.

    Returns
    -------
    dict of str to nn.Module
        Name, as in its ``loadables``, to module.
    """
    things = {name: pretrainer.loadables[name] for name in _files(pretrainer)}
    return {n: one for n, one in things.items() if isinstance(one, nn.Module)}


def _files(pretrainer: Pretrainer) -> dict[str, Path]:
    """The files that were loaded; conditions may leave some out."""
    return {
        name: Path(pretrainer.paths[name])
        for name in pretrainer.loadables
        if pretrainer.is_loadable(name)
    }


def _write_weights(
    pretrainer: Pretrainer, pruned: set[str], folder: Path
) -> None:
    for name, path in _files(pretrainer).items():
        target = folder / f"{name}.ckpt"
        if name in pruned:
            module = pretrainer.loadables[name].cpu()
            torch.save(module.state_dict(), target)
        else:
            shutil.copyfile(path, target)


def _copy_others(
    folder: Path, pretrainer: Pretrainer, target: Path, output: Path
) -> None:
    """Copy tokenizers, code and whatever else an interface may need."""
    known = {path.resolve() for path in _files(pretrainer).values()}
    # The new directory, and its half-written form, may lie in the old one.
    known |= {output.resolve(), target.parent.resolve()}
    for path in folder.iterdir():
        copied = target / (DENSE_CARD if path.name == CARD else path.name)
        if path.resolve() in known or (target / path.name).exists():
            continue
        if path.is_file():
            shutil.copyfile(path, copied)
        elif not path.name.startswith("."):
            shutil.copytree(path, copied)


def _warn_of_paths(recipe: str, folder: Path) -> None:
    """Name what the yaml still reads from the larger directory."""
    places = {f"{folder}/", f"{folder.resolve()}/"}
    resolved = YAML().load(resolve_references(recipe))
    found = {s for s in strings(resolved) if any(p in f"{s}" for p in places)}
    if found:
        logger.warning(
            "The yaml of the smaller model still names files of %s (%s): they "
            "are needed there, or change its entries.",
            folder,
            ", ".join(sorted(found)),
        )
