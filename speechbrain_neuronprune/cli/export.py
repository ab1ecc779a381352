"""``neuronprune export``: a model directory through another door.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from speechbrain_neuronprune.cli.options import as_json_object, exactly_one
from speechbrain_neuronprune.deploy.exported import export_program
from speechbrain_neuronprune.deploy.onnx_export import export_onnx
from speechbrain_neuronprune.deploy.parity import Parity
from speechbrain_neuronprune.deploy.quantisation import quantise_directory
from speechbrain_neuronprune.deploy.streaming_directory import (
    streaming_directory,
)

# Option -> what writes its file or folder
DOORS: dict[str, Callable[[str, str], Parity | Path]] = {
    "onnx": export_onnx,
    "torch": export_program,
    "int8": quantise_directory,
    "streaming": streaming_directory,
}


@click.command()
@click.argument("model_dir")
@click.option("--onnx", metavar="FILE", help="Write an ONNX file (.onnx).")
@click.option(
    "--torch", metavar="FILE", help="Write a program of torch.export (.pt2)."
)
@click.option(
    "--int8",
    metavar="DIR",
    help="Write a model directory that multiplies in 8 bits, on the CPU.",
)
@click.option(
    "--streaming",
    metavar="DIR",
    help="Write a model directory for SpeechBrain's StreamingASR.",
)
@as_json_object
def export(model_dir: str, as_json: bool, **outputs: str | None) -> None:
    """Write the recogniser in MODEL_DIR for another runtime.

    An ONNX file or a program of torch.export takes features and gives
    log-posteriors, for any batch size and any length; it is compared with the
    model before the command ends. ONNX needs the extra "export":
    pip install 'speechbrain-neuronprune[export]'.

    \b
    Examples:
      neuronprune export results/mini/model --onnx encoder.onnx
      neuronprune export results/mini/model --torch encoder.pt2
      neuronprune export results/mini/model --int8 small-int8
      neuronprune export results/mini/model --streaming small-streaming
    """
    [(door, output)] = exactly_one(**outputs).items()
    result = DOORS[door](model_dir, output)
    found: dict[str, Any] = {"output": output}
    if isinstance(result, Parity):
        found |= asdict(result)
    click.echo(json.dumps(found) if as_json else _text(found))


def _text(found: dict[str, Any]) -> str:
    lines = [f"output: {found['output']}"]
    if "cases" in found:
        lines.append(
            f"largest difference of log-posteriors in {found['cases']} "
            f"batches: {found['max_difference']:.1e}"
        )
    return "\n".join(lines)
