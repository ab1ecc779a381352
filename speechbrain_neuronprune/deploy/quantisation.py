"""Dynamic int8: a quarter of the bytes, and integer products on the CPU.

Linear layers, the projections of attention and pointwise convolutions
multiply in int8; norms, softmax, depthwise and two-dimensional convolutions
stay as they are. Nothing is calibrated: activations are scaled as they come.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from pathlib import Path

import ruamel.yaml
import torch
from ruamel.yaml.comments import CommentedMap
from speechbrain.nnet.attention import RelPosMHAXL, RoPEMHA
from torch import nn

from speechbrain_neuronprune.deploy.checksums import read_card, write_card
from speechbrain_neuronprune.deploy.derived import derived_directory
from speechbrain_neuronprune.deploy.in_yaml import INT8
from speechbrain_neuronprune.deploy.int8 import Int8Weight
from speechbrain_neuronprune.fast_layers import use_unit_attention
from speechbrain_neuronprune.file_names import RECIPE, WEIGHTS
from speechbrain_neuronprune.files import PathLike
from speechbrain_neuronprune.layers.regular import RegularUnitAttention

NOTE = """
## Int8

Linear layers, attention's projections and pointwise convolutions have weights
in int8 and multiply in int8, on the CPU only. The figures above are those of
the model in float.
"""


def int8_model(model: nn.Module) -> nn.Module:
    """Let a model's matrix products be computed in int8, in place.

    For yaml: ``!apply:speechbrain_neuronprune.deploy.int8_model``. Weights
    that are loaded afterwards must be those of such a model.

    Arguments
    ---------
    model : nn.Module
        Any model.

    Returns
    -------
    nn.Module
        The same model.

    Example
    -------
    >>> model = int8_model(nn.Sequential(nn.Linear(4, 3), nn.ReLU()))
    >>> list(model.state_dict())
    ['0.bias', '0.weight.values', '0.weight.scale']
    """
    use_unit_attention(model)
    for layer in list(model.modules()):
        for owner, name in _products(layer):
            weight = getattr(owner, name)
            # A layer without units has no products; a shared one has them.
            if isinstance(weight, nn.Parameter) and weight.numel():
                delattr(owner, name)
                setattr(owner, name, Int8Weight.of(weight))
    return model


def _products(layer: nn.Module) -> list[tuple[nn.Module, str]]:
    """The weights that a layer passes on to ``F.linear`` or ``F.conv1d``, as
    (owner, attribute)."""
    if type(layer) is nn.Linear:
        return [(layer, "weight")]
    if type(layer) is nn.Conv1d and _is_pointwise(layer):
        return [(layer, "weight")]
    if isinstance(layer, (RelPosMHAXL, RoPEMHA)):
        return [(layer, "in_proj_weight")]
    # The stock class passes its weights to a function of the whole attention.
    if isinstance(layer, RegularUnitAttention):
        return [(layer.att, "in_proj_weight"), (layer.att.out_proj, "weight")]
    return []


def _is_pointwise(layer: nn.Conv1d) -> bool:
    alone = layer.kernel_size == layer.stride == (1,)
    return alone and layer.groups == 1 and layer.padding in ((0,), 0)


def quantise_directory(model_dir: PathLike, output: PathLike) -> Path:
    """Write a model directory that computes in int8.

    It is loaded like the one it was made from, by the same interface of
    SpeechBrain, with ``device="cpu"``.

    Arguments
    ---------
    model_dir : path-like
        What ``write_model_directory`` wrote.
    output : path-like
        The new directory; one that exists is replaced.

    Returns
    -------
    Path
        The new directory.

    Raises
    ------
    DataError
        If the model directory cannot be loaded.
    ExportError
        If it is in int8 already, or the new one cannot be written.
    """
    with derived_directory(model_dir, output) as (folder, model):
        int8 = int8_model(model.hparams.model)
        torch.save(int8.state_dict(), folder / WEIGHTS)
        _build_in_int8(folder / RECIPE)
        write_card(folder, read_card(folder) + NOTE)
    return Path(output)


def _build_in_int8(path: Path) -> None:
    """Let a model directory's yaml build its model in int8."""
    yaml = ruamel.yaml.YAML()
    tree = yaml.load(path.read_text(encoding="utf-8"))
    model = CommentedMap({"model": tree["model"]})
    model.yaml_set_ctag(ruamel.yaml.Tag(suffix=INT8))
    tree["model"] = model
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(tree, file)
