"""``neuronprune compact``: the smaller model.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
from pathlib import Path
from typing import Any

import click

from speechbrain_neuronprune.cli.options import (
    as_json_object,
    check_folder,
    exactly_one,
    on_device,
    output_option,
    with_average,
    with_balanced_heads,
    with_round_to,
    with_target,
    with_threshold,
)
from speechbrain_neuronprune.cli.speech import datasets
from speechbrain_neuronprune.compaction import ParameterCounter
from speechbrain_neuronprune.deploy.experiment import write_compact_experiment
from speechbrain_neuronprune.deploy.narrowed_directory import (
    write_narrowed_directory,
)
from speechbrain_neuronprune.deploy.planning import plan_by_retention
from speechbrain_neuronprune.deploy.run import compact_run
from speechbrain_neuronprune.deploy.sources import (
    EXPERIMENT,
    MODEL,
    RUN,
    Source,
    open_source,
)
from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.plan import PruningPlan


@click.command()
@click.argument("source")
@click.option(
    "--plan", metavar="FILE", help="A plan, as neuronprune plan writes it."
)
@with_target
@with_threshold
@with_round_to
@with_balanced_heads
@click.option(
    "--data",
    metavar="FOLDER",
    help="Corpus folder in LibriSpeech's layout, to measure error rates for "
    "the model card of a run.",
)
@click.option(
    "--split", multiple=True, metavar="SPLIT", help="Its splits; repeatable."
)
@output_option("DIR", "The smaller model.")
@with_average
@on_device
@as_json_object
def compact(
    source: str,
    plan: str | None,
    target: int | float | None,
    threshold: float | None,
    round_to: int,
    balance_heads: bool,
    data: str | None,
    split: tuple[str, ...],
    output: str,
    average: int,
    device: str,
    as_json: bool,
) -> None:
    """Make the smaller model that computes what the masked one does.

    Of a training run of the recipes it makes a model directory, which
    SpeechBrain's inference interface loads. Of any other experiment folder of
    SpeechBrain it makes an experiment folder, which the recipe's own script
    evaluates. Of a directory that SpeechBrain's inference loads it makes
    another one, by a --plan, as nothing was learned there about its units.

    \b
    Examples:
      neuronprune compact results/mini --target 0.46 -o small
      neuronprune compact results/mini --plan plan.json \\
        --data corpus --split test-clean -o small
      neuronprune compact pretrained/model --plan plan.json -o small
    """
    rule = exactly_one(plan=plan, target=target, threshold=threshold)
    if plan is not None and (round_to > 1 or balance_heads):
        raise click.UsageError(
            "--round-to and --balance-heads shape a plan that is made; leave "
            "them out with --plan, or give them to neuronprune plan."
        )
    folder = check_folder(output)
    chosen = None if plan is None else PruningPlan.load(plan)
    model = open_source(source, device, average)
    normalize = model.normalize if model.kind == RUN else None
    splits = datasets(data, split, normalize)
    if chosen is None:
        form = {"round_to": round_to, "balance_heads": balance_heads}
        chosen = plan_by_retention(model, rule, **form)
    found = _write(model, chosen, folder, splits)
    click.echo(json.dumps(found) if as_json else _text(found))


def _write(
    model: Source, plan: PruningPlan, folder: Path, splits: dict[str, Any]
) -> dict[str, Any]:
    plan.check(model.network)
    small = ParameterCounter(model.network)(plan.keep) + model.other_parameters
    found = {
        "output": str(folder),
        "parameters": small,
        "dense_parameters": model.parameters,
        "share": small / model.parameters,
    }
    if model.kind == RUN:
        brain = model.opened
        options = brain.hparams.test_dataloader_opts
        results = compact_run(brain, plan, folder, splits, options)
        keys = ("splits", "max_difference", "cost")
        return found | {key: results[key] for key in keys}
    if model.kind == EXPERIMENT:
        write_compact_experiment(model.opened, plan, folder)
        return found
    if model.kind == MODEL:
        where = (model.path, model.opened, model.network)
        write_narrowed_directory(*where, plan, folder)
        return found
    raise DataError(
        f"The source {model.path} is a {model.kind}, which cannot be "
        "compacted; give a folder with weights, of its training run for "
        "instance."
    )


def _text(found: dict[str, Any]) -> str:
    lines = [
        f"{found['parameters']:,} of {found['dense_parameters']:,} parameters "
        f"({found['share']:.1%})"
    ]
    for split, row in found.get("splits", {}).items():
        lines.append(
            f"{split}: WER {row['dense']:.2f} dense, {row['compact']:.2f} "
            f"compact; {row['identical']} of {row['utterances']} hypotheses "
            "of masked and compact model identical"
        )
    return "\n".join([*lines, f"model: {found['output']}"])
