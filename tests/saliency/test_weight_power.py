"""MBP equals its formula; no speech is read.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest

from speechbrain_neuronprune.saliency import rank_neurons


@pytest.mark.parametrize("outgoing", [False, True])
def test_weight_power_equals_a_loop(make_stack, outgoing):
    stack = make_stack(5, 7, 4)
    scores = rank_neurons(stack, [], "mbp", outgoing=outgoing)["0"]
    entering, leaving = stack[0].weight.tolist(), stack[2].weight.tolist()
    for unit in range(7):
        power = sum(w * w for w in entering[unit])
        if outgoing:
            power += sum(row[unit] ** 2 for row in leaving)
        assert scores[unit].item() == pytest.approx(power, rel=1e-6)
