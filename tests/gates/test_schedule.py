"""c(t) against eq. 6, and the step's way through a checkpoint."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from speechbrain.utils.checkpoints import average_state_dicts

from speechbrain_neuronprune import AdaptiveDropout, RetentionSchedule
from speechbrain_neuronprune.errors import TrainingError


@given(
    st.floats(-5, 20),
    st.floats(0, 20),
    st.integers(1, 10**6),
    st.integers(0, 2 * 10**6),
)
def test_schedule_is_equation_6(c_end, fall, steps, t):
    c_start = c_end + fall
    schedule = RetentionSchedule(c_start, c_end, steps)
    expected = max(t / steps * c_end + (1 - t / steps) * c_start, c_end)
    assert schedule(t) == pytest.approx(expected, abs=1e-6)


def test_paper_values():
    schedule = RetentionSchedule()
    assert schedule(0) == 10.0
    assert schedule(83_333) == pytest.approx(0.0, abs=1e-4)
    assert schedule(100_000) == schedule(10**7) == -2.0


def test_hold_delays_the_decline():
    schedule = RetentionSchedule(10.0, -2.0, steps=100, hold=40)
    assert [schedule(t) for t in (0, 40, 90, 140, 500)] == [10, 10, 4, -2, -2]


def test_advance_moves_the_centre_that_gates_read():
    schedule = RetentionSchedule(10.0, -2.0, steps=10)
    for _ in range(5):
        schedule.advance()
    assert schedule.step == 5
    assert schedule.c() == float(schedule.centre) == 4.0


def test_step_is_saved_and_restored():
    schedule = RetentionSchedule(10.0, -2.0, steps=10)
    schedule.advance(7)
    fresh = RetentionSchedule(10.0, -2.0, steps=10)
    fresh.load_state_dict(schedule.state_dict())
    assert fresh.step == 7
    assert float(fresh.centre) == pytest.approx(schedule.c())


@pytest.mark.parametrize(
    "arguments, value",
    [
        ({"steps": 0}, "steps=0"),
        ({"steps": 1.5}, "steps=1.5"),
        ({"hold": -1}, "hold=-1"),
        ({"c_start": float("nan")}, "c_start=nan"),
        ({"c_start": -3.0}, "c_start=-3.0"),
    ],
)
def test_impossible_settings_are_named(arguments, value):
    with pytest.raises(TrainingError, match=value):
        RetentionSchedule(**arguments)


def test_centre_follows_the_step_setter():
    schedule = RetentionSchedule(2.0, -2.0, steps=4)
    schedule.step = 2
    assert torch.equal(schedule.centre, torch.tensor(0.0))


def test_an_offset_is_the_end_that_the_decline_leads_to():
    schedule = RetentionSchedule(10.0, -2.0, steps=10, hold=5)
    schedule.lead(-4.0, units=3)
    assert [schedule(t) for t in (0, 5, 10, 15, 90)] == [10, 10, 2, -6, -6]
    assert not schedule.ended
    schedule.advance(10)
    assert schedule.c() == float(schedule.centre) == 2.0
    schedule.advance(5)
    assert schedule.ended
    schedule.stop_steering()
    assert schedule.c() == float(schedule.centre) == -2.0
    assert schedule.units == 3  # that it was steered, a plan has to know


def test_the_offset_is_saved_and_restored():
    schedule = RetentionSchedule(10.0, -2.0, steps=10)
    schedule.advance(10)
    schedule.lead(torch.tensor(0.7), units=3)
    fresh = RetentionSchedule(10.0, -2.0, steps=10)
    fresh.load_state_dict(schedule.state_dict())
    assert fresh.units == 3
    assert torch.equal(fresh.centre, schedule.centre)


def test_averages_of_checkpoints_keep_the_step():
    """SpeechBrain adds in place, and all gates hold one schedule."""
    schedule = RetentionSchedule(steps=100)
    gates = torch.nn.ModuleList([schedule, schedule, schedule])
    states = []
    for step in (40, 42, 45):
        schedule.step = step
        schedule.lead(step / 10.0, units=step)
        states.append(gates.state_dict())
    gates.load_state_dict(average_state_dicts(states))
    assert schedule.step == schedule.units == 42
    assert float(schedule.offset) == pytest.approx(4.233, abs=1e-3)
    assert float(schedule.centre) == pytest.approx(schedule(42))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_in_half_precision_has_the_exact_centre(dtype):
    schedule = RetentionSchedule(10.0, -2.2, steps=1)
    gate = AdaptiveDropout(3, schedule=schedule)
    schedule.advance()
    schedule.lead(0.01, units=3)
    gate.to(dtype)
    assert gate.keep().all()
    assert float(schedule.offset) == pytest.approx(0.01, rel=1e-6)
    assert gate.logits.dtype == dtype
