"""What is remembered, and when not."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from speechbrain_neuronprune.layers import remembering
from speechbrain_neuronprune.layers.remembering import LongestTable


class Scaled:
    """Multiplies positions by a weight, and counts."""

    def __init__(self):
        self.weight, self.calls = torch.randn(4, 3), 0

    def __call__(self, positions):
        self.calls += 1
        return positions @ self.weight


def distances(length, width=4):
    """Like relative positions: those of short utterances in the middle."""
    row = torch.arange(1.0 - length, length)
    return row[:, None].expand(-1, width)[None].clone()


@pytest.fixture
def scaled():
    return Scaled()


def table(remembered, scaled, positions):
    given = remembered(scaled, positions, [scaled.weight])
    torch.testing.assert_close(given, positions @ scaled.weight)


@torch.no_grad()
def test_shorter_ones_are_parts_of_the_longest(scaled):
    remembered = LongestTable(centred=True)
    for length in (9, 9, 5, 1, 9):
        table(remembered, scaled, distances(length))
    assert scaled.calls == 1
    table(remembered, scaled, distances(10))
    table(remembered, scaled, distances(2))
    assert scaled.calls == 2


@torch.no_grad()
def test_layers_share_the_positions_not_the_tables():
    first, second = Scaled(), Scaled()
    tables = LongestTable(centred=True), LongestTable(centred=True)
    positions = distances(6)
    for _ in range(2):
        for one, scaled in zip(tables, (first, second), strict=True):
            table(one, scaled, positions)
    kept = [one._last[1] for one in tables]
    assert kept[0].positions is kept[1].positions
    assert (first.calls, second.calls) == (1, 1)


@torch.no_grad()
@pytest.mark.parametrize("what", ["weight", "positions"])
@pytest.mark.parametrize("inference", [False, True])
def test_edits_in_place_are_seen(scaled, what, inference):
    remembered = LongestTable(centred=True)
    with torch.inference_mode(inference):
        positions = distances(5)
        table(remembered, scaled, positions)
        if what == "weight":
            scaled.weight.data.add_(1.0)
        else:
            positions.add_(1.0)
        table(remembered, scaled, positions)
    assert scaled.calls == 2


@torch.no_grad()
@pytest.mark.parametrize("width", [3, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_any_place_in_memory_can_be_compared(width, dtype):
    for start in (0, 1):
        memory = torch.randn(4 * width + 1).to(dtype)
        weight = memory[start : start + 4 * width].view(4, width)
        for given in (weight, weight.mT.contiguous().mT):
            assert remembering._same(weight.clone(), given)
            changed = given.clone()
            changed[-1, -1] += 1.0
            assert not remembering._same(changed, given)


def test_numbers_of_another_kind_are_others():
    zeros = torch.zeros(2, 4, dtype=torch.float16)
    assert not remembering._same(zeros, zeros.to(torch.bfloat16))


@torch.no_grad()
def test_other_widths_do_not_push_each_other_out(scaled):
    remembered, wide = LongestTable(centred=True), LongestTable(centred=True)
    for _ in range(3):
        table(remembered, scaled, distances(5))
        wide(torch.clone, distances(5, width=7), [])
    assert scaled.calls == 1


def test_gradients_belong_to_one_pass(scaled):
    remembered = LongestTable(centred=True)
    scaled.weight.requires_grad_()
    for _ in range(2):
        remembered(scaled, distances(5), [scaled.weight]).sum().backward()
    assert scaled.calls == 2


@torch.no_grad()
def test_a_counter_of_products_sees_them_all(scaled):
    remembered = LongestTable(centred=True)
    table(remembered, scaled, distances(5))
    with FlopCounterMode(display=False) as counter:
        remembered(scaled, distances(5), [scaled.weight])
    assert counter.get_total_flops() == 2 * 9 * 4 * 3


@torch.no_grad()
def test_nothing_is_remembered_where_values_cannot_be_read(scaled):
    remembered = LongestTable(centred=True)
    scaled.weight = scaled.weight.to("meta")
    for _ in range(2):
        positions = distances(5).to("meta")
        assert remembered(scaled, positions, [scaled.weight]).shape[1] == 9
    assert scaled.calls == 2


@torch.no_grad()
def test_what_is_kept_is_bounded(scaled, monkeypatch):
    monkeypatch.setattr(remembering, "LONGEST", 9)
    remembered = LongestTable(centred=True)
    for _ in range(2):
        table(remembered, scaled, distances(6))
    assert scaled.calls == 2
    for width in range(5, 30):
        remembered(torch.clone, distances(2, width), [])
    assert len(remembering._known) <= remembering.KINDS + 1


def test_threads_get_what_is_theirs():
    remembered, weight = LongestTable(centred=True), torch.randn(4, 3)
    given = [distances(length) for length in (5, 5, 9)]

    def ask(positions):
        with torch.no_grad():
            return [
                remembered(lambda x: x @ weight, positions, [weight])
                for _ in range(100)
            ]

    with ThreadPoolExecutor(len(given)) as pool:
        for positions, tables in zip(given, pool.map(ask, given), strict=True):
            for one in tables:
                torch.testing.assert_close(one, positions @ weight)


@torch.no_grad()
def test_copies_begin_with_nothing(scaled):
    remembered = LongestTable(centred=True)
    table(remembered, scaled, distances(5))
    copied = copy.deepcopy(remembered)
    table(copied, scaled, distances(5))
    assert copied.centred and scaled.calls == 2
