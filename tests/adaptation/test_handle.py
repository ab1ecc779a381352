"""While an adaptation is on, and what it leaves behind.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy

import pytest
import torch
from speechbrain.nnet.containers import Sequential
from speechbrain.nnet.linear import Linear
from speechbrain.nnet.normalization import BatchNorm1d
from speechbrain.processing.features import InputNormalization
from torch import nn

from speechbrain_neuronprune.adaptation.selective import selective_update
from speechbrain_neuronprune.errors import SelectionError


def start(case, **options):
    return selective_update(case.model, case.selection, **options)


def step(case, update, steps=3):
    case.train(torch.optim.SGD(update.parameters(), lr=0.5), steps)


def structure(model):
    """Everything of a model but its numbers."""
    return (
        [(name, type(module)) for name, module in model.named_modules()],
        [(n, id(p), p.requires_grad) for n, p in model.named_parameters()],
        [(n, id(b)) for n, b in model.named_buffers()],
        list(model.state_dict()),
    )


@pytest.mark.parametrize("outgoing", [False, True])
def test_undo_restores_the_starting_model(
    case, outgoing, snapshot, is_unchanged
):
    next(case.model.parameters()).requires_grad_(False)
    before, numbers = structure(case.model), snapshot(case.model)
    update = start(case, outgoing=outgoing)
    step(case, update)
    assert update.undo() is case.model
    assert structure(case.model) == before
    assert is_unchanged(case.model, numbers)


@pytest.mark.parametrize("outgoing", [False, True])
def test_finish_keeps_what_was_learned(case, outgoing):
    before, start_output = (
        structure(case.model),
        case.output(),
    )
    update = start(case, outgoing=outgoing)
    step(case, update)
    learned = case.output()
    assert update.finish() is case.model
    assert structure(case.model) == before
    assert torch.equal(case.output(), learned)
    assert not torch.equal(learned, start_output)


def test_the_starting_model_computes_the_same(case):
    expected = case.output()
    start(case, outgoing=True)
    assert torch.equal(case.output(), expected)


def test_the_state_dict_meanwhile_keeps_the_starting_values(case, snapshot):
    before = snapshot(case.model)
    step(case, start(case))
    now = case.model.state_dict()
    assert all(torch.equal(now[name], before[name]) for name in before)


def test_hooks_stay(chain):
    calls = []
    chain.model[0].register_forward_hook(lambda *_: calls.append("module"))
    chain.model[0].weight.register_hook(lambda _: calls.append("weight"))
    update = start(chain)
    chain.loss().backward()
    assert calls == ["module"]  # no gradient reaches the frozen weight
    update.undo()
    chain.loss().backward()
    assert calls == ["module", "module", "weight"]


def test_a_gradient_from_before_is_not_carried_out(
    chain, snapshot, is_unchanged
):
    chain.loss().backward()
    before = snapshot(chain.model)
    update = start(chain)
    torch.optim.SGD(chain.model.parameters(), lr=1.0).step()
    update.finish()
    assert is_unchanged(chain.model, before)


# ------------------------------------------------------------------ norms


def test_running_statistics_do_not_move_in_training(chain, snapshot):
    update = start(chain)
    chain.train(torch.optim.SGD(update.parameters(), lr=0.1))
    norm = chain.model[1]
    assert norm.training and norm.num_batches_tracked == 0
    update.undo()
    chain.forward()
    assert norm.num_batches_tracked == 1


def test_speechbrains_wrappers_and_input_normalisation():
    model = Sequential(input_shape=[None, None, 5])
    model.append(InputNormalization(), layer_name="normalize")
    model.append(Linear, n_neurons=6, layer_name="first")
    model.append(BatchNorm1d, layer_name="norm")
    model.append(nn.Sigmoid(), layer_name="act")
    model.append(Linear, n_neurons=3, layer_name="second")
    x = torch.randn(4, 7, 5)
    model(x)
    normalize, norm = model.normalize, model.norm.norm
    mean, count = normalize.glob_mean.clone(), normalize.count
    tracked = norm.num_batches_tracked.clone()
    update = selective_update(model, {"first.w": torch.arange(6) < 2})
    model(x + 1.0).mean().backward()
    assert torch.equal(normalize.glob_mean, mean)
    assert (normalize.count, norm.num_batches_tracked) == (count, tracked)
    assert all(p.grad is not None for p in update.parameters())
    update.finish()
    model(x)
    assert normalize.count > count


def test_a_norm_without_running_statistics_is_left_alone():
    norm = nn.BatchNorm1d(4, track_running_stats=False)
    model = nn.Sequential(nn.Linear(2, 4), norm, nn.Tanh(), nn.Linear(4, 1))
    expected = model(x := torch.randn(5, 2))
    selective_update(model, {"0": torch.arange(4) < 1})
    assert torch.equal(model(x), expected)


# ----------------------------------------------------- copies and devices


def test_a_copy_is_independent(case):
    update = start(case)
    model = copy.deepcopy(case.model)
    expected = case.output(model)
    step(case, update)
    assert torch.equal(case.output(model), expected)
    case.loss(model).backward()
    copied = sum(p.grad is not None for p in model.parameters())
    assert copied == len(list(update.parameters()))


def test_a_copy_with_its_handle_ends_by_itself(case, snapshot, is_unchanged):
    before = snapshot(case.model)
    update = start(case)
    step(case, update)
    twin = copy.deepcopy(update)
    assert is_unchanged(twin.undo(), before)
    assert update.active
    learned = case.output()
    assert torch.equal(case.output(update.finish()), learned)


def test_everything_moves_with_the_model(case):
    update = start(case, outgoing=True)
    case.model.to("meta")
    tensors = [*case.model.parameters(), *case.model.buffers()]
    assert all(tensor.is_meta for tensor in tensors)
    assert all(values.is_meta for values in update.parameters())


def test_another_precision(chain):
    update = start(chain)
    chain.model.double()
    chain.x = chain.x.double()
    step(chain, update)
    assert chain.forward(update.finish()).dtype == torch.float64


def test_in_distributed_training(chain, tmp_path, snapshot, is_unchanged):
    before, masks = snapshot(chain.model), chain.chosen()
    update = start(chain)
    distributed = torch.distributed
    store = distributed.FileStore(str(tmp_path / "store"), 1)
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        parallel = nn.parallel.DistributedDataParallel(chain.model)
        optimiser = torch.optim.AdamW(parallel.parameters(), lr=0.1)
        chain.loss(parallel).backward()
        optimiser.step()
    finally:
        distributed.destroy_process_group()
    update.finish()
    assert is_unchanged(chain.model, before, masks)
    assert not is_unchanged(chain.model, before)


# ------------------------------------------------------------ checkpoints


def test_training_goes_on_from_a_checkpoint(case):
    again = copy.deepcopy(case.model)
    update = start(case, outgoing=True)
    step(case, update)
    state = copy.deepcopy(update.state_dict())
    resumed = selective_update(again, case.selection, outgoing=True)
    resumed.load_state_dict(state)
    expected = case.output(update.finish())
    assert torch.equal(case.output(resumed.finish()), expected)


def test_the_models_own_checkpoint_holds_it(case):
    again = copy.deepcopy(case.model)
    step(case, start(case))
    selective_update(again, case.selection)
    again.load_state_dict(case.model.state_dict(), strict=True)
    expected = case.output()
    assert torch.equal(case.output(again), expected)


def test_a_checkpoint_of_another_selection_is_refused(chain):
    again = copy.deepcopy(chain.model)
    state = start(chain).state_dict()
    other = {"0": chain.selection["0"].roll(1), "4": chain.selection["4"]}
    update = selective_update(again, other)
    with pytest.raises(SelectionError, match="0.bias.*another selection"):
        update.load_state_dict(state)
    with pytest.raises(SelectionError, match="another selection"):
        update.load_state_dict({})


# ----------------------------------------------------------------- ending


def test_as_a_context_it_finishes(case):
    with start(case) as update:
        step(case, update)
        learned = case.output()
    assert not update.active
    assert torch.equal(case.output(), learned)


def test_as_a_context_it_undoes_when_the_block_raises(
    case, snapshot, is_unchanged
):
    before = snapshot(case.model)
    with pytest.raises(ZeroDivisionError), start(case) as update:
        step(case, update)
        raise ZeroDivisionError
    assert is_unchanged(case.model, before)


def test_a_context_may_be_ended_within(chain, snapshot, is_unchanged):
    before = snapshot(chain.model)
    with start(chain) as update:
        step(chain, update)
        update.undo()
    assert is_unchanged(chain.model, before)


@pytest.mark.parametrize("call", ["finish", "undo", "patch", "state_dict"])
def test_what_has_ended_says_so(chain, call):
    update = start(chain)
    update.finish()
    with pytest.raises(SelectionError, match=f"has ended, so it has no {call}"):
        getattr(update, call)()


# ----------------------------------------------------------------- errors


def test_twice_on_the_same_model(case):
    update = start(case)
    with pytest.raises(SelectionError, match="already being adapted; finish"):
        start(case)
    with pytest.raises(SelectionError, match="already being adapted"):
        selective_update(nn.Sequential(case.model), _prefixed(case.selection))
    update.undo()
    start(case)


def _prefixed(selection):
    return {f"0.{name}": units for name, units in selection.items()}


def test_a_shared_weight_is_refused(encoder):
    one, other = (layer.ffn_module1[1] for layer in encoder.model.layers)
    other.ffn[0].weight = one.ffn[0].weight
    # Units of which another layer has a part are no group of the model's.
    with pytest.raises(SelectionError, match="ffn_module1, which the model"):
        start(encoder)


def test_a_parametrized_weight_is_refused(encoder):
    linear = encoder.model.layers[0].ffn_module1[1].ffn[0]
    nn.utils.parametrizations.weight_norm(linear)
    with pytest.raises(SelectionError, match="weight is computed by a param"):
        start(encoder)
