"""``neuronprune plan``: which units stay.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
from typing import Any

import click

from speechbrain_neuronprune.cli.options import (
    as_json_object,
    check_file,
    exactly_one,
    on_device,
    output_option,
    with_average,
    with_balanced_heads,
    with_round_to,
    with_seed,
    with_target,
    with_threshold,
)
from speechbrain_neuronprune.cli.tables import text_table
from speechbrain_neuronprune.compaction import ParameterCounter
from speechbrain_neuronprune.corpus.speech import Speech, read_speech
from speechbrain_neuronprune.deploy.planning import (
    plan_by_retention,
    plan_by_scores,
    rank_units,
)
from speechbrain_neuronprune.deploy.sources import YAML, Source, open_source
from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.saliency import CRITERIA
from speechbrain_neuronprune.saliency.measure import WINDOW
from speechbrain_neuronprune.units import supported_units

RETENTION = "retention"  # in place of a saliency


@click.command()
@click.argument("source")
@with_target
@with_threshold
@click.option(
    "--fraction",
    type=click.FloatRange(0, 1),
    help="Share of every layer's units that stays.",
)
@click.option(
    "--criterion",
    type=click.Choice([RETENTION, *CRITERIA]),
    default=RETENTION,
    show_default=True,
    help="What is known of a unit: the learned logit of its gate, or a "
    "saliency, measured now, of the fully connected layers.",
)
@click.option(
    "--targets",
    multiple=True,
    metavar="PATTERN",
    help="Groups to score by a saliency, by kind or by a pattern over names; "
    "repeatable. The others stay whole.",
)
@click.option(
    "--data",
    metavar="FOLDER",
    help="Corpus folder in LibriSpeech's layout, for criteria that need "
    "speech.",
)
@click.option("--split", metavar="SPLIT", help="Its split to measure on.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="How much of the split to use, drawn at random.",
)
@click.option(
    "--window",
    type=click.IntRange(min=1),
    default=WINDOW,
    show_default=True,
    help="Frames in the time window of the criteria mi and mi_lagged.",
)
@with_round_to
@with_balanced_heads
@with_seed
@output_option("FILE", "The plan, a small JSON file.")
@with_average
@on_device
@as_json_object
def plan(
    source: str,
    target: int | float | None,
    threshold: float | None,
    fraction: float | None,
    criterion: str,
    targets: tuple[str, ...],
    data: str | None,
    split: str | None,
    minutes: float,
    window: int,
    seed: int,
    round_to: int,
    balance_heads: bool,
    output: str,
    average: int,
    device: str,
    as_json: bool,
) -> None:
    """Decide which units of the model in SOURCE stay, and write that down.

    SOURCE is a training run, any experiment folder of SpeechBrain, or a model
    directory. A run with adaptive dropout has learned what its units are
    worth; of any other model, a saliency says it.

    \b
    Examples:
      neuronprune plan results/mini --target 0.46 -o plan.json
      neuronprune plan results/mini-tfcnn --criterion obs --fraction 0.9 \\
        --data corpus --split train-clean -o plan.json
    """
    rule = exactly_one(target=target, threshold=threshold, fraction=fraction)
    form = {"round_to": round_to, "balance_heads": balance_heads}
    if targets and criterion == RETENTION:
        raise click.UsageError(
            "--targets is for saliencies; the logits of all gates decide "
            f"together. Leave it out, or give another --criterion than "
            f"{RETENTION}."
        )
    path = check_file(output)
    speech = _speech(criterion, data, split, minutes, seed)
    model = _open(source, device, average)
    if criterion == RETENTION:
        made = plan_by_retention(model, rule, **form)
    else:
        scores = rank_units(
            model, criterion, speech, targets or None, window=window, seed=seed
        )
        made = plan_by_scores(model, scores, rule, **form)
    made.save(path)
    found = _describe(model, made, output)
    click.echo(json.dumps(found) if as_json else _table(found))


def _open(path: str, device: str, average: int) -> Source:
    model = open_source(path, device, average)
    if model.kind == YAML:
        raise DataError(
            f"The file {path} describes a model that is not trained; give the "
            "folder of a trained one."
        )
    return model


def _speech(
    criterion: str,
    data: str | None,
    split: str | None,
    minutes: float,
    seed: int,
) -> Speech | None:
    """What the criterion is measured on, if it needs speech."""
    if criterion == RETENTION or not CRITERIA[criterion].needs_speech:
        return None
    if data is None or split is None:
        raise click.UsageError(
            f"The criterion {criterion} needs speech: give --data=FOLDER and "
            "--split=SPLIT."
        )
    speech = read_speech(data, split, labelled=False)
    return speech.sample(60 * minutes, seed)


def _describe(model: Source, made: PruningPlan, output: str) -> dict[str, Any]:
    network = ParameterCounter(model.network)(made.keep)
    kinds: dict[str, list[int]] = {}
    for group in supported_units(model.network).values():
        keep = made.keep.get(group.name)
        counts = kinds.setdefault(group.kind, [0, 0])
        counts[0] += group.size if keep is None else int(keep.sum())
        counts[1] += group.size
    parameters = network + model.other_parameters
    return {
        "plan": output,
        "parameters": parameters,
        "dense_parameters": model.parameters,
        "share": parameters / model.parameters,
        "kept": {
            kind: {"kept": kept, "units": total}
            for kind, (kept, total) in kinds.items()
        },
    }


def _table(found: dict[str, Any]) -> str:
    rows = [
        [kind, f"{row['kept']:,}", f"{row['units']:,}"]
        for kind, row in found["kept"].items()
    ]
    return (
        f"{text_table(['units of kind', 'kept', 'of'], rows)}\n"
        f"{found['parameters']:,} of {found['dense_parameters']:,} parameters "
        f"({found['share']:.1%})\nplan: {found['plan']}"
    )
