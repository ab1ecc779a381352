"""Rows become datasets, labelled or not.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
from types import SimpleNamespace

import pytest
import torch

from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.training.dataio import (
    read_rows,
    speech_dataset,
    speech_key,
    with_tokens,
)

ROWS = {
    "a": {"wav": "a.flac", "duration": 1.0, "wrd": "GO"},
    "b": {"wav": "b.flac", "duration": 2.0, "wrd": "STOP NOW"},
}
WORDS = {"GO": 1, "STOP": 2}


def read(path):
    return torch.full((4,), float(ord(path[0])))


def tokenizer():
    return SimpleNamespace(
        encode=lambda text: [WORDS.get(word, 0) for word in text.split()]
    )


def test_unknown_tokens_are_left_out():
    rows = with_tokens(ROWS, tokenizer(), blank=0)
    assert [row["labels"] for row in rows.values()] == [[1], [2]]
    assert "labels" not in ROWS["a"]


def test_nothing_but_unknown_words():
    rows = {"c": ROWS["a"] | {"wrd": "MAYBE LATER"}}
    with pytest.raises(DataError, match="transcript of c, 'MAYBE LATER'"):
        with_tokens(ROWS | rows, tokenizer(), blank=0)


def test_the_longest_comes_first_and_rows_stay_as_they_were():
    rows = copy.deepcopy(ROWS)
    dataset = speech_dataset(rows, read)
    assert [item["id"] for item in dataset] == ["b", "a"]
    assert dataset[0]["sig"][0] == ord("b") and "tokens" not in dataset[0]
    assert rows == ROWS
    assert len(speech_dataset(rows, read)) == 2  # and again


def test_labels_become_tokens():
    dataset = speech_dataset(with_tokens(ROWS, tokenizer(), 0), read)
    assert dataset[0]["tokens"].tolist() == [2]


def test_manifests_add_up(tmp_path):
    for name in ROWS:
        (tmp_path / f"{name}.csv").write_text(
            f"ID,duration,wav,wrd\n{name},1.5,{name}.flac,GO\n"
        )
    rows = read_rows(*[tmp_path / f"{name}.csv" for name in ROWS])
    assert list(rows) == ["a", "b"] and rows["a"]["duration"] == 1.5


def test_names_that_two_manifests_share_are_refused(tmp_path):
    for name in ("phone", "noisy"):
        text = "ID,duration,wav,wrd\n1-1-0,1.0,a.flac,GO\n"
        (tmp_path / f"{name}.csv").write_text(text)
    message = "named 1-1-0 is in .*phone.csv and in .*noisy.csv; leave one"
    with pytest.raises(DataError, match=message):
        read_rows(tmp_path / "phone.csv", tmp_path / "noisy.csv")


def test_the_key_of_speech_is_that_of_its_sound_and_words(tmp_path):
    def rows(folder, sound=b"one", **changes):
        path = tmp_path / folder / "a.flac"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(sound)
        row = {"wav": str(path), "duration": "1.0", "wrd": "GO", **changes}
        return {"1-1-0": row}

    key = speech_key(rows("here"))
    assert speech_key(rows("there", duration=1.0, labels=[1])) == key
    assert speech_key(rows("here", sound=b"two")) != key
    assert speech_key(rows("here", wrd="STOP")) != key
    assert speech_key({}) != key
