"""Through the door of ONNX.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
import importlib
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from speechbrain_neuronprune.deploy.exported import trace
from speechbrain_neuronprune.deploy.parity import Parity, check_parity
from speechbrain_neuronprune.deploy.posteriors import (
    INPUTS,
    Posteriors,
    load_posteriors,
)
from speechbrain_neuronprune.deploy.target import export_target
from speechbrain_neuronprune.errors import ExportError, in_short
from speechbrain_neuronprune.files import PathLike
from speechbrain_neuronprune.layers.level_heads import level_heads


def export_onnx(model_dir: PathLike, path: PathLike) -> Parity:
    """Write a model's network as ONNX, with dynamic batch and time.

    Inputs are ``features`` (batch, time, bands) and relative ``lengths``
    (batch,), the output is ``log_probs`` (batch, frames, tokens).

    Arguments
    ---------
    model_dir : path-like
        A model directory for ``EncoderASR``.
    path : path-like
        The file to write, ending with ``.onnx``.

    Returns
    -------
    Parity
        How the file, in ONNX Runtime, compares with the model.

    Raises
    ------
    ExportError
        If the extra ``export`` is not installed, the file cannot be written,
        a layer cannot be exported, or ONNX computes something else.
    """
    for package in ("onnxscript", "onnxruntime"):
        _require(package)
    with export_target(path, ".onnx") as temporary:
        posteriors = load_posteriors(model_dir)
        write_onnx(posteriors, temporary)
        return check_parity(posteriors, OnnxPosteriors(temporary), "ONNX")


def write_onnx(posteriors: Posteriors, path: PathLike) -> None:
    """Write a network as ONNX, without comparing.

    Arguments
    ---------
    posteriors : Posteriors
        The network, in evaluation mode.
    path : path-like
        The file to write.

    Raises
    ------
    ExportError
        If a layer cannot be exported.
    """
    # ONNX Runtime gathers slowly, so heads of unlike widths are filled up
    _convert(trace(level_heads(copy.deepcopy(posteriors)))).save(path)


class OnnxPosteriors:
    """An exported network in ONNX Runtime, on as many threads as PyTorch.

    Arguments
    ---------
    path : path-like
        What ``export_onnx`` wrote.
    """

    def __init__(self, path: PathLike) -> None:
        runtime = _require("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = runtime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Features (batch, time, bands) and relative lengths (batch,) to
        log-posteriors (batch, frames, tokens)."""
        arrays = (features.numpy(), lengths.numpy())
        inputs = dict(zip(INPUTS, arrays, strict=True))
        return torch.from_numpy(self.session.run(None, inputs)[0])


def _require(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ExportError(
            f"ONNX needs the package {package}, which is not installed; "
            "install the extra: pip install 'speechbrain-neuronprune[export]'."
        ) from error


def _convert(program: ExportedProgram) -> torch.onnx.ONNXProgram:
    _drop_idle_squeezes(program)
    try:
        converted = torch.onnx.export(
            program,
            input_names=INPUTS,
            output_names=["log_probs"],
            verbose=False,
        )
    except torch.onnx.errors.OnnxExporterError as error:
        raise ExportError(
            f"The model cannot be written as ONNX ({in_short(error)}); use a "
            "program of torch.export, or the model directory as it is."
        ) from error
    _forget_names(converted)
    return converted


def _forget_names(program: torch.onnx.ONNXProgram) -> None:
    """Forget what PyTorch called each operation: a third of a small model's
    file."""
    graph = program.model.graph
    for node in graph.all_nodes():
        for one in (node, *node.outputs):
            one.metadata_props.clear()
    values = (*graph.inputs, *graph.initializers.values())
    for one in (program.model, graph, *values):
        one.metadata_props.clear()


def _drop_idle_squeezes(program: ExportedProgram) -> None:
    """Drop squeezes of axes that are wider than one, as SpeechBrain's
    two-dimensional convolutions have them. PyTorch ignores these; ONNX takes
    them for errors."""
    graph = program.graph
    for node in list(graph.nodes):
        if node.target is not torch.ops.aten.squeeze.dim:
            continue
        source, axis = node.args
        width = source.meta["val"].shape[axis]
        if isinstance(width, int) and width != 1:
            node.replace_all_uses_with(source)
            graph.erase_node(node)
