"""The report of a run: one HTML file that opens anywhere, even offline.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import base64
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from speechbrain_neuronprune.files import (
    PathLike,
    atomic_path,
    write_json,
    writing,
)
from speechbrain_neuronprune.report import template
from speechbrain_neuronprune.report.analysis_tables import (
    activation_table,
    neurons_table,
    removal_table,
    systems_table,
)
from speechbrain_neuronprune.report.canvas import plot_style, to_png
from speechbrain_neuronprune.report.figures import collect_figures
from speechbrain_neuronprune.report.gallery import caption_of, draw_all
from speechbrain_neuronprune.report.tables import (
    cost_table,
    facts,
    units_table,
    verdict,
)


def write_report(
    run_folder: PathLike, out_folder: PathLike | None = None
) -> Path:
    """Write ``report.html``, one PNG per plot and ``figures.json``.

    Arguments
    ---------
    run_folder : path-like
        The output folder of a training run, an analysis or an adaptation,
        finished or not.
    out_folder : path-like, optional
        Where to write; by default ``report`` inside the run folder.

    Returns
    -------
    Path
        The HTML file.

    Raises
    ------
    DataError
        If the folder is not a run, is damaged, or cannot be written.
    """
    figures = collect_figures(run_folder)
    out = Path(run_folder, "report") if out_folder is None else Path(out_folder)
    plots = draw_all(figures)
    light = {stem: _png(draw) for stem, draw in plots.items()}
    dark = {stem: _png(draw, dark=True) for stem, draw in plots.items()}
    with writing("The report", out):
        for stem, content in light.items():
            _write_bytes(out / f"{stem}.png", content)
        write_json(out / "figures.json", figures)
        page = render_page(figures, light, dark)
        return _write_bytes(out / "report.html", page.encode("utf-8"))


def render_page(
    figures: dict[str, Any],
    light: dict[str, bytes],
    dark: dict[str, bytes] | None = None,
) -> str:
    """Return the whole page as HTML, plots embedded.

    Arguments
    ---------
    figures : dict
        What ``collect_figures`` returned.
    light : dict
        Stem -> PNG of each plot, for a light background.
    dark : dict, optional
        The same for a dark background; the light ones serve otherwise.

    Returns
    -------
    str
        HTML that refers to nothing outside itself.
    """
    dark = light if dark is None else dark
    parts = [_notes(figures["notes"]), *_tables(figures)]
    parts += [_plot(stem, light[stem], dark[stem]) for stem in light]
    parts += _details(figures)
    return template.PAGE.substitute(
        title=escape(str(figures["name"])),
        subtitle=escape(_subtitle(figures)),
        style=template.STYLE,
        content="".join(parts),
    )


def _png(draw: Callable[[], Figure], dark: bool = False) -> bytes:
    with plot_style(dark):
        return to_png(draw())


def _write_bytes(path: Path, content: bytes) -> Path:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return path


def _tables(figures: dict[str, Any]) -> list[str]:
    """What stands above the plots."""
    tables = []
    results, analysis = figures["results"], figures["analysis"]
    if results:
        tables += [facts(results), verdict(results), cost_table(results)]
    if figures["adaptation"]["systems"]:
        tables.append(systems_table(figures["adaptation"]["systems"]))
    if analysis:
        tables += [removal_table(analysis), activation_table(analysis)]
    return tables


def _details(figures: dict[str, Any]) -> list[str]:
    """What stands below the plots, folded."""
    details = []
    if figures["units"]:
        details.append(units_table(figures["units"], figures["units_from"]))
    if figures["analysis"]:
        details.append(neurons_table(figures["analysis"]))
    return details


def _subtitle(figures: dict[str, Any]) -> str:
    """Say how long the run trained, from which seed, and what was ranked."""
    parts = []
    training, analysis = figures["training"], figures["analysis"]
    if training:
        parts.append(f"{training['epoch'][-1]} epochs")
        parts.append(f"{training['step'][-1]:,} steps")
    if figures["seed"] is not None:
        parts.append(f"seed {figures['seed']}")
    if analysis:
        neurons = sum(one["units"] for one in analysis["layers"].values())
        speech = analysis["ranked_on"]
        parts.append(f"{neurons:,} neurons")
        parts.append(
            f"ranked on {speech['minutes']:.3g} min of {speech['name']}"
        )
    return " · ".join(parts)


def _notes(notes: list[str]) -> str:
    return "".join(
        template.VERDICT.substitute(state="off", sentence=escape(note))
        for note in notes
    )


def _plot(stem: str, light: bytes, dark: bytes) -> str:
    title, caption = caption_of(stem)
    return template.PLOT.substitute(
        title=escape(title),
        caption=escape(caption),
        light=base64.b64encode(light).decode("ascii"),
        dark=base64.b64encode(dark).decode("ascii"),
    )
