"""What adaptations gained and lost: figures, tables and a plot.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from adaptation_arms import NONE, describe
from paired import (
    Utterances,
    interval_cell,
    markdown_table,
    mean_and_spread,
    mean_cell,
    paired_difference,
    sum_by_name,
)

from speechbrain_neuronprune.files import atomic_path

REFERENCES = ("A", "random")
PLACES = ("home", "new")


def seeds_of(options: argparse.Namespace) -> range:
    """The models' seeds, counted from 1."""
    return range(1, len(options.models) + 1)


def run_folder(output: Path, seed: int, domain: str, arm: str) -> Path:
    """Where one adaptation leaves its files."""
    return output / str(seed) / domain / re.sub(r"[^\w.=+-]", "_", arm)


# ------------------------------------------------------------------ reading

# Of every model, by domain, what was measured at home and in the domain
Runs = list[dict[str, dict[str, dict]]]


def collect(options: argparse.Namespace) -> dict[str, Runs]:
    """Row name to what was measured; the first row is before adaptation."""
    table: dict[str, Runs] = {NONE: []}
    for arm in options.arms:
        runs = [
            {
                domain: read_run(options, seed, domain, arm)
                for domain in options.domains
            }
            for seed in seeds_of(options)
        ]
        table[NONE] = table[NONE] or [part(run, "before") for run in runs]
        table[arm] = [part(run, "after") for run in runs]
    return table


def read_run(
    options: argparse.Namespace, seed: int, domain: str, arm: str
) -> dict[str, dict[str, dict]]:
    """What one adaptation measured: before and after, at home and new."""
    folder = run_folder(options.output, seed, domain, arm)
    path = folder / "adaptation.json"
    results = json.loads(path.read_text(encoding="utf-8"))
    return {
        when: {
            place: results[when][f"{name}/{options.tests}"]
            for place, name in zip(PLACES, ("home", "target"), strict=True)
        }
        for when in ("before", "after")
    }


def part(run: dict[str, dict], when: str) -> dict[str, dict]:
    """Before or after, for all domains."""
    return {domain: results[when] for domain, results in run.items()}


def rates(runs: Runs, place: str) -> list[float]:
    """Every model's WER at home or in the new domains: the mean over
    domains."""
    return [
        float(np.mean([results[place]["wer"] for results in run.values()]))
        for run in runs
    ]


def utterances(runs: Runs, place: str) -> list[Utterances]:
    """Errors and words of every run by utterance, summed over domains.

    Utterances of one name are one: at home they are the same, and domains are
    often copies of the same recordings. Counted as several, they would make
    the intervals too narrow.
    """
    return [
        sum_by_name(results[place]["utterances"] for results in run.values())
        for run in runs
    ]


def figures(table: dict[str, Runs], name: str, place: str) -> dict[str, Any]:
    """A row's error rate at home or in the new domains: in percent, as a
    change in percent of that before, and compared with other rows."""
    runs = table[name]
    found = rates(runs, place)
    return {
        **mean_and_spread(found),
        "change": relative_change(found, rates(table[NONE], place)),
        **{
            f"to {other}": paired_difference(
                utterances(runs, place), utterances(table[other], place)
            )
            for other in REFERENCES
            if other in table and other != name
        },
    }


def relative_change(
    after: Sequence[float], before: Sequence[float]
) -> dict[str, Any] | None:
    """In percent of what was before; None if there were no errors."""
    if not all(before):
        return None
    pairs = zip(after, before, strict=True)
    return mean_and_spread(
        [100 * (one - other) / other for one, other in pairs]
    )


def summarize(options: argparse.Namespace) -> dict[str, Any]:
    """Every row's error rates, changes and differences."""
    table = collect(options)
    rows = {}
    for name, runs in table.items():
        rows[name] = {
            "learns": describe(name),
            **{place: figures(table, name, place) for place in PLACES},
            "domains": {
                domain: mean_and_spread(
                    [run[domain]["new"]["wer"] for run in runs]
                )
                for domain in options.domains
            },
        }
    _compare_losses(rows)
    return {
        "models": [str(model) for model in options.models],
        "domains": list(options.domains),
        "tests": options.tests,
        "rows": rows,
    }


def _compare_losses(rows: dict[str, Any]) -> None:
    """What is lost at home, as a share of what A loses, if it does."""
    before = rows[NONE]["home"]["mean"]
    whole = rows["A"]["home"]["mean"] - before if "A" in rows else 0.0
    for row in rows.values():
        lost = row["home"]["mean"] - before
        row["home"]["loss of A's"] = lost / whole if whole > 0 else None


# ------------------------------------------------------------------ showing


def markdown(summary: dict[str, Any]) -> str:
    """The table of all arms, and that of arms and domains."""
    return "\n\n".join([arms_table(summary), domains_table(summary)])


def arms_table(summary: dict[str, Any]) -> str:
    """Home and the mean over domains, one line per arm."""
    head = ["arm", "learns", "home WER", "change, %", "loss, of A's"]
    head += ["home: to A", "new WER", "change, %", "new: to A"]
    head += ["new: to random"]
    lines = []
    for name, row in summary["rows"].items():
        home, new = row["home"], row["new"]
        share = home["loss of A's"]
        lines.append(
            [
                name,
                row["learns"],
                mean_cell(home),
                change_cell(home["change"]),
                "" if share is None else f"{share:.0%}",
                interval_cell(home.get("to A")),
                mean_cell(new),
                change_cell(new["change"]),
                interval_cell(new.get("to A")),
                interval_cell(new.get("to random")),
            ]
        )
    return markdown_table(head, lines)


def change_cell(change: dict[str, float] | None) -> str:
    """A change in percent and its spread in a cell of a table, or nothing."""
    if change is None:
        return ""
    return f"{change['mean']:+.1f} ± {change['spread']:.1f}"


def domains_table(summary: dict[str, Any]) -> str:
    """The error rate of every arm in every domain."""
    lines = [
        [name, *[mean_cell(rate) for rate in row["domains"].values()]]
        for name, row in summary["rows"].items()
    ]
    return markdown_table(["arm", *summary["domains"]], lines)


def plot(summary: dict[str, Any], path: Path) -> None:
    """What is gained in new domains over what is lost at home."""
    figure, axis = plt.subplots(figsize=(7, 5))
    for name, row in summary["rows"].items():
        home, new = row["home"]["change"], row["new"]["change"]
        if home is None or new is None:
            continue
        axis.errorbar(
            home["mean"],
            new["mean"],
            new["spread"],
            home["spread"],
            marker="o",
            capsize=3,
        )
        axis.annotate(
            name,
            (home["mean"], new["mean"]),
            xytext=(5, 5),
            textcoords="offset points",
        )
    axis.set_xlabel("change of the word error rate at home, %")
    axis.set_ylabel("change in new domains, %")
    axis.grid(alpha=0.3)
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
    plt.close(figure)
