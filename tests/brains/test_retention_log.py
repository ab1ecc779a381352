"""Brains that log what their gates do.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from tests.toy_brain import BATCHES, fit


def test_a_line_per_epoch_is_logged(make_brain):
    brain = make_brain(epochs=2)
    fit(brain)
    lines = brain._retention_log.lines()
    assert [line["epoch"] for line in lines] == [1, 2]
    assert [line["step"] for line in lines] == [BATCHES, 2 * BATCHES]
    assert [line["c"] for line in lines] == [-2.0, -2.0]
    assert all(line["train_loss"] > 0 for line in lines)
    assert all(line["valid_loss"] > 0 for line in lines)


def test_the_training_log_is_numbers(make_brain):
    stats = make_brain().retention_stats()
    assert stats["c"] == 10.0
    assert stats["alive ffn"] == 4 * 24
    assert stats["expected parameters"] > 0
    assert all(isinstance(value, (int, float)) for value in stats.values())


def test_lines_of_epochs_that_run_again_are_dropped(make_brain):
    fit(make_brain(epochs=1))
    brain = make_brain(epochs=2)
    brain._retention_log.append({"epoch": 2, "from": "the killed run"})
    fit(brain)
    lines = brain._retention_log.lines()
    assert [line["epoch"] for line in lines] == [1, 2]
    assert "from" not in lines[1]
