"""``neuronprune adapt``: a new domain, without labels.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from hyperpyyaml import load_hyperpyyaml
from ruamel.yaml.error import YAMLError

from speechbrain_neuronprune.cli.options import (
    as_json_object,
    on_device,
    output_option,
)
from speechbrain_neuronprune.cli.speech import reader, rows_of
from speechbrain_neuronprune.deploy.loading import load_model
from speechbrain_neuronprune.domain_adaptation import (
    DomainAdaptation,
    DomainSpeech,
)
from speechbrain_neuronprune.domain_adaptation.checks import check_output
from speechbrain_neuronprune.training.experiment import (
    beginning,
    check_precision,
)


@click.command()
@click.argument("model_dir")
@click.option(
    "--hparams",
    required=True,
    metavar="YAML",
    help="What learns and how, for instance hparams/adapt_hyper_hypo.yaml of "
    "the project.",
)
@click.option(
    "--target",
    required=True,
    metavar="FOLDER",
    help="Corpus folder of the new domain, in LibriSpeech's layout.",
)
@click.option(
    "--target-split",
    multiple=True,
    required=True,
    metavar="SPLIT",
    help="Speech to adapt to; its transcripts are not read; repeatable.",
)
@click.option(
    "--target-test",
    multiple=True,
    metavar="SPLIT",
    help="Labelled speech of the new domain to measure on; repeatable.",
)
@click.option("--home", metavar="FOLDER", help="Corpus folder of the home.")
@click.option(
    "--home-split",
    multiple=True,
    metavar="SPLIT",
    help="Labelled speech to rank neurons on and to replay; repeatable.",
)
@click.option(
    "--home-test",
    multiple=True,
    metavar="SPLIT",
    help="Labelled speech of the home domain to measure on; repeatable.",
)
@click.option(
    "--replay",
    metavar="FOLDER",
    help="Corpus folder of more speech to replay, as neuronprune-alike "
    "writes it.",
)
@click.option(
    "--replay-split",
    multiple=True,
    metavar="SPLIT",
    help="Labelled speech to replay besides home's; repeatable.",
)
@output_option("DIR", "Output folder.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change an entry of the yaml, for instance --set model=A; repeatable.",
)
@on_device
@as_json_object
def adapt(
    model_dir: str,
    hparams: str,
    target: str,
    target_split: tuple[str, ...],
    target_test: tuple[str, ...],
    home: str | None,
    home_split: tuple[str, ...],
    home_test: tuple[str, ...],
    replay: str | None,
    replay_split: tuple[str, ...],
    output: str,
    changes: tuple[str, ...],
    device: str,
    as_json: bool,
) -> None:
    """Adapt the recogniser in MODEL_DIR to a new domain without labels.

    It hears the new domain's speech, is sure of some of it, and learns from
    that with its hyper- and hypo-active neurons only, or as the yaml says. A
    run that was stopped goes on where it was.

    \b
    Example:
      neuronprune adapt results/tfcnn/3407/model \\
        --hparams hparams/adapt_hyper_hypo.yaml --target phone-calls \\
        --target-split unlabelled --target-test test --output adapted
    """
    loaded = _adaptation_hparams(hparams, model_dir, target, output, changes)
    check_precision(loaded, {"device": device})
    recogniser = load_model(model_dir, device)
    parts = {
        "target": _rows(target, target_split, labelled=False),
        "home": _rows(home, home_split),
        "replayed": _rows(replay, replay_split, place="replay"),
        "tests": {
            f"{place}/{split}": _rows(folder, [split])
            for place, folder, splits in (
                ("home", home, home_test),
                ("target", target, target_test),
            )
            for split in splits
        },
    }
    read = reader(recogniser.audio_normalizer, keep=loaded["cache_audio"])
    speech = DomainSpeech(read=read, **parts)
    adaptation = DomainAdaptation(
        recogniser, speech, loaded, {"device": device}
    )
    results = adaptation.run()
    click.echo(json.dumps(results) if as_json else _before_after(results))


def _adaptation_hparams(
    path: str, model: str, target: str, output: str, changes: tuple[str, ...]
) -> dict[str, Any]:
    overrides = {
        "starting_model": model,
        "target_folder": target,
        "output_folder": output,
    }
    for change in changes:
        key, value = _key_and_value(change)
        overrides[key] = value
    with beginning(path):
        with open(path, encoding="utf-8") as file:
            loaded = load_hyperpyyaml(file, overrides)
        check_output(loaded)
        Path(output).mkdir(parents=True, exist_ok=True)
    return loaded


def _key_and_value(change: str) -> tuple[str, Any]:
    key, equals, text = change.partition("=")
    if not key or not equals:
        raise click.BadParameter(f"{change!r} is not KEY=VALUE")
    try:
        return key, load_hyperpyyaml(f"value: {text}")["value"]
    except (YAMLError, ValueError) as error:
        raise click.BadParameter(
            f"{change!r} has no VALUE that yaml understands"
        ) from error


def _rows(
    folder: str | None,
    splits: Iterable[str],
    labelled: bool = True,
    place: str = "home",
) -> dict[str, dict[str, Any]]:
    if folder is None and splits:
        raise click.UsageError(
            f"There are {place} splits, but no --{place} folder"
        )
    return rows_of(folder, splits, labelled)


def _before_after(results: dict[str, Any]) -> str:
    return "\n".join(
        f"{split}: WER {before['wer']:.2f} -> "
        f"{results['after'][split]['wer']:.2f}"
        for split, before in results["before"].items()
    )
