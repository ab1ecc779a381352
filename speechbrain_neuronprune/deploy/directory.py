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
from torch import nn

from speechbrain_neuronprune.deploy.card import model_card
from speechbrain_neuronprune.files import PathLike
from speechbrain_neuronprune.plan import PruningPlan

ATTACH = "attach_adaptive_dropout"
NARROW = "!apply:speechbrain_neuronprune.deploy.narrow"

# What inference takes over from the recipe, in this order.
ARCHITECTURE = (
    "sample_rate",
    "compute_features",
    "normalize",
    "CNN",
    "Transformer",
    "ctc_lin",
    "log_softmax",
    "decoding_function",
    "tokenizer",
)

HEADER = """\
# A compact CTC recogniser. Load it, with speechbrain-neuronprune installed, by
#   speechbrain.inference.EncoderASR.from_hparams(source=THIS_FOLDER)

"""

WRAPPER = "speechbrain.lobes.models.transformer.TransformerASR.EncoderWrapper"

INFERENCE = f"""
encoder_wrapper: !new:{WRAPPER}
    transformer: !ref <Transformer>

encoder: !new:speechbrain.nnet.containers.LengthsCapableSequential
    compute_features: !ref <compute_features>
    normalize: !ref <normalize>
    CNN: !ref <CNN>
    Transformer: !ref <encoder_wrapper>
    ctc_lin: !ref <ctc_lin>
    log_softmax: !ref <log_softmax>

modules:
    encoder: !ref <encoder>

model: !new:torch.nn.ModuleList
    - [!ref <CNN>, !ref <Transformer>, !ref <ctc_lin>]

pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        model: !ref <model>
        normalizer: !ref <normalize>
        tokenizer: !ref <tokenizer>
"""


def write_model_directory(
    folder: PathLike,
    recipe: PathLike,
    modules: Mapping[str, nn.Module],
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
    modules : mapping of str to nn.Module
        ``normalize``, ``CNN``, ``Transformer`` (compact) and ``ctc_lin``.
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
        yaml = inference_yaml(recipe, plan.widths(dense))
        (temporary / "hyperparams.yaml").write_text(yaml, encoding="utf-8")
        torch.save(_state_dict(modules), temporary / "model.ckpt")
        modules["normalize"]._save(temporary / "normalizer.ckpt")
        shutil.copyfile(tokenizer, temporary / "tokenizer.ckpt")
        plan.save(temporary / "plan.json")
        card = model_card(results)
        (temporary / "README.md").write_text(card, encoding="utf-8")


def inference_yaml(recipe: PathLike, widths: Mapping[str, Any]) -> str:
    """Make the yaml of a compact model out of that of its training run.

    Arguments
    ---------
    recipe : path-like
        The run's ``hyperparams.yaml``.
    widths : mapping
        What ``PruningPlan.widths`` gives; empty for a dense model.

    Returns
    -------
    str
        HyperPyYAML.
    """
    yaml = ruamel.yaml.YAML()
    tree = yaml.load(Path(recipe).read_text(encoding="utf-8"))
    chosen = CommentedMap({key: tree[key] for key in ARCHITECTURE})
    chosen["Transformer"] = _narrowed(tree["Transformer"], widths)
    stream = io.StringIO()
    yaml.dump(chosen, stream)
    return HEADER + stream.getvalue() + INFERENCE


def _narrowed(node: CommentedMap, widths: Mapping[str, Any]) -> CommentedMap:
    """The dense network's node without gates, but with widths."""
    dense = node["model"] if str(node.tag.value).endswith(ATTACH) else node
    if not widths:
        return dense
    narrowed = CommentedMap({"model": dense, "widths": dict(widths)})
    narrowed.yaml_set_ctag(ruamel.yaml.Tag(suffix=NARROW))
    return narrowed


def _state_dict(modules: Mapping[str, nn.Module]) -> dict[str, torch.Tensor]:
    model = nn.ModuleList(
        [modules["CNN"], modules["Transformer"], modules["ctc_lin"]]
    )
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
