"""Through the door of torch.export: a program without Python code.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import io
import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from speechbrain_neuronprune.deploy.parity import Parity, check_parity
from speechbrain_neuronprune.deploy.posteriors import (
    INPUTS,
    Posteriors,
    load_posteriors,
)
from speechbrain_neuronprune.deploy.target import export_target
from speechbrain_neuronprune.errors import ExportError, in_short
from speechbrain_neuronprune.files import PathLike

# Batch and time of the features, batch of the lengths.
DYNAMIC = ({0: Dim.DYNAMIC, 1: Dim.DYNAMIC}, {0: Dim.DYNAMIC})
# What is kept of an operation besides itself: what comes out.
KEPT = ("val", "tensor_meta")


def export_program(model_dir: PathLike, path: PathLike) -> Parity:
    """Write a model's network as a program that ``torch.export`` loads.

    Arguments
    ---------
    model_dir : path-like
        A model directory for ``EncoderASR``.
    path : path-like
        The file to write, ending with ``.pt2``.

    Returns
    -------
    Parity
        How the program, loaded again, compares with the model.

    Raises
    ------
    ExportError
        If the file cannot be written, a layer cannot be traced, or the
        program computes something else.
    """
    with export_target(path, ".pt2") as temporary:
        posteriors = load_posteriors(model_dir)
        program = io.BytesIO()  # a file would have its name inside
        torch.export.save(trace(posteriors), program)
        temporary.write_bytes(program.getvalue())
        return check_parity(posteriors, load_program(temporary), "exported")


def load_program(path: PathLike) -> Callable[[Tensor, Tensor], Tensor]:
    """Load a program.

    Arguments
    ---------
    path : path-like
        What ``export_program`` wrote.

    Returns
    -------
    callable
        Features (batch, time, bands) and relative lengths (batch,) to
        log-posteriors (batch, frames, tokens).
    """
    with warnings.catch_warnings():
        # The weights are read from the file's own bytes, and not written to.
        warnings.filterwarnings("ignore", ".*buffer is not writable.*")
        program = torch.export.load(path)
    # The tracer's guards keep lengths to what they are for an example: odd or
    # even where a pooling rounds, for instance, although it is the same
    # program. Parity is measured at lengths of all kinds instead.
    return program.module(check_guards=False)


def trace(posteriors: Posteriors) -> ExportedProgram:
    """Trace a network for any batch size and duration.

    Arguments
    ---------
    posteriors : Posteriors
        The network, in evaluation mode.

    Returns
    -------
    ExportedProgram
        With the inputs ``features`` and ``lengths``.

    Raises
    ------
    ExportError
        If a layer cannot be traced.
    """
    try:
        # Strictly: SpeechBrain asks for len(lengths), which another way of
        # tracing takes for a constant. With gradients: without, convolutions
        # would be written for a compiler that fuses what comes.
        with torch.enable_grad():
            program = torch.export.export(
                posteriors,
                posteriors.example(),
                dynamic_shapes=dict(zip(INPUTS, DYNAMIC, strict=True)),
                strict=True,
            )
    except Exception as error:  # whatever the tracer meets
        raise ExportError(
            f"The model cannot be traced for any batch size and duration "
            f"({in_short(error)}); use the model directory as it is."
        ) from error
    _forget_sources(program)
    _drop_idle_state(program)
    return program


def _forget_sources(program: ExportedProgram) -> None:
    """Forget which lines of which files, and which modules, the operations
    come from: paths of this machine, and as many bytes as a small model's
    weights."""
    for module in program.graph_module.modules():
        for node in getattr(module, "graph", torch.fx.Graph()).nodes:
            node.meta = {k: v for k, v in node.meta.items() if k in KEPT}


def _drop_idle_state(program: ExportedProgram) -> None:
    """Drop what no operation reads, as the table of positions of a decoder
    that is not there."""
    read = {spec.target for spec in program.graph_signature.input_specs}
    for name in program.state_dict.keys() - read:
        del program.state_dict[name]
