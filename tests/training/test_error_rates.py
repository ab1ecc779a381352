from hypothesis import given
from hypothesis import strategies as st
from speechbrain.utils.metric_stats import ErrorRateStats

from speechbrain_neuronprune.training.error_rates import ErrorRates

WORDS = st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=5)


def counters():
    return ErrorRates(ErrorRateStats(), ErrorRateStats(split_tokens=True))


def distance(one, other):
    """Levenshtein's distance, by its definition."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        last, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            last, row[j] = (
                row[j],
                min(row[j] + 1, row[j - 1] + 1, last + (a != b)),
            )
    return row[-1]


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4))
def test_rates_are_edits_over_references(pairs):
    rates = counters()
    names = [str(number) for number in range(len(pairs))]
    rates.append(names, [h for h, _ in pairs], [r for _, r in pairs])
    for rate, spell in ((rates.wer, list), (rates.cer, " ".join)):
        edits = sum(distance(spell(h), spell(r)) for h, r in pairs)
        units = sum(len(spell(r)) for _, r in pairs)
        assert abs(rate - 100 * edits / units) < 1e-9


def test_nothing_recognised_is_all_deleted():
    rates = counters()
    rates.append(["a"], [[]], [["one", "two"]])
    assert rates.wer == rates.cer == 100.0


def test_errors_of_every_utterance_are_kept_for_pairs():
    rates = counters()
    rates.append(["a", "b"], [["go"], ["up"]], [["go", "on"], ["up"]])
    found = rates.as_dict()
    assert found["utterances"] == {"a": [1, 2], "b": [0, 1]}
    # " on" is missing
    assert found["characters"] == {"a": [3, 5], "b": [0, 2]}
    assert found["wer"] == rates.wer and found["cer"] == rates.cer
