"""What trainings that are compared are told.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest


@pytest.fixture
def trainings(load_benchmark):
    return load_benchmark("trainings")


def test_a_folder_is_of_one_training_only(trainings, tmp_path):
    folder = tmp_path / "dense-1"
    trainings.check_request(folder, ["a.yaml", "--number_of_epochs=25"])
    trainings.check_request(folder, ["a.yaml", "--number_of_epochs=25"])
    with pytest.raises(SystemExit, match=r"epochs=17, --number_of_epochs=25"):
        trainings.check_request(folder, ["a.yaml", "--number_of_epochs=17"])


def test_units_are_decided_at_shares_of_the_steps(trainings):
    arm = f"{trainings.PRUNED} 0.3"
    assert trainings.schedule(arm, 3040) == {
        "number_of_epochs": 38,
        "short_steps": 200,
        "hold_steps": 1216,
        "decline_steps": 304,
        "settle_step": 1596,
    }
    assert set(trainings.schedule(trainings.DENSE, 80)) == {
        "number_of_epochs",
        "short_steps",
    }


def test_a_seed_may_name_a_fold(trainings):
    options = trainings.parse(["folds/{seed}", "--lr=1"], "", ["dense"])
    assert trainings.data_folder(options, 3) == "folds/3"
    assert options.overrides == ["--lr=1"]
