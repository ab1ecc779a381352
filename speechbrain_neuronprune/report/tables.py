"""The tables and the sentences about a training run.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Callable
from html import escape
from typing import Any

from speechbrain_neuronprune.report import template
from speechbrain_neuronprune.report.cells import (
    MINUS,
    compared_row,
    quotient,
    row_of,
    table_of,
    write_quantity,
    write_rate,
)

VARIANTS = ("dense", "masked", "compact")

# Key of a cost row -> its label and how its value reads.
COSTS: dict[str, tuple[str, Callable[[float], str]]] = {
    "parameters": ("Parameters", write_quantity),
    "macs": ("Multiply-accumulates", write_quantity),
    "latency_ms": ("Latency", lambda value: f"{value:.3g} ms"),
    "real_time_factor": ("Real-time factor", lambda value: f"{value:.3g}"),
    "peak_memory_mb": ("Peak memory", lambda value: f"{value:.3g} MB"),
}


def cost_table(results: dict[str, Any]) -> str:
    """Return the table of costs and error rates, with relative changes.

    Arguments
    ---------
    results : dict
        ``cost`` and ``splits`` of a run.

    Returns
    -------
    str
        A section of HTML.
    """
    cost = results["cost"]
    rows = [
        compared_row(
            label, [(cost.get(v) or {}).get(key) for v in VARIANTS], write
        )
        for key, (label, write) in COSTS.items()
    ]
    for split, rates in results["splits"].items():
        for name, kind in (("WER", rates), ("CER", rates.get("cer") or {})):
            values = [kind.get(variant) for variant in VARIANTS]
            if any(value is not None for value in values):
                rows.append(compared_row(f"{name} {split}", values, write_rate))
    table = table_of(["", *VARIANTS], rows)
    counts = ", ".join(
        f"{split} {rates['utterances']:,}"
        for split, rates in results["splits"].items()
        if rates.get("utterances")
    )
    explanation = (
        "dense: every unit open. masked: the removed units at zero. compact: "
        "the removed units gone. Small figures: change relative to dense."
        + (f" Utterances: {counts}." if counts else "")
    )
    return template.SECTION.substitute(
        title="Dense, masked and compact model",
        content=f'{table}<p class="faint">{escape(explanation)}</p>',
    )


def facts(results: dict[str, Any]) -> str:
    """Return the headline figures of the compact model.

    Arguments
    ---------
    results : dict
        ``cost`` and ``splits`` of a run.

    Returns
    -------
    str
        A row of cards in HTML.
    """
    cost = results["cost"]
    dense, compact = cost.get("dense") or {}, cost.get("compact") or {}
    cards = []
    for key, label in (("parameters", "parameters"), ("macs", "operations")):
        share = quotient(compact.get(key), dense.get(key))
        if share is not None:
            cards.append((f"{100 * share:.1f} %", f"of the dense {label}"))
    faster = quotient(dense.get("latency_ms"), compact.get("latency_ms"))
    if faster is not None:
        cards.append((f"{faster:.2f} ×", "as fast as dense"))
    for split, rates in results["splits"].items():
        if rates.get("compact") is not None:
            label = f"WER {split}, dense {write_rate(rates.get('dense'))}"
            cards.append((write_rate(rates["compact"]), label))
    content = "".join(
        template.FACT.substitute(value=escape(value), label=escape(label))
        for value, label in cards
    )
    return template.FACTS.substitute(content=content) if cards else ""


def verdict(results: dict[str, Any]) -> str:
    """Say whether masked and compact model transcribed alike.

    Arguments
    ---------
    results : dict
        ``splits`` and ``max_difference`` of a run.

    Returns
    -------
    str
        A card of HTML, or nothing where that was not compared.
    """
    counts = {
        split: (rates["identical"], rates["utterances"])
        for split, rates in results["splits"].items()
        if None not in (rates.get("identical"), rates.get("utterances"))
    }
    sentence = _identity(counts)
    if results.get("max_difference") is not None:
        difference = f"{results['max_difference']:.1e}"
        sentence += (
            " The largest difference between their outputs was "
            f"{difference.replace('-', MINUS)}."
        )
    same = all(alike == total for alike, total in counts.values())
    if not sentence:
        return ""
    return template.VERDICT.substitute(
        state="" if same else "off", sentence=escape(sentence.strip())
    )


def units_table(units: list[dict[str, Any]], source: str) -> str:
    """Return the number of units alive per block and place.

    Arguments
    ---------
    units : list of dict
        Rows with ``block``, ``place``, ``size`` and ``alive``.
    source : str
        The file which says so.

    Returns
    -------
    str
        A folded table of HTML.
    """
    places = list(dict.fromkeys(row["place"] for row in units))
    blocks: dict[int, dict[str, str]] = {}
    for row in units:
        cells = blocks.setdefault(row["block"], {})
        cells[row["place"]] = f"{row['alive']:,} / {row['size']:,}"
    rows = [
        row_of(f"block {block}", [cells.get(place, "") for place in places])
        for block, cells in blocks.items()
    ]
    return template.DETAILS.substitute(
        title=f"Units alive, as numbers (from {escape(source)})",
        content=table_of(["", *places], rows),
    )


def _identity(counts: dict[str, tuple[int, int]]) -> str:
    total = sum(number for _, number in counts.values())
    if not total:
        return ""
    alike = sum(number for number, _ in counts.values())
    if alike == total:
        return (
            f"Masked and compact model gave the same hypothesis for every one "
            f"of {total:,} utterances."
        )
    where = ", ".join(
        f"{split}: {number - same:,} of {number:,}"
        for split, (same, number) in counts.items()
        if same != number
    )
    return (
        f"Masked and compact model differ on {total - alike:,} of {total:,} "
        f"utterances ({where})."
    )
