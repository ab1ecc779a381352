"""What the options of several commands have in common.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch

from speechbrain_neuronprune.deploy.target import is_replaceable
from speechbrain_neuronprune.errors import DataError


class CommaSeparated(click.ParamType):
    """Several values in one option, with commas between them.

    Arguments
    ---------
    convert : callable
        From the text of one value to the value.
    name : str
        What the values are, for messages.

    Example
    -------
    >>> CommaSeparated(float, "numbers").convert("2, 4.5", None, None)
    (2.0, 4.5)
    """

    def __init__(self, convert: Callable[[str], Any], name: str) -> None:
        self.one = convert
        self.name = name

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple:
        """Split and convert."""
        if not isinstance(value, str):
            return tuple(value)
        parts = [part.strip() for part in value.split(",")]
        try:
            return tuple(self.one(part) for part in parts if part)
        except ValueError:
            self.fail(f"{value!r} are no {self.name}", param, ctx)


class Device(click.ParamType):
    """A device that this machine has.

    Example
    -------
    >>> Device().convert("cpu", None, None)
    'cpu'
    """

    name = "device"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str:
        """Try the device."""
        try:
            torch.empty(0, device=value)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            self.fail(f"{value!r} cannot be used ({reason})", param, ctx)
        return value


class Size(click.ParamType):
    """How large a model shall be: a share of its parameters, or a number.

    Example
    -------
    >>> [Size().convert(text, None, None) for text in ("0.46", "50100000")]
    [0.46, 50100000]
    """

    name = "size"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int | float:
        """A whole number counts parameters, any other is a share."""
        try:
            return parse_size(value)
        except ValueError:
            self.fail(
                f"{value!r} is neither a share of the parameters, such as "
                "0.46, nor a number of them, such as 50100000",
                param,
                ctx,
            )


def parse_size(text: str | int | float) -> int | float:
    """Read a size.

    Arguments
    ---------
    text : str
        A share above 0 and up to 1, with a decimal point; or a whole number.

    Returns
    -------
    int or float
        Parameters, or a share of them.

    Raises
    ------
    ValueError
        If it is neither.

    Example
    -------
    >>> parse_size("1.0"), parse_size("1000")
    (1.0, 1000)
    """
    if str(text).isdecimal():
        return int(text)
    share = float(text)
    if not 0.0 < share <= 1.0:
        raise ValueError(text)
    return share


# Options that several commands have
on_device = click.option(
    "--device", type=Device(), default="cpu", show_default=True
)
as_json_object = click.option(
    "--json", "as_json", is_flag=True, help="Print results as one JSON object."
)
with_seed = click.option(
    "--seed", type=int, default=0, show_default=True, help="Of random draws."
)
with_average = click.option(
    "--average",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Of an experiment folder: how many of the last checkpoints to "
    "average. A run of this package's recipes says so in its yaml.",
)
with_round_to = click.option(
    "--round-to",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Keep a multiple of so many units per layer and head.",
)
with_balanced_heads = click.option(
    "--balance-heads",
    is_flag=True,
    help="Keep equally many units in every head of a layer.",
)
with_target = click.option(
    "--target",
    type=Size(),
    metavar="SIZE",
    help="Parameters that the whole model shall have: a share, such as 0.46, "
    "or a number.",
)
with_threshold = click.option(
    "--threshold", type=float, help="Units with a lower score go."
)


def output_option(metavar: str, text: str, required: bool = True) -> Callable:
    """The option that says where results go, ``-o`` or ``--output``.

    Arguments
    ---------
    metavar : str
        FILE or DIR.
    text : str
        Help.
    required : bool
        Whether it has to be given.

    Returns
    -------
    callable
        Decorates a command.
    """
    return click.option(
        "-o", "--output", required=required, metavar=metavar, help=text
    )


def exactly_one(**options: Any) -> dict[str, Any]:
    """The one of several options that was given.

    Arguments
    ---------
    **options
        Option to value, None where it was not given.

    Returns
    -------
    dict
        One entry.

    Raises
    ------
    click.UsageError
        If there are none or several.

    Example
    -------
    >>> exactly_one(target=0.4, threshold=None)
    {'target': 0.4}
    """
    given = {
        name: value for name, value in options.items() if value is not None
    }
    if len(given) != 1:
        names = ", ".join(f"--{name}" for name in options)
        raise click.UsageError(f"Give exactly one of {names}.")
    return given


def check_writable(path: str) -> Path:
    """Make sure, before any work, that something can be written.

    Arguments
    ---------
    path : str
        A file or folder that is to be written.

    Returns
    -------
    Path
        The same.

    Raises
    ------
    DataError
        If its folder is no folder, or forbidden.
    """
    folder = Path(path).absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        what = "cannot be written to" if folder.is_dir() else "is no folder"
        raise DataError(
            f"The output {path} cannot be written, as {folder} {what}; give "
            "another --output."
        )
    return Path(path)


def check_file(path: str) -> Path:
    """Make sure, before any work, that a file can be written.

    Arguments
    ---------
    path : str
        A file, which may exist.

    Returns
    -------
    Path
        The same.

    Raises
    ------
    DataError
        If it is a folder, or its folder is none, or forbidden.
    """
    if Path(path).is_dir():
        raise DataError(
            f"The output {path} is a folder; give a file as --output."
        )
    return check_writable(path)


def check_folder(path: str) -> Path:
    """Make sure that a folder can be written and nothing else is lost.

    Arguments
    ---------
    path : str
        A folder that does not exist, is empty, or holds a model directory,
        which will be replaced.

    Returns
    -------
    Path
        The same.

    Raises
    ------
    DataError
        If it is anything else.
    """
    folder = check_writable(path)
    if folder.is_file():
        raise DataError(
            f"The output {path} is a file; give a folder as --output."
        )
    if not is_replaceable(folder):
        raise DataError(
            f"The output folder {path} holds other things, which would be "
            "lost; give a new folder as --output."
        )
    return folder
