"""Tokenizers of every type, and sizes that do not fit.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest

from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.training.tokens import (
    load_tokenizer,
    read_transcripts,
    train_tokenizer,
)

TEXTS = ["OPEN THE RED DOOR", "CLOSE THE DOOR", "OPEN THE WINDOW"] * 5


@pytest.mark.parametrize(
    "token_type, size",
    [("word", 7), ("char", 15), ("unigram", 17), ("bpe", 18)],
)
def test_texts_survive_encoding(tmp_path, token_type, size):
    path = tmp_path / "tokenizer.model"
    train_tokenizer(TEXTS, path, token_type, size)
    tokenizer = load_tokenizer(path)
    assert tokenizer.vocab_size() == size
    for text in TEXTS:
        tokens = tokenizer.encode(text)
        assert 0 not in tokens  # the blank
        assert tokenizer.decode_ids(tokens) == text


def test_a_decoder_has_tokens_of_beginning_and_end(tmp_path):
    path = tmp_path / "tokenizer.model"
    train_tokenizer(TEXTS, path, "word", 7, ends=True)
    tokenizer = load_tokenizer(path)
    assert (tokenizer.bos_id(), tokenizer.eos_id()) == (1, 2)
    assert tokenizer.vocab_size() == 9
    assert min(token for text in TEXTS for token in tokenizer.encode(text)) > 2
    assert tokenizer.decode_ids([1, *tokenizer.encode(TEXTS[0]), 2]) == TEXTS[0]


@pytest.mark.parametrize("size", [5, 64])
def test_a_size_that_does_not_fit_names_the_one_that_does(tmp_path, size):
    path = tmp_path / "tokenizer.model"
    with pytest.raises(DataError, match="--vocab_size=7"):
        train_tokenizer(TEXTS, path, "word", size)
    assert not list(tmp_path.iterdir())


def test_too_few_pieces_is_an_error(tmp_path):
    with pytest.raises(DataError, match="vocab_size 3"):
        train_tokenizer(TEXTS, tmp_path / "tokenizer.model", "unigram", 3)


def test_an_unknown_type_is_an_error(tmp_path):
    with pytest.raises(DataError, match="'phone'; use one of word"):
        train_tokenizer(TEXTS, tmp_path / "tokenizer.model", "phone", 10)


def test_an_existing_model_is_kept(tmp_path):
    path = tmp_path / "tokenizer.model"
    train_tokenizer(TEXTS, path, "word", 7)
    train_tokenizer(["OTHER WORDS"], path, "word", 7)
    assert load_tokenizer(path).decode_ids([1]) in " ".join(TEXTS)


@pytest.mark.parametrize("ends", [False, True])
def test_an_existing_model_of_another_size_is_refused(tmp_path, ends):
    path = tmp_path / "tokenizer.model"
    train_tokenizer(TEXTS, path, "word", 7, ends)
    with pytest.raises(DataError, match=f"{path} has 7 .*--vocab_size=7, or "):
        train_tokenizer(["OTHER WORDS"], path, "word", 3, ends)
    assert train_tokenizer(TEXTS, path, "word", 7, ends) is None


def test_transcripts_are_read_from_a_manifest(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text('ID,wrd\na,GO LEFT\nb,"STOP, NOW"\n')
    assert read_transcripts(path) == ["GO LEFT", "STOP, NOW"]
