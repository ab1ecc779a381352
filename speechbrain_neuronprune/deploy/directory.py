"""The model directory: everything ``EncoderASR.from_hparams`` needs.

    hyperparams.yaml  the architecture, with the widths that pruning left
    model.ckpt        the weights: a state dict, no pickled code
    normalizer.ckpt   statistics of the features
    tokenizer.ckpt    the SentencePiece model
    plan.json         which units of the dense model stayed
    README.md         the model card

It refers to nothing outside itself and may be moved anywhere.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import contextlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ruamel.yaml
import torch
from ruamel.yaml.comments import CommentedMap
from speechbrain.lobes.models.transformer.TransformerASR import TransformerASR
from torch import nn

from speechbrain_neuronprune.deploy.card import model_card
from speechbrain_neuronprune.files import PathLike
from speechbrain_neuronprune.plan import PruningPlan

ATTACH = "attach_adaptive_dropout"
NARROW = "!apply:speechbrain_neuronprune.deploy.narrow"

# What inference takes over from the recipe, around the network.
BEFORE = ("sample_rate", "compute_features", "normalize")
AFTER = ("log_softmax", "decoding_function", "tokenizer")

HEADER = """\
# A compact CTC recogniser. Load it, with speechbrain-neuronprune installed, by
#   speechbrain.inference.EncoderASR.from_hparams(source=THIS_FOLDER)

"""

WRAPPER = """
encoder_wrapper: \
!new:speechbrain.lobes.models.transformer.TransformerASR.EncoderWrapper
    transformer: !ref <{name}>
"""

INFERENCE = """
encoder: !new:speechbrain.nnet.containers.LengthsCapableSequential
    compute_features: !ref <compute_features>
    normalize: !ref <normalize>
{stages}
    log_softmax: !ref <log_softmax>

modules:
    encoder: !ref <encoder>

model: !new:torch.nn.ModuleList
    - [{network}]

pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        model: !ref <model>
        normalizer: !ref <normalize>
        tokenizer: !ref <tokenizer>
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
    """
    with _whole_directory(Path(folder)) as temporary:
        yaml = inference_yaml(recipe, network, pruned, plan.widths(dense))
        (temporary / "hyperparams.yaml").write_text(yaml, encoding="utf-8")
        torch.save(_state_dict(network), temporary / "model.ckpt")
        normalize._save(temporary / "normalizer.ckpt")
        shutil.copyfile(tokenizer, temporary / "tokenizer.ckpt")
        plan.save(temporary / "plan.json")
        card = model_card(results)
        (temporary / "README.md").write_text(card, encoding="utf-8")


def inference_yaml(
    recipe: PathLike,
    network: Mapping[str, nn.Module],
    pruned: str,
    widths: Mapping[str, Any],
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

    Returns
    -------
    str
        HyperPyYAML.
    """
    yaml = ruamel.yaml.YAML()
    tree = yaml.load(Path(recipe).read_text(encoding="utf-8"))
    names = (*BEFORE, *network, *AFTER)
    chosen = CommentedMap({name: tree[name] for name in names})
    chosen[pruned] = _narrowed(tree[pruned], widths)
    stream = io.StringIO()
    yaml.dump(chosen, stream)
    return HEADER + stream.getvalue() + _inference(network)


def _inference(network: Mapping[str, nn.Module]) -> str:
    """The part of the yaml that chains the network's modules."""
    wrapper, stages = "", {name: name for name in network}
    for name, module in network.items():
        if isinstance(module, TransformerASR):  # only its encoder
            wrapper = WRAPPER.format(name=name)
            stages[name] = "encoder_wrapper"
    return wrapper + INFERENCE.format(
        stages="\n".join(
            f"    {name}: !ref <{stage}>" for name, stage in stages.items()
        ),
        network=", ".join(f"!ref <{name}>" for name in network),
    )


def _narrowed(node: CommentedMap, widths: Mapping[str, Any]) -> CommentedMap:
    """The dense network's node without gates, but with widths."""
    dense = node["model"] if str(node.tag.value).endswith(ATTACH) else node
    if not widths:
        return dense
    narrowed = CommentedMap({"model": dense, "widths": dict(widths)})
    narrowed.yaml_set_ctag(ruamel.yaml.Tag(suffix=NARROW))
    return narrowed


def _state_dict(network: Mapping[str, nn.Module]) -> dict[str, torch.Tensor]:
    model = nn.ModuleList(network.values())
    return {name: value.cpu() for name, value in model.state_dict().items()}


@contextlib.contextmanager
def _whole_directory(folder: Path) -> Iterator[Path]:
    """Yield a temporary sibling that takes the folder's place at the end."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=folder.parent, prefix=f".{folder.name}."
    ) as scratch:
        temporary = Path(scratch, "new")
        temporary.mkdir()
        yield temporary
        if folder.exists():
            os.replace(folder, Path(scratch, "old"))
        os.replace(temporary, folder)
