"""``neuronprune sweep``: one run, many sizes.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
from pathlib import Path
from typing import Any

import click
from speechbrain.dataio.preprocess import AudioNormalizer

from speechbrain_neuronprune.cli.options import (
    CommaSeparated,
    as_json_object,
    check_file,
    check_folder,
    on_device,
    output_option,
    parse_size,
)
from speechbrain_neuronprune.cli.speech import datasets
from speechbrain_neuronprune.cli.tables import text_table
from speechbrain_neuronprune.deploy.run import open_run
from speechbrain_neuronprune.deploy.sweep import SWEEP, Sweep

FILES = {"table": "csv", "plot": "png"}
SIZES = CommaSeparated(parse_size, "sizes")


@click.command()
@click.argument("run")
@click.option(
    "--sizes",
    type=SIZES,
    required=True,
    help="Sizes of the whole model, with commas: shares of its parameters, "
    "such as 0.45, or numbers of them. The dense model comes on top.",
)
@click.option(
    "--data",
    required=True,
    metavar="FOLDER",
    help="Corpus folder in LibriSpeech's layout.",
)
@click.option(
    "--split",
    multiple=True,
    required=True,
    metavar="SPLIT",
    help="Its split to measure error rates on; repeatable. To choose a size, "
    "take a development split.",
)
@click.option(
    "--export",
    "exported",
    type=SIZES,
    default="",
    metavar="SIZES",
    help="Those of the sizes to write as model directories, DIR/model-SIZE.",
)
@output_option(
    "DIR",
    "Folder for sweep.json, sweep.csv, sweep.png and models. What was "
    "measured there before is kept.",
)
@on_device
@as_json_object
def sweep(
    run: str,
    sizes: tuple[int | float, ...],
    data: str,
    split: tuple[str, ...],
    exported: tuple[int | float, ...],
    output: str,
    device: str,
    as_json: bool,
) -> None:
    """Measure what the trained run in RUN is worth at many sizes.

    One run with adaptive dropout holds models of many sizes. This counts the
    word errors of each, its parameters and multiply-accumulates, and times
    all of them in turns. A sweep that was stopped goes on where it was.

    \b
    Example:
      neuronprune sweep results/mini --sizes 0.6,0.45,0.3 --data corpus \\
        --split dev-clean --export 0.45 -o sweep
    """
    _check_sizes(sizes, exported)
    folder = check_file(str(Path(output, SWEEP))).parent
    brain = open_run(run, device)
    normalize = AudioNormalizer(brain.hparams.sample_rate)
    splits = datasets(data, split, normalize)
    options = brain.hparams.test_dataloader_opts
    measured = Sweep(brain, splits, options, folder)
    for size in exported:
        check_folder(str(measured.model_path(size)))
    rows = measured.run(sizes, progress=True)
    models = {path.name: str(path) for path in map(measured.export, exported)}
    files = {name: str(folder / f"sweep.{end}") for name, end in FILES.items()}
    if as_json:
        click.echo(json.dumps({"sizes": rows, **files, "models": models}))
    else:
        click.echo(_table(rows))
        for name, path in (files | models).items():
            click.echo(f"{name}: {path}")


def _check_sizes(sizes: tuple, exported: tuple) -> None:
    if not sizes:
        raise click.UsageError("Give at least one of --sizes.")
    for size in exported:
        if size not in sizes:
            raise click.UsageError(
                f"The size {size} of --export is none of --sizes."
            )


def _table(rows: list[dict[str, Any]]) -> str:
    splits = list(rows[0]["wer"])
    head = ["size", "parameters", "share", "MACs", "latency", "real time"]
    cells = [
        [
            row["size"] + " *" * row["front"],
            f"{row['parameters']:,}",
            f"{row['share']:.1%}",
            f"{row['macs'] / 1e6:,.0f} M",
            f"{row['latency_ms']:.1f} ms",
            f"{row['real_time_factor']:.4f}",
            *[f"{row['wer'][split]:.2f}" for split in splits],
        ]
        for row in rows
    ]
    table = text_table([*head, *[f"WER {split}" for split in splits]], cells)
    return f"{table}\n* no smaller size has as few errors"
