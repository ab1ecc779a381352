"""Random scores depend on the seed and the group's name only.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch

from speechbrain_neuronprune.saliency import rank_neurons


def test_a_groups_draw_does_not_depend_on_the_others(make_stack):
    stack = make_stack(5, 7, 6, 4)
    both = rank_neurons(stack, [], "random")
    alone = rank_neurons(stack, [], "random", "2")
    assert torch.equal(both["2"], alone["2"])
    assert list(alone) == ["2"]


def test_seeds_and_groups_differ(make_stack):
    stack = make_stack(5, 7, 7, 4)
    one = rank_neurons(stack, [], "random", seed=1)
    two = rank_neurons(stack, [], "random", seed=2)
    again = rank_neurons(stack, [], "random", seed=1)
    assert not torch.equal(one["0"], two["0"])
    assert not torch.equal(one["0"], one["2"])
    assert torch.equal(one["0"], again["0"])
    assert ((one["0"] >= 0) & (one["0"] < 1)).all()


def test_the_global_random_state_is_neither_read_nor_moved(make_stack):
    stack = make_stack(5, 7, 4)
    before = torch.get_rng_state()
    first = rank_neurons(stack, [], "random")["0"]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert torch.equal(first, rank_neurons(stack, [], "random")["0"])
