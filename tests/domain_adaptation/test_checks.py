"""Settings that cannot work are refused before anything begins.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from dataclasses import replace

import pytest

from speechbrain_neuronprune.domain_adaptation.checks import check_replay
from speechbrain_neuronprune.errors import SelectionError
from tests.tiny_adaptation import as_model, labelled_rows


@pytest.mark.parametrize("warmup", [-0.1, 1.0])
def test_a_warmup_must_leave_steps(adaptation, warmup):
    with pytest.raises(SelectionError, match=f"warmup={warmup} of the steps"):
        adaptation(warmup=warmup).run()


def test_a_start_cannot_count_where_the_last_state_is_taken(adaptation):
    with pytest.raises(SelectionError, match="set start_counts to False"):
        adaptation(start_counts=True).run()


def test_replayed_speech_will_do_without_home(adaptation):
    one = as_model(adaptation(), "E")
    with pytest.raises(SelectionError, match="or replay_folder and replay_spl"):
        check_replay("E", one.stages, one.speech)
    one.speech = replace(one.speech, replayed=labelled_rows(4, "alike"))
    check_replay("E", one.stages, one.speech)


def test_layers_that_the_model_lacks_are_those_of_the_yaml(adaptation):
    one = adaptation(layers=["*linear9"])
    with pytest.raises(SelectionError, match=r"layers=\['\*linear9'\] do not"):
        one.run()
    assert not (one.folder / "request.json").exists()
