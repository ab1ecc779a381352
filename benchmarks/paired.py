"""Word error rates over seeds, their paired differences, and tables of both.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from speechbrain_neuronprune.analysis.intervals import rate_difference

# Of every utterance of a run, its errors and its words
Utterances = Mapping[str, Sequence[int]]

RESAMPLES = 10_000


def pooled(runs: Sequence[Utterances]) -> tuple[np.ndarray, np.ndarray]:
    """Sum over runs, by utterance.

    Arguments
    ---------
    runs : sequence of mapping
        Of one run per seed, on the same speech or, in cross-validation, on
        other speech.

    Returns
    -------
    tuple of np.ndarray
        Errors (utterances,) and words (utterances,), ordered by name.
    """
    total = sum_by_name(runs)
    counts = np.array([total[name] for name in sorted(total)])
    return counts[:, 0], counts[:, 1]


def sum_by_name(parts: Iterable[Utterances]) -> Utterances:
    """Errors and words of all parts together.

    Arguments
    ---------
    parts : iterable of mapping
        Their utterances may differ; those of one name are added up.

    Returns
    -------
    dict of str to list of int
        Errors and words.
    """
    total: dict[str, list[int]] = {}
    for part in parts:
        for name, counts in part.items():
            before = total.get(name, [0, 0])
            total[name] = [a + b for a, b in zip(before, counts, strict=True)]
    return total


def paired_difference(
    one: Sequence[Utterances], other: Sequence[Utterances]
) -> dict[str, float]:
    """WER of ``one`` less that of ``other``, with a 95 % interval.

    Pooled over seeds; the bootstrap draws utterances, the same for both.

    Arguments
    ---------
    one : sequence of mapping
        See ``pooled``.
    other : sequence of mapping
        As many runs, on the same utterances.

    Returns
    -------
    dict of str to float
        ``difference``, ``low`` and ``high``, in percent of the words.
    """
    (errors, words), (others, _) = pooled(one), pooled(other)
    return rate_difference(errors, others, words, RESAMPLES)


def mean_and_spread(values: Sequence[float]) -> dict[str, float | list[float]]:
    """Over seeds.

    Arguments
    ---------
    values : sequence of float
        One per seed.

    Returns
    -------
    dict
        The ``seeds``' values, their ``mean``, and their ``spread`` (standard
        deviation; 0 for one seed).
    """
    spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
    return {
        "seeds": list(values),
        "mean": float(np.mean(values)),
        "spread": float(spread),
    }


def mean_cell(rate: Mapping[str, float]) -> str:
    """A mean and its spread in a cell of a table."""
    return f"{rate['mean']:.2f} ± {rate['spread']:.2f}"


def interval_cell(gap: Mapping[str, float] | None) -> str:
    """A difference and its interval in a cell of a table, or nothing."""
    if gap is None:
        return ""
    return f"{gap['difference']:+.2f} [{gap['low']:+.2f}, {gap['high']:+.2f}]"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of finished cells."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
