#!/usr/bin/env python3
"""Does removing hyper and hypo neurons help in new domains?

Mitra and Franco (arXiv 2001.01755, sec. 5) on real speech: they remove 2 to 12
% of the neurons of a layer, and say that hypo and hyper neurons are best
removed in new domains, and that the medium ones are fatal to lose. Reads
analyses of several models, one folder each, and puts them together: for every
part of the ranking and every share, the change of the word error rate at home
and in the new domains, pooled over models, with paired bootstrap intervals over
utterances.

    for seed in 1 2 3; do
        neuronprune analyze MODEL$seed --output ANALYSIS$seed ...
    done
    python benchmarks/real_pruning.py ANALYSIS1 ANALYSIS2 ANALYSIS3

With --domains only some of the new ones are put together, by pattern.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.ticker import (
    LogLocator,
    MaxNLocator,
    NullFormatter,
    ScalarFormatter,
)
from paired import (
    Utterances,
    interval_cell,
    markdown_table,
    paired_difference,
    sum_by_name,
)

from speechbrain_neuronprune.analysis.run import ANALYSIS, MEASUREMENTS
from speechbrain_neuronprune.files import atomic_path, write_json

PARTS = ("hypo", "hyper", "medium", "random")
PLACES = {"home": "home", "domain": "new domains"}

# Of an analysis: place, then removal (as JSON), then errors by utterance
Errors = dict[str, dict[str, Utterances]]


# ------------------------------------------------------------------ reading


def read_errors(folder: Path, domains: str = "*") -> Errors:
    """The errors of one model, summed over the domains of a place; of new
    ones, over those that fit a pattern."""
    analysis = json.loads((folder / ANALYSIS).read_text(encoding="utf-8"))
    paths = (folder / MEASUREMENTS).glob("*.jsonl")
    logs = dict(read_log(path) for path in paths)
    found: Errors = {}
    for place in PLACES:
        here = [
            logs[split]
            for split, facts in analysis["splits"].items()
            if facts["role"] == place
            and (place == "home" or fnmatchcase(split, domains))
        ]
        if not here:
            raise SystemExit(
                f"{folder} has measured no domain like {domains!r}, but "
                f"{', '.join(analysis['splits'])}; change --domains."
            )
        found[place] = {
            removal: sum_by_name(errors[removal] for errors in here)
            for removal in here[0]
        }
    return found


def read_log(path: Path) -> tuple[str, dict[str, Utterances]]:
    """A split, and for every removal its errors and words by utterance."""
    with open(path, encoding="utf-8") as file:
        header, *lines = [json.loads(line) for line in file]
    names, words = header["utterances"], header["words"]
    return header["split"], {
        removal_key(line["removed"]): {
            name: [errors, count]
            for name, errors, count in zip(
                names, line["errors"]["word_errors"], words, strict=True
            )
        }
        for line in lines
    }


def removal_key(removed: dict[str, Any]) -> str:
    """What tells removals apart; a layer set is told by its layers."""
    return json.dumps(removed, sort_keys=True)


# ------------------------------------------------------------- summarising


def summarize(models: Sequence[Errors]) -> list[dict[str, Any]]:
    """A row per removal: rates and changes, pooled over models.

    Arguments
    ---------
    models : sequence of dict
        See ``read_errors``; all have the same removals.

    Returns
    -------
    list of dict
        What was removed, and by place ``wer`` in per cent and the
        ``change`` against the untouched models.
    """
    keys = list(models[0]["home"])
    untouched = next(k for k in keys if json.loads(k)["part"] == "none")
    rows = []
    for key in keys:
        row = json.loads(key)
        for place in PLACES:
            runs = [errors[place][key] for errors in models]
            before = [errors[place][untouched] for errors in models]
            row[place] = {
                "wer": rate(runs),
                "change": paired_difference(runs, before),
            }
        rows.append(row)
    return rows


def rate(runs: Iterable[Utterances]) -> float:
    """The word error rate of all runs together, in per cent."""
    counts = [counts for run in runs for counts in run.values()]
    return 100 * sum(e for e, _ in counts) / sum(n for _, n in counts)


# ------------------------------------------------------------------ showing


def markdown(rows: Sequence[dict[str, Any]], shares: Sequence[float]) -> str:
    """One line per layers, criterion, part and ablation; home and new domains
    at the given shares."""
    head = ["layers", "criterion", "removed", "in their place"]
    head += [f"{name}, {s:.0%}" for name in PLACES.values() for s in shares]
    lines: dict[tuple[str, ...], dict[tuple[str, float], str]] = {}
    for row in rows:
        if row["part"] == "none":
            continue
        layers = " + ".join(name.split(".")[-1] for name in row["layers"])
        names = (layers, row["criterion"] or "", row["part"], row["ablation"])
        line = lines.setdefault(names, {})
        for place in PLACES:
            cell = interval_cell(row[place]["change"])
            line[place, round(row["share"], 6)] = cell
    cells = [
        [*names, *[line.get((p, s), "") for p in PLACES for s in shares]]
        for names, line in lines.items()
    ]
    return markdown_table(head, cells)


def plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """WER over the share replaced by zeros, from all layers together: a panel
    per place and criterion."""
    most = max(len(row["layers"]) for row in rows)
    rows = [
        row
        for row in rows
        if len(row["layers"]) == most and row["ablation"] == "zero"
    ]
    criteria = sorted({row["criterion"] for row in rows if row["criterion"]})
    figure, axes = plt.subplots(
        len(PLACES),
        len(criteria),
        figsize=(3.2 * len(criteria), 6),
        squeeze=False,
        sharex=True,
    )
    for line, (place, title) in zip(axes, PLACES.items(), strict=True):
        for axis, criterion in zip(line, criteria, strict=True):
            for part in PARTS:
                points = sorted(
                    (100 * row["share"], row[place]["wer"])
                    for row in rows
                    if row["part"] == part
                    and row["criterion"] in (criterion, None)
                )
                share, wer = zip(*points, strict=True) if points else ((), ())
                axis.plot(share, wer, marker="o", label=part)
            axis.set_title(f"{title}, by {criterion}")
            axis.set_ylabel("word error rate, %")
            axis.set_yscale("log")
            low, high = axis.get_ylim()
            axis.yaxis.set_major_locator(
                LogLocator(subs=(1, 2, 5)) if high > 4 * low else MaxNLocator(5)
            )
            axis.yaxis.set_major_formatter(ScalarFormatter())
            axis.yaxis.set_minor_formatter(NullFormatter())
            axis.grid(alpha=0.3)
    for axis in axes[-1]:
        axis.set_xlabel("neurons removed, %")
    axes[0][0].legend()
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read, put together, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("analyses", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, default=Path("results/pruning"))
    parser.add_argument("--shares", type=float, nargs="+", default=[0.04, 0.12])
    parser.add_argument("--domains", default="*", metavar="PATTERN")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    rows = summarize(
        [read_errors(folder, options.domains) for folder in options.analyses]
    )
    write_json(options.output / "pruning.json", {"rows": rows})
    plot(rows, options.output / "pruning.png")
    print(markdown(rows, options.shares))


if __name__ == "__main__":
    main()
