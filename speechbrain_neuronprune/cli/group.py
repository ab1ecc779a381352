"""Commands that explain bad input in one sentence.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import errno
from typing import Any

import click

from speechbrain_neuronprune.errors import NeuronPruneError


class SentenceGroup(click.Group):
    """Commands whose bad input ends in one sentence and exit status 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order in which one needs them."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except NeuronPruneError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            if error.filename is None or error.errno == errno.EPIPE:
                raise
            # Of a renaming, what was to be replaced
            path = error.filename2 or error.filename
            raise click.ClickException(
                f"{path} cannot be read or written "
                f"({error.strerror}); check the path, and who may use it."
            ) from error
