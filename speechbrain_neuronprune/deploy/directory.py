"""The model directory: everything that ``from_hparams`` needs::

    hyperparams.yaml  the architecture, with the widths that pruning left
    model.ckpt        the weights: a state dict, no pickled code
    normalizer.ckpt   statistics of the features
    tokenizer.ckpt    the SentencePiece model
    plan.json         which units of the dense model stayed
    README.md         the model card, with the weights' checksums

It refers to nothing outside itself and may be moved anywhere.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
import io
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import ruamel.yaml
import torch
from ruamel.yaml.comments import CommentedMap
from speechbrain.lobes.models.transformer.TransformerASR import TransformerASR
from torch import nn

from speechbrain_neuronprune.deploy.card import model_card
from speechbrain_neuronprune.deploy.checksums import write_card
from speechbrain_neuronprune.deploy.in_yaml import ATTACH, FAST, NARROW
from speechbrain_neuronprune.deploy.interfaces import ENCODER_ASR, Interface
from speechbrain_neuronprune.errors import ExportError
from speechbrain_neuronprune.file_names import (
    NORMALIZER,
    PLAN,
    RECIPE,
    TOKENIZER,
    WEIGHTS,
)
from speechbrain_neuronprune.files import PathLike
from speechbrain_neuronprune.folders import whole_folder
from speechbrain_neuronprune.layers.front_end import FastConv2d
from speechbrain_neuronprune.plan import PruningPlan

# What inference takes over from the recipe, before the network.
BEFORE = ("sample_rate", "compute_features", "normalize")

HEADER = """\
# A compact {what}. Load it, with speechbrain-neuronprune installed, by
#   speechbrain.inference.ASR.{name}.from_hparams(source=THIS_FOLDER)

"""

WRAPPER = """
encoder_wrapper: \
!new:speechbrain.lobes.models.transformer.TransformerASR.EncoderWrapper
    transformer: !ref <{name}>
"""


def write_model_directory(
    folder: PathLike,
    recipe: PathLike,
    normalize: nn.Module,
    network: Mapping[str, nn.Module],
    pruned: str,
    tokenizer: PathLike,
    plan: PruningPlan,
    dense: nn.Module,
    results: Mapping[str, Any],
    interface: Interface = ENCODER_ASR,
) -> None:
    """Write the directory of a compact model, whole or not at all.

    Arguments
    ---------
    folder : path-like
        The directory; one that exists is replaced.
    recipe : path-like
        The run's ``hyperparams.yaml``, with references resolved, as
        SpeechBrain's ``create_experiment_directory`` writes it.
    normalize : InputNormalization
        Of the features.
    network : mapping of str to nn.Module
        The modules from features to the output layer, in order, under their
        names in the recipe; the pruned one compact.
    pruned : str
        Name of the pruned one.
    tokenizer : path-like
        The SentencePiece model.
    plan : PruningPlan
        Which units of the dense model stayed.
    dense : nn.Module
        The dense model, for its shapes.
    results : mapping
        What ``results.json`` holds, for the model card.
    interface : Interface
        What of SpeechBrain shall load it: ``ENCODER_ASR``, ``STREAMING_ASR``
        or ``ENCODER_DECODER_ASR``.
    """
    with whole_folder(folder, replace=True) as temporary:
        yaml = inference_yaml(
            recipe, network, pruned, plan.widths(dense), interface
        )
        (temporary / RECIPE).write_text(yaml, encoding="utf-8")
        torch.save(_state_dict(network), temporary / WEIGHTS)
        normalize._save(temporary / NORMALIZER)
        shutil.copyfile(tokenizer, temporary / TOKENIZER)
        plan.save(temporary / PLAN)
        write_card(temporary, model_card(results, interface))


def inference_yaml(
    recipe: PathLike,
    network: Mapping[str, nn.Module],
    pruned: str,
    widths: Mapping[str, Any],
    interface: Interface = ENCODER_ASR,
) -> str:
    """Make the yaml of a compact model out of that of its training run.

    Arguments
    ---------
    recipe : path-like
        The run's ``hyperparams.yaml``.
    network : mapping of str to nn.Module
        See ``write_model_directory``.
    pruned : str
        Name of the pruned module.
    widths : mapping
        What ``PruningPlan.widths`` gives; empty for a dense model.
    interface : Interface
        What of SpeechBrain shall load it.

    Returns
    -------
    str
        HyperPyYAML.

    Raises
    ------
    ExportError
        If the recipe or the network lacks something that the interface
        needs.
    """
    yaml = ruamel.yaml.YAML()
    tree = yaml.load(Path(recipe).read_text(encoding="utf-8"))
    names = (*BEFORE, *network, *interface.after)
    _require(tree, names, recipe, interface)
    _narrow(tree[pruned], widths)
    for name, module in network.items():
        if any(isinstance(part, FastConv2d) for part in module.modules()):
            _wrap(tree[name], FAST)
    chosen = CommentedMap({name: tree[name] for name in names})
    for name, tag in interface.tags:
        chosen[name].yaml_set_ctag(ruamel.yaml.Tag(suffix=tag))
    stream = io.StringIO()
    yaml.dump(chosen, stream)
    header = HEADER.format(what=interface.what, name=interface.name)
    return header + stream.getvalue() + _inference(network, interface)


def _require(
    tree: CommentedMap,
    names: Iterable[str],
    recipe: PathLike,
    interface: Interface,
) -> None:
    missing = [name for name in names if name not in tree]
    if missing:
        raise ExportError(
            f"The recipe {recipe} has no {', '.join(missing)}, which a model "
            f"for {interface.name} needs; add it, or choose another interface."
        )


def _narrow(node: CommentedMap, widths: Mapping[str, Any]) -> None:
    """Give the dense network's node widths and no gates. It stays the same
    node, because others, such as a searcher's, refer to it."""
    dense = copy.copy(node)
    if str(node.tag.value).endswith(ATTACH):
        dense = node["model"]
    new = dense
    if widths:
        new = CommentedMap({"model": dense, "widths": dict(widths)})
        new.yaml_set_ctag(ruamel.yaml.Tag(suffix=NARROW))
    _become(node, new)


