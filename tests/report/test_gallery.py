"""Which plots there are, and in what order.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import io
import json
import shutil

import pytest
from matplotlib.image import imread

from speechbrain_neuronprune.report.canvas import to_png
from speechbrain_neuronprune.report.figures import collect_figures
from speechbrain_neuronprune.report.gallery import caption_of, draw_all

TRAINING = ["survival", "tradeoff", "progress", "logits", "histogram"]
ANALYSIS = ["saliency", "agreement", "removal-mi", "removal-obs"]


def plots_of(folder):
    return draw_all(collect_figures(folder))


def assert_drawn(plots):
    for draw in plots.values():
        image = imread(io.BytesIO(to_png(draw(), dots_per_inch=30)))
        assert image.std() > 0.01


def test_all_plots_of_a_finished_run(run_folder):
    plots = plots_of(run_folder)
    assert list(plots) == TRAINING
    assert_drawn(plots)


def test_all_plots_of_an_analysis(analysis_folder):
    plots = plots_of(analysis_folder)
    assert list(plots) == ANALYSIS
    assert_drawn(plots)


def test_all_plots_of_an_adaptation(adaptation_folder):
    plots = plots_of(adaptation_folder)
    assert list(plots) == ["adaptation"]
    assert_drawn(plots)


def test_a_folder_may_hold_all_of_it(
    run_folder, analysis_folder, adaptation_folder
):
    for folder in (analysis_folder, adaptation_folder):
        shutil.copytree(folder, run_folder, dirs_exist_ok=True)
    plots = plots_of(run_folder)
    assert list(plots) == [*TRAINING, *ANALYSIS, "adaptation"]


def test_one_criterion_agrees_with_nobody(analysis_folder):
    path = analysis_folder / "analysis.json"
    content = json.loads(path.read_text())
    content["settings"]["criteria"] = ["mi"]
    path.write_text(json.dumps(content))
    assert list(plots_of(analysis_folder)) == ["saliency", "removal-mi"]


@pytest.mark.parametrize("stem", [*TRAINING, *ANALYSIS, "adaptation"])
def test_every_plot_has_a_caption(stem):
    title, caption = caption_of(stem)
    assert title and caption.endswith(".")
    assert ("ranked by" in title) == stem.startswith("removal-")
