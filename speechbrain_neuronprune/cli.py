"""The command line: ``neuronprune COMMAND``.

Every command prints its results to standard output, and its progress and one
sentence about bad input to standard error.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import functools
import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
import soundfile
import torch
from hyperpyyaml import load_hyperpyyaml

from speechbrain_neuronprune.analysis import (
    AnalysisSettings,
    analyse,
    read_speech,
)
from speechbrain_neuronprune.analysis.run import ANALYSIS
from speechbrain_neuronprune.deploy.transcribe import load_model
from speechbrain_neuronprune.domain_adaptation import (
    DomainAdaptation,
    DomainSpeech,
)
from speechbrain_neuronprune.errors import NeuronPruneError
from speechbrain_neuronprune.experiment import beginning
from speechbrain_neuronprune.report.analysis_figures import read_analysis
from speechbrain_neuronprune.report.page import write_report
from speechbrain_neuronprune.saliency import CRITERIA

DEFAULTS = AnalysisSettings()

# Options that several commands have
on_device = click.option("--device", default="cpu", show_default=True)
as_json_object = click.option(
    "--json", "as_json", is_flag=True, help="Print results as one JSON object."
)


class SentenceGroup(click.Group):
    """Commands whose bad input ends in one sentence and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except NeuronPruneError as error:
            raise click.ClickException(str(error)) from error


class CommaSeparated(click.ParamType):
    """Several values in one option, with commas between them.

    Arguments
    ---------
    convert : callable
        From the text of one value to the value.
    name : str
        What the values are, for messages.

    Example
    -------
    >>> CommaSeparated(float, "numbers").convert("2, 4.5", None, None)
    (2.0, 4.5)
    """

    def __init__(self, convert: Callable[[str], Any], name: str) -> None:
        self.one = convert
        self.name = name

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple:
        """Split and convert."""
        if not isinstance(value, str):
            return tuple(value)
        parts = [part.strip() for part in value.split(",")]
        try:
            return tuple(self.one(part) for part in parts if part)
        except ValueError:
            self.fail(f"{value!r} are no {self.name}", param, ctx)


def in_percent(shares: Iterable[float]) -> str:
    """Write shares as percentages, for defaults.

    Arguments
    ---------
    shares : iterable of float
        From 0 to 1.

    Returns
    -------
    str
        With commas between them.

    Example
    -------
    >>> in_percent([0.02, 0.125])
    '2,12.5'
    """
    return ",".join(f"{100 * share:g}" for share in shares)


def as_share(percent: float) -> float:
    """Turn a percentage into the share that one would write by hand.

    Arguments
    ---------
    percent : float
        For instance 7.

    Returns
    -------
    float
        For instance 0.07.

    Example
    -------
    >>> as_share(7.0), 7.0 / 100, as_share(12.5)
    (0.07, 0.07, 0.125)
    """
    return round(percent / 100, 10)


@click.group(
    cls=SentenceGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="speechbrain-neuronprune")
def main() -> None:
    """Look at the neurons of a speech recogniser one by one."""
    logging.getLogger("speechbrain").setLevel(logging.WARNING)


@main.command()
@click.argument("model_dir")
@click.option(
    "--data",
    required=True,
    help="Corpus folder in LibriSpeech's layout: DATA/SPLIT/SPEAKER/CHAPTER.",
)
@click.option(
    "--rank",
    required=True,
    metavar="SPLIT",
    help="Speech to rank the neurons on: some of the training speech.",
)
@click.option(
    "--home",
    required=True,
    metavar="SPLIT",
    help="Speech of the home domain, to measure error rates on.",
)
@click.option(
    "--domain",
    multiple=True,
    metavar="SPLIT",
    help="Speech of a new domain, to measure error rates on; repeatable. A "
    "path to a split anywhere else will do.",
)
@click.option(
    "--output",
    required=True,
    metavar="DIR",
    help="Folder for analysis.json, the measurements and the report. What was "
    "measured there before is kept.",
)
@click.option(
    "--criteria",
    type=CommaSeparated(str, "names"),
    default=",".join(DEFAULTS.criteria),
    show_default=True,
    help=f"Criteria to rank by, of {', '.join(CRITERIA)}.",
)
@click.option(
    "--shares",
    type=CommaSeparated(float, "numbers"),
    default=in_percent(DEFAULTS.shares),
    show_default=True,
    help="How many of a layer's neurons to remove, in per cent.",
)
@click.option(
    "--hypo",
    type=float,
    default=100 * DEFAULTS.hypo,
    show_default=True,
    help="Hypo neurons, the least salient, to mark and to remove together "
    "with hyper ones, in per cent.",
)
@click.option(
    "--hyper",
    type=float,
    default=100 * DEFAULTS.hyper,
    show_default=True,
    help="Hyper neurons, the most salient, likewise.",
)
@click.option(
    "--layers",
    multiple=True,
    metavar="PATTERN",
    help="Layers to analyse, by name or pattern; repeatable. All fully "
    "connected ones by default.",
)
@click.option(
    "--together",
    multiple=True,
    metavar="PATTERN",
    help="Layers to remove neurons from at the same time; repeatable. All the "
    "analysed ones by default.",
)
@click.option(
    "--mean-ablation",
    is_flag=True,
    help="Also put means, not only zeros, in place of removed neurons.",
)
@click.option(
    "--rank-minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="How much of the ranking speech to use, drawn at random.",
)
@click.option(
    "--window",
    type=int,
    default=DEFAULTS.window,
    show_default=True,
    help="Frames in the time window of the criteria mi and mi_lagged.",
)
@click.option(
    "--lag-stride",
    type=int,
    default=DEFAULTS.lag_stride,
    show_default=True,
    help="Look at every n-th frame only, for the criterion mi_lagged: a "
    "cheaper estimate.",
)
@click.option("--seed", type=int, default=DEFAULTS.seed, show_default=True)
@on_device
@as_json_object
def analyze(
    model_dir: str,
    data: str,
    rank: str,
    home: str,
    domain: tuple[str, ...],
    output: str,
    rank_minutes: float,
    device: str,
    as_json: bool,
    **choices: Any,
) -> None:
    """Find the hyper- and hypo-active neurons of the recogniser in MODEL_DIR,
    and what removing them does at home and in new domains.

    The neurons of every fully connected layer are ranked by how salient they
    are on training speech. Then the lowest (hypo), the highest (hyper), some
    from the middle and some at random are removed, more and more of them,
    and word errors are counted. A run that was stopped goes on where it was.

    \b
    Example:
      neuronprune analyze results/tfcnn/3407/model --data corpus \\
        --rank train-clean --home dev-clean --domain dev-reverb \\
        --criteria mi,obs,mbp --layers '*.fc.linear*' --output analysis
    """
    settings = _settings(**choices)
    ranking_speech = read_speech(data, rank)
    ranking_speech = ranking_speech.sample(60 * rank_minutes, settings.seed)
    splits = [read_speech(data, split) for split in (home, *domain)]
    recogniser = load_model(model_dir, device)
    analysis = analyse(
        recogniser, ranking_speech, splits, output, settings, progress=True
    )
    files = {
        "analysis": str(Path(output, ANALYSIS)),
        "report": str(write_report(output)),
    }
    if as_json:
        keys = ("ranked_on", "settings", "splits", "measurements")
        found = {key: analysis[key] for key in keys}
        click.echo(json.dumps(files | found, indent=2))
    else:
        click.echo(_summary(read_analysis(Path(output))))
        for name, path in files.items():
            click.echo(f"{name}: {path}")