def _wrap(node: CommentedMap, function: str) -> None:
    """Let a function of ours change what a node describes."""
    new = CommentedMap({"model": copy.copy(node)})
    new.yaml_set_ctag(ruamel.yaml.Tag(suffix=function))
    _become(node, new)


def _become(node: CommentedMap, new: CommentedMap) -> None:
    """Change a node, and stay the same one."""
    node.clear()
    node.update(new)
    node.yaml_set_ctag(new.tag)


def _inference(network: Mapping[str, nn.Module], interface: Interface) -> str:
    """The part of the yaml that puts the network's modules together."""
    stages = {name: name for name in network}
    wrapper, fields = "", {}
    for place, (name, module) in enumerate(network.items()):
        if isinstance(module, TransformerASR):  # only its encoder
            wrapper = WRAPPER.format(name=name)
            stages[name] = "encoder_wrapper"
            fields = _around(stages, place)
    fields |= {"stages": _lines(stages), "network": _references(network)}
    try:
        return wrapper + interface.template.format(**fields)
    except KeyError as error:
        raise ExportError(
            f"The network {', '.join(network)} cannot be written for "
            f"{interface.name}, which needs a TransformerASR and an output "
            "layer behind it; choose EncoderASR."
        ) from error


def _around(stages: Mapping[str, str], place: int) -> dict[str, str]:
    """What is before, up to and behind the Transformer at a place."""
    items = list(stages.items())
    front = dict(items[:place])
    fields = {
        "front": _lines(front, indent=8),
        "encoder": _lines(dict(items[: place + 1])),
        "filters": _references(["compute_features", *front]),
    }
    if place + 1 < len(items):
        fields["output"] = items[place + 1][0]
    return fields


def _lines(stages: Mapping[str, str], indent: int = 4) -> str:
    return "\n".join(
        f"{' ' * indent}{name}: !ref <{stage}>"
        for name, stage in stages.items()
    )


def _references(names: Iterable[str]) -> str:
    return ", ".join(f"!ref <{name}>" for name in names)


def _state_dict(network: Mapping[str, nn.Module]) -> dict[str, torch.Tensor]:
    model = nn.ModuleList(network.values())
    return {name: value.cpu() for name, value in model.state_dict().items()}
