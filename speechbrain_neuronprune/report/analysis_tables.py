"""The tables about an analysis of neurons and about an adaptation.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from html import escape
from typing import Any

from speechbrain_neuronprune.report import template
from speechbrain_neuronprune.report.cells import (
    UNKNOWN,
    compared_cell,
    compared_row,
    row_of,
    table_of,
    write_interval,
    write_rate,
)


def removal_table(analysis: dict[str, Any]) -> str:
    """Return what removing hypo and hyper neurons at the same time does.

    Arguments
    ---------
    analysis : dict
        ``splits`` with the error rates of the unpruned model, and the rows
        ``removals``.

    Returns
    -------
    str
        A section of HTML.
    """
    splits = analysis["splits"]
    rows = [row_of("unpruned", [write_rate(s["wer"]) for s in splits.values()])]
    removals: dict[str, dict[str, dict]] = {}
    for row in analysis["removals"]:
        if row["part"] == "both" and row["ablation"] == "zero":
            label = f"{row['place']}, by {row['criterion']}"
            removals.setdefault(label, {})[row["split"]] = row
    rows += [
        row_of(label, [_against(found, name, splits) for name in splits])
        for label, found in removals.items()
    ]
    hypo, hyper = (100 * analysis[part] for part in ("hypo", "hyper"))
    explanation = (
        "Word error rates. Small figures: change relative to the unpruned "
        "model; in points, with the 95 % interval of a paired bootstrap over "
        "utterances. Utterances: "
        + ", ".join(f"{n} {s['utterances']:,}" for n, s in splits.items())
        + "."
    )
    return template.SECTION.substitute(
        title=f"Without {hypo:g} % hypo and {hyper:g} % hyper neurons",
        content=table_of(["removed from", *splits], rows)
        + f'<p class="faint">{escape(explanation)}</p>',
    )


def activation_table(analysis: dict[str, Any]) -> str:
    """Return how many neurons are silent, per layer and split.

    Arguments
    ---------
    analysis : dict
        ``layers`` with activations on every split.

    Returns
    -------
    str
        A section of HTML.
    """
    splits = list(analysis["splits"])
    rows = [
        row_of(
            f"{name} ({layer['units']:,} neurons)",
            [_activity(layer["splits"][split]) for split in splits],
        )
        for name, layer in analysis["layers"].items()
    ]
    explanation = (
        "Share of the neurons that are zero in every frame (only some "
        "nonlinearities can be). Small figures: share of all activations that "
        "are zero, and mean absolute activation."
    )
    return template.SECTION.substitute(
        title="Dead neurons",
        content=table_of(["", *splits], rows)
        + f'<p class="faint">{escape(explanation)}</p>',
    )


def neurons_table(analysis: dict[str, Any]) -> str:
    """Return which neurons are hypo and hyper, by their numbers.

    Arguments
    ---------
    analysis : dict
        ``layers`` with saliencies.

    Returns
    -------
    str
        A folded table of HTML.
    """
    rows = []
    for name, layer in analysis["layers"].items():
        for criterion, one in layer["saliency"].items():
            order = one["order"]
            hyper = order[len(order) - one["hyper"] :]
            ends = (order[: one["hypo"]], hyper[::-1])
            cells = [f"<code>{escape(_numbers(u))}</code>" for u in ends]
            rows.append(row_of(f"{name}, {criterion}", cells))
    return template.DETAILS.substitute(
        title="Hypo and hyper neurons, as numbers",
        content=table_of(
            ["layer, criterion", "hypo, least first", "hyper, most first"], rows
        ),
    )


def systems_table(systems: dict[str, dict[str, float]]) -> str:
    """Return the error rates before and after adaptation.

    Arguments
    ---------
    systems : dict
        System -> split -> word error rate; the first one is the reference.

    Returns
    -------
    str
        A section of HTML.
    """
    splits = list(dict.fromkeys(s for rates in systems.values() for s in rates))
    rows = [
        compared_row(
            split, [rates.get(split) for rates in systems.values()], write_rate
        )
        for split in splits
    ]
    first = next(iter(systems))
    explanation = (
        f"Word error rates. Small figures: change relative to {first}."
    )
    return template.SECTION.substitute(
        title="Adaptation",
        content=table_of(["", *systems], rows)
        + f'<p class="faint">{escape(explanation)}</p>',
    )


def _against(found: dict[str, dict], split: str, splits: dict[str, Any]) -> str:
    row = found.get(split) or {"wer": None, "wer_difference": None}
    cell = compared_cell(row["wer"], splits[split]["wer"], write_rate)
    return cell + write_interval(row["wer_difference"])


def _activity(summary: dict[str, Any] | None) -> str:
    if summary is None:
        return UNKNOWN
    return (
        f"{100 * summary['dead_share']:.1f} %"
        f"<small>{100 * summary['silence']:.1f} % zero, "
        f"{summary['magnitude']:.3g}</small>"
    )


def _numbers(units: list[int]) -> str:
    shown = " ".join(map(str, units[:40]))
    return shown + (" …" if len(units) > 40 else "")