@main.command()
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
@click.option("--output", required=True, metavar="DIR", help="Output folder.")
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
    recogniser = load_model(model_dir, device)
    parts = {
        "target": _rows(target, target_split, labelled=False),
        "home": _rows(home, home_split),
        "tests": {
            f"{place}/{split}": _rows(folder, [split])
            for place, folder, splits in (
                ("home", home, home_test),
                ("target", target, target_test),
            )
            for split in splits
        },
    }
    speech = DomainSpeech(read=_reader(recogniser), **parts)
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
        key, equals, value = change.partition("=")
        if not equals:
            raise click.BadParameter(f"{change!r} is not KEY=VALUE")
        overrides[key] = load_hyperpyyaml(f"value: {value}")["value"]
    with beginning(path):
        Path(output).mkdir(parents=True, exist_ok=True)
        with open(path, encoding="utf-8") as file:
            return load_hyperpyyaml(file, overrides)


def _rows(
    folder: str | None,
    splits: Iterable[str],
    labelled: bool = True,
) -> dict[str, dict[str, Any]]:
    if folder is None and splits:
        raise click.UsageError("There are home splits, but no --home folder")
    return {
        one.name: {
            "wav": str(one.path),
            "duration": one.seconds,
            "wrd": " ".join(one.words),
        }
        for split in splits
        for one in read_speech(folder, split, labelled).utterances
    }


def _reader(recogniser: Any) -> Callable[[str], Any]:
    """Reads audio at the model's rate, and keeps it in memory."""

    @functools.cache
    def read(path: str) -> Any:
        samples, rate = soundfile.read(path, dtype="float32")
        return recogniser.audio_normalizer(torch.from_numpy(samples), rate)

    return read


def _before_after(results: dict[str, Any]) -> str:
    return "\n".join(
        f"{split}: WER {before['wer']:.2f} -> "
        f"{results['after'][split]['wer']:.2f}"
        for split, before in results["before"].items()
    )


@main.command()
@click.argument("run_folder")
@click.option(
    "--output",
    metavar="DIR",
    help="Folder for the report; RUN_FOLDER/report by default.",
)
@as_json_object
def report(run_folder: str, output: str | None, as_json: bool) -> None:
    """Write the HTML report of a training run, an analysis or an adaptation
    in RUN_FOLDER.

    \b
    Example:
      neuronprune report results/tfcnn/3407
    """
    page = str(write_report(run_folder, output))
    click.echo(json.dumps({"report": page}) if as_json else page)


def _settings(
    criteria: tuple[str, ...],
    shares: tuple[float, ...],
    hypo: float,
    hyper: float,
    layers: tuple[str, ...],
    together: tuple[str, ...],
    **others: Any,
) -> AnalysisSettings:
    return AnalysisSettings(
        criteria=criteria,
        shares=tuple(map(as_share, shares)),
        hypo=as_share(hypo),
        hyper=as_share(hyper),
        layers=layers or None,
        together=together or None,
        **others,
    )


def _summary(analysis: dict[str, Any]) -> str:
    """Word error rates with and without hypo and hyper neurons."""
    splits = analysis["splits"]
    rows = {"unpruned": {name: one["wer"] for name, one in splits.items()}}
    for row in analysis["removals"]:
        if (row["part"], row["ablation"]) == ("both", "zero"):
            label = f"{row['place']} by {row['criterion']}"
            rows.setdefault(label, {})[row["split"]] = row["wer"]
    hypo, hyper = (in_percent([analysis[part]]) for part in ("hypo", "hyper"))
    first = max(map(len, rows))
    lines = [f"WER (%) without {hypo} % hypo and {hyper} % hyper neurons of"]
    lines.append(" " * first + "".join(f"  {name:>9}" for name in splits))
    for label, rates in rows.items():
        cells = (f"  {rates[name]:{max(9, len(name))}.2f}" for name in splits)
        lines.append(f"{label:<{first}}" + "".join(cells))
    return "\n".join(lines)
