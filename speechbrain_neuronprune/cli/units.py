"""``neuronprune units``: which units could be removed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
from pathlib import Path
from typing import Any

import click

from speechbrain_neuronprune.cli.options import as_json_object
from speechbrain_neuronprune.cli.tables import text_table
from speechbrain_neuronprune.deploy.sources import (
    Source,
    from_yaml,
    open_source,
)
from speechbrain_neuronprune.units import find_units


@click.command()
@click.argument("source")
@click.option(
    "--targets",
    multiple=True,
    metavar="PATTERN",
    help="Groups to show, by kind (ffn, query, value, conv, fc) or by a "
    "pattern over names; repeatable. All by default.",
)
@click.option(
    "--module",
    metavar="NAME",
    help="Of a yaml file: the entry with the network, if several have units.",
)
@as_json_object
def units(
    source: str, targets: tuple[str, ...], module: str | None, as_json: bool
) -> None:
    """Show the groups of hidden units of a model that can be removed.

    SOURCE is a model directory, an experiment folder of SpeechBrain, or the
    yaml file of a recipe. The share is what a group's units own of all
    parameters; a weight between two groups belongs to both.

    \b
    Examples:
      neuronprune units results/mini/model
      neuronprune units hparams/conformer_ctc_small.yaml --targets ffn
    """
    if module is not None and not Path(source).is_file():
        raise click.UsageError("--module is for yaml files only.")
    model = from_yaml(source, module) if module else open_source(source)
    found = _describe(model, targets)
    click.echo(json.dumps(found) if as_json else _table(found))


def _describe(model: Source, targets: tuple[str, ...]) -> dict[str, Any]:
    groups = find_units(model.network, targets or None).values()
    rows = [
        {
            "name": group.name,
            "kind": group.kind,
            "units": group.size,
            "widths": list(group.widths),
            "parameters_per_unit": group.parameters_per_unit,
            "share": group.size * group.parameters_per_unit / model.parameters,
        }
        for group in groups
    ]
    return {
        "source": model.path,
        "source_kind": model.kind,
        "parameters": model.parameters,
        "units": sum(row["units"] for row in rows),
        "groups": rows,
    }


def _table(found: dict[str, Any]) -> str:
    rows = [
        [
            row["name"],
            row["kind"],
            f"{row['units']:,}",
            f"{row['parameters_per_unit']:,}",
            f"{row['share']:.1%}",
        ]
        for row in found["groups"]
    ]
    head = ["group", "kind", "units", "parameters per unit", "share"]
    return (
        f"{text_table(head, rows)}\n"
        f"{found['units']:,} units in {len(rows)} groups; the model has "
        f"{found['parameters']:,} parameters"
    )
