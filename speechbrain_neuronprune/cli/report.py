"""``neuronprune report``: figures and plots on one page.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json

import click

from speechbrain_neuronprune.cli.options import as_json_object, output_option
from speechbrain_neuronprune.report.page import write_report


@click.command()
@click.argument("run_folder")
@output_option(
    "DIR", "Folder for the report; RUN_FOLDER/report by default.", False
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
