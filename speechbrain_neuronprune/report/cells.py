"""Tables of the HTML report: rows, cells, and how numbers read in them.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Callable, Mapping, Sequence
from html import escape

from speechbrain_neuronprune.report import template

UNKNOWN = "–"
MINUS = "−"


def table_of(head: Sequence[str], rows: Sequence[str]) -> str:
    """Make a table.

    Arguments
    ---------
    head : sequence of str
        The columns' names, to be escaped.
    rows : sequence of str
        What ``row_of`` or ``compared_row`` made.

    Returns
    -------
    str
        HTML.
    """
    return template.TABLE.substitute(
        head="".join(f'<th scope="col">{escape(name)}</th>' for name in head),
        body="\n".join(rows),
    )


def row_of(label: str, cells: Sequence[str]) -> str:
    """Make a row of a table.

    Arguments
    ---------
    label : str
        Its first cell, to be escaped.
    cells : sequence of str
        The others, HTML.

    Returns
    -------
    str
        HTML.

    Example
    -------
    >>> row_of("a < b", ["1"])
    '<tr><th scope="row">a &lt; b</th><td>1</td></tr>'
    """
    data = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row">{escape(label)}</th>{data}</tr>'


def compared_row(
    label: str,
    values: Sequence[float | None],
    write: Callable[[float], str],
) -> str:
    """Make a row of values, and say how much each differs from the first.

    Arguments
    ---------
    label : str
        Its first cell.
    values : sequence of float
        None where unknown.
    write : callable
        From a value to its text.

    Returns
    -------
    str
        HTML.
    """
    base, *others = values
    cells = [UNKNOWN if base is None else escape(write(base))]
    cells += [compared_cell(value, base, write) for value in others]
    return row_of(label, cells)


def compared_cell(
    value: float | None, base: float | None, write: Callable[[float], str]
) -> str:
    """Write a value, and how much it differs from another; less is better.

    Arguments
    ---------
    value : float or None
        None if unknown.
    base : float or None
        What it is compared with.
    write : callable
        From a value to its text.

    Returns
    -------
    str
        The inside of a cell, HTML.

    Example
    -------
    >>> compared_cell(9.0, 10.0, write_rate)
    '9.00 %<small class="good">−10.0 %</small>'
    """
    text = UNKNOWN if value is None else escape(write(value))
    return text + _change(value, base)


def quotient(value: float | None, base: float | None) -> float | None:
    """Divide where both numbers are known and the second is not zero.

    Arguments
    ---------
    value : float or None
        Numerator.
    base : float or None
        Denominator.

    Returns
    -------
    float or None
        Their quotient.

    Example
    -------
    >>> quotient(1.0, 2.0), quotient(1.0, 0.0), quotient(None, 2.0)
    (0.5, None, None)
    """
    return None if value is None or not base else value / base


def write_rate(value: float | None) -> str:
    """Write an error rate.

    Arguments
    ---------
    value : float or None
        In per cent.

    Returns
    -------
    str
        Two decimals.

    Example
    -------
    >>> write_rate(5.4), write_rate(None)
    ('5.40 %', '–')
    """
    return UNKNOWN if value is None else f"{value:.2f} %"


def write_interval(change: Mapping[str, float] | None) -> str:
    """Write a difference of error rates and its interval.

    Arguments
    ---------
    change : mapping or None
        ``difference``, ``low`` and ``high``, in points; None if unknown.

    Returns
    -------
    str
        HTML; nothing if unknown.

    Example
    -------
    >>> write_interval({"difference": 0.5, "low": -0.25, "high": 1.25})
    '<small>+0.50 (−0.25 to +1.25)</small>'
    """
    if change is None:
        return ""
    difference, low, high = (
        f"{change[key]:+.2f}".replace("-", MINUS)
        for key in ("difference", "low", "high")
    )
    return f"<small>{difference} ({low} to {high})</small>"


def write_quantity(value: float) -> str:
    """Write a large number with three digits and a unit.

    Arguments
    ---------
    value : float
        A count.

    Returns
    -------
    str
        For instance 1.03 M.

    Example
    -------
    >>> write_quantity(1_030_000)
    '1.03 M'
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:g}"


def _change(value: float | None, base: float | None) -> str:
    ratio = quotient(value, base)
    if ratio is None:
        return ""
    percent = 100 * (ratio - 1)
    if abs(percent) < 0.05:
        return "<small>± 0 %</small>"
    sign, state = ("+", "bad") if percent > 0 else (MINUS, "good")
    return f'<small class="{state}">{sign}{abs(percent):.1f} %</small>'
