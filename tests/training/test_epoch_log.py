"""The log of epochs: a file that survives a kill.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest

from speechbrain_neuronprune.training.epoch_log import EpochLog


@pytest.fixture
def log(tmp_path):
    return EpochLog(tmp_path / "epochs.jsonl")


def test_a_torn_line_is_ignored_and_dropped(log):
    log.append({"epoch": 1})
    log.path.write_text(log.path.read_text() + '{"epoch": 2, "gro')
    assert log.lines() == [{"epoch": 1}]
    log.drop_after(1)
    log.append({"epoch": 2})
    assert [line["epoch"] for line in log.lines()] == [1, 2]


def test_lines_beyond_the_recovered_epoch_go(log):
    for epoch in (1, 2, 3):
        log.append({"epoch": epoch})
    log.drop_after(2)
    assert [line["epoch"] for line in log.lines()] == [1, 2]
    log.drop_after(0)
    assert log.lines() == []


def test_a_log_that_does_not_exist_is_empty(log):
    log.drop_after(3)
    assert log.lines() == []


def test_not_a_number_is_refused(log):
    with pytest.raises(ValueError):
        log.append({"epoch": 1, "train_loss": float("nan")})
    assert log.lines() == []
