"""The language of the embedded corpus.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import numpy as np
import pytest

from speechbrain_neuronprune.corpus.grammar import (
    MAX_WORDS,
    RULES,
    draw_sentences,
    expand,
    vocabulary,
)


@pytest.fixture(scope="module")
def sentences():
    return draw_sentences(1000, np.random.RandomState(0))


def test_the_vocabulary_has_forty_words_in_lower_case():
    assert len(vocabulary()) == 40
    assert all(word.isalpha() and word.islower() for word in vocabulary())


def test_no_two_words_are_homophones():
    homophones = [{"two", "to", "too"}, {"four", "for"}, {"eight", "ate"}]
    for group in [*homophones, {"red", "read"}, {"by", "buy"}]:
        assert len(group & set(vocabulary())) <= 1


def test_every_symbol_is_reachable():
    used = " ".join(" ".join(rule) for rule in RULES.values()).split()
    assert set(RULES) - set(used) == {"SENTENCE"}


def test_sentences_have_three_to_eight_words(sentences):
    lengths = {len(sentence.split()) for sentence in sentences}
    assert lengths == set(range(3, MAX_WORDS + 1))


def test_no_sentence_comes_twice(sentences):
    assert len(set(sentences)) == len(sentences) == 1000


def test_sentences_use_every_word_and_no_other(sentences):
    assert set(" ".join(sentences).split()) == set(vocabulary())


def test_the_seed_decides(sentences):
    again = draw_sentences(1000, np.random.RandomState(0))
    other = draw_sentences(1000, np.random.RandomState(1))
    assert again == sentences != other


def test_the_stream_is_pinned():
    """A change of this sentence changes the corpus: raise mini.FORMAT."""
    [sentence] = draw_sentences(1, np.random.RandomState(0))
    assert sentence == "find five green drums"


def test_a_word_stands_for_itself():
    assert expand("river", np.random.RandomState(0)) == ["river"]


def test_late_sentences_are_no_longer_than_early_ones(sentences):
    lengths = [len(sentence.split()) for sentence in sentences]
    assert abs(np.mean(lengths[:500]) - np.mean(lengths[500:])) < 0.3
