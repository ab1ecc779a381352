"""Tables on the terminal.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Sequence


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align cells in columns: the first to the left, numbers to the right.

    Arguments
    ---------
    head : sequence of str
        Titles of the columns.
    rows : sequence of sequence of str
        Finished cells.

    Returns
    -------
    str
        Lines.

    Example
    -------
    >>> print(text_table(["size", "WER"], [["dense", "4.4"], ["0.45", "12"]]))
    size   WER
    dense  4.4
    0.45    12
    """
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(
                zip(line, widths, strict=True)
            )
        ).rstrip()
        for line in lines
    )
