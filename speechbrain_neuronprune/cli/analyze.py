"""``neuronprune analyze``: neurons ranked, removed, and what that does.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from speechbrain_neuronprune.analysis import AnalysisSettings, analyse
from speechbrain_neuronprune.analysis.run import ANALYSIS
from speechbrain_neuronprune.cli.options import (
    CommaSeparated,
    as_json_object,
    on_device,
    output_option,
)
from speechbrain_neuronprune.corpus.speech import read_speech
from speechbrain_neuronprune.deploy.int8 import require_float
from speechbrain_neuronprune.deploy.loading import load_model
from speechbrain_neuronprune.report.analysis_figures import read_analysis
from speechbrain_neuronprune.report.page import write_report
from speechbrain_neuronprune.saliency import CRITERIA

DEFAULTS = AnalysisSettings()


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


@click.command()
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
@output_option(
    "DIR",
    "Folder for analysis.json, the measurements and the report. What was "
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
    "--frame-stride",
    type=int,
    default=DEFAULTS.frame_stride,
    show_default=True,
    help="Look at every n-th frame only, but for taylor: a cheaper estimate.",
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
    require_float(recogniser, model_dir)
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
