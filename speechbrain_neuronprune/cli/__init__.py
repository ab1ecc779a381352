"""The command line: ``neuronprune COMMAND``.

Every command prints its results to standard output, and its progress and one
sentence about bad input to standard error. The exit status is 0, or 1 after
bad input, or 2 if the command line cannot be understood.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import logging

import click

from speechbrain_neuronprune.cli import (
    adapt,
    analyze,
    compact,
    export,
    plan,
    report,
    sweep,
    units,
)
from speechbrain_neuronprune.cli.group import SentenceGroup


@click.group(
    cls=SentenceGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="speechbrain-neuronprune")
def main() -> None:
    """Look at the neurons of a speech recogniser one by one, and remove those
    that it does not need.

    \b
    Which are there?        neuronprune units, analyze
    Which shall stay?       neuronprune plan
    A smaller model:        neuronprune compact, sweep, export
    Another domain:         neuronprune adapt
    What came of it?        neuronprune report
    """
    logging.getLogger("speechbrain").setLevel(logging.WARNING)


for module in (units, plan, compact, sweep, analyze, adapt, export, report):
    name = module.__name__.rpartition(".")[2]
    main.add_command(getattr(module, name))
