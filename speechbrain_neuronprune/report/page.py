"""The report of a run: one HTML file that opens anywhere, even offline.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import base64
import sys
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from speechbrain_neuronprune.errors import DataError, NeuronPruneError
from speechbrain_neuronprune.files import PathLike, atomic_path, write_json
from speechbrain_neuronprune.report import template
from speechbrain_neuronprune.report.figures import collect_figures
from speechbrain_neuronprune.report.plots import draw_all, plot_style, to_png
from speechbrain_neuronprune.report.tables import (
    cost_table,
    facts,
    units_table,
    verdict,
)

CAPTIONS = {
    "survival": (
        "Units surviving per block and place",
        "Share of the hidden units that are kept, at the five places of every "
        "block: the hidden layers of both feed-forward modules, the query and "
        "value vectors of self-attention, and the channels of the depthwise "
        "convolution.",
    ),
    "tradeoff": (
        "Word error rate and size",
        "Filled circle: every unit open. Hollow square: the removed units at "
        "zero. Diamond: the small dense model without them.",
    ),
    "progress": (
        "Size and error over training",
        "The expected size adds up the retention probabilities of all units.",
    ),
    "logits": (
        "Retention logits over training",
        "An untouched logit follows the dashed line, c(t); the loss lifts "
        "those of the units that it wants to keep.",
    ),
    "histogram": (
        "Retention logits at the end",
        "Two separate heaps mean that the choice of units is clear-cut.",
    ),
}


def write_report(
    run_folder: PathLike, out_folder: PathLike | None = None
) -> Path:
    """Write ``report.html``, one PNG per plot and ``figures.json``.

    Arguments
    ---------
    run_folder : path-like
        The output folder of a recipe, finished or not.
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
    try:
        for stem, content in light.items():
            _write_bytes(out / f"{stem}.png", content)
        write_json(out / "figures.json", figures)
        page = render_page(figures, light, dark)
        return _write_bytes(out / "report.html", page.encode("utf-8"))
    except OSError as error:
        raise DataError(
            f"The report cannot be written to {out} ({error.strerror}); give "
            "a folder that can be written."
        ) from error


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
    results = figures["results"]
    parts = [_notes(figures["notes"])]
    if results:
        parts += [facts(results), verdict(results), cost_table(results)]
    parts += [
        _plot(stem, light[stem], dark[stem])
        for stem in CAPTIONS
        if stem in light
    ]
    if figures["units"]:
        parts.append(units_table(figures["units"], figures["units_from"]))
    return template.PAGE.substitute(
        title=escape(str(figures["name"])),
        subtitle=escape(_subtitle(figures)),
        style=template.STYLE,
        content="".join(parts),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``neuronprune-report``: write the report of a run folder.

    Arguments
    ---------
    arguments : sequence of str, optional
        The command line; that of the process by default.

    Returns
    -------
    int
        0, or 2 on bad input, which one sentence on standard error explains.
    """
    parser = argparse.ArgumentParser(
        prog="neuronprune-report",
        description="Write the HTML report of a training run.",
    )
    parser.add_argument("run_folder", help="output folder of the recipe")
    parser.add_argument(
        "--output", help="folder for the report (RUN_FOLDER/report)"
    )
    options = parser.parse_args(arguments)
    try:
        page = write_report(options.run_folder, options.output)
    except NeuronPruneError as error:
        print(f"neuronprune-report: {error}", file=sys.stderr)
        return 2
    print(page)
    return 0


def _png(draw: Callable[[], Figure], dark: bool = False) -> bytes:
    with plot_style(dark):
        return to_png(draw())


def _write_bytes(path: Path, content: bytes) -> Path:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return path


def _subtitle(figures: dict[str, Any]) -> str:
    """Say how long the run trained, and from which seed."""
    parts = []
    training = figures["training"]
    if training:
        parts.append(f"{training['epoch'][-1]} epochs")
        parts.append(f"{training['step'][-1]:,} steps")
    if figures["seed"] is not None:
        parts.append(f"seed {figures['seed']}")
    return " · ".join(parts)


def _notes(notes: list[str]) -> str:
    return "".join(
        template.VERDICT.substitute(state="off", sentence=escape(note))
        for note in notes
    )


def _plot(stem: str, light: bytes, dark: bytes) -> str:
    title, caption = CAPTIONS[stem]
    return template.PLOT.substitute(
        title=escape(title),
        caption=escape(caption),
        light=base64.b64encode(light).decode("ascii"),
        dark=base64.b64encode(dark).decode("ascii"),
    )


if __name__ == "__main__":
    sys.exit(main())
