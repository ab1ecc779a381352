"""Dividing speakers into folds."""

import pytest


@pytest.fixture
def folds_of(load_benchmark):
    """The script."""
    return load_benchmark("speaker_folds")


@pytest.fixture
def corpus(tmp_path):
    """Seven speakers to divide, and one for dev."""
    speakers = {"train": "1234", "test": "567", "dev": "8"}
    for split, names in speakers.items():
        for name in names:
            (tmp_path / "data" / split / name / "1").mkdir(parents=True)
    return tmp_path / "data"


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_every_speaker_is_tested_once_and_never_heard_before(corpus, folds_of):
    folds = corpus.parent / "folds"
    folds_of.main([str(corpus), str(folds), "--folds", "3"])
    tested = [names(folds / str(n) / "test") for n in (1, 2, 3)]
    assert sorted("".join(map("".join, tested))) == list("1234567")
    for number, speakers in enumerate(tested, start=1):
        trained = names(folds / str(number) / "train")
        assert trained == set("1234567") - speakers
        assert names(folds / str(number) / "dev") == {"8"}
        assert (folds / str(number) / "train").is_dir()


def test_folds_are_of_nearly_one_size_and_drawn(folds_of):
    folds = folds_of.divide([str(n) for n in range(10)], 3)
    assert sorted(map(len, folds)) == [3, 3, 4]
    assert folds != folds_of.divide([str(n) for n in range(10)], 3, seed=1)
    assert folds == folds_of.divide([str(n) for n in reversed(range(10))], 3)


@pytest.mark.parametrize("folds", [1, 8])
def test_impossible_folds_are_refused(corpus, folds_of, folds):
    with pytest.raises(SystemExit, match="7 speakers cannot make"):
        folds_of.main(
            [str(corpus), str(corpus.parent / "x"), "--folds", str(folds)]
        )


def test_a_speaker_on_both_sides_is_refused(corpus, folds_of):
    (corpus / "test" / "1").mkdir()
    with pytest.raises(SystemExit, match="in train and in test"):
        folds_of.main([str(corpus), str(corpus.parent / "x"), "--folds", "2"])
