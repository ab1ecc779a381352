"""A Conformer with a decoder: losses, searches, and the network in place.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy

import pytest
import speechbrain as sb
import torch
from speechbrain.dataio.batch import PaddedBatch

from speechbrain_neuronprune import adaptive_dropouts
from speechbrain_neuronprune.deploy.run import open_run
from tests.tiny_run import write_run

BOS, EOS = 1, 2
LABELS = ([3, 5, 4], [4])


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    changes = {"num_decoder_layers": 1, "beam_size": 2}
    write_run(folder, "conformer_transformer_mini", **changes)
    return open_run(folder)


@pytest.fixture
def brain(opened):
    opened.on_stage_start(sb.Stage.VALID)
    opened.modules.eval()
    return opened


@pytest.fixture
def batch():
    return PaddedBatch(
        [
            {
                "id": str(number),
                "sig": 0.1 * torch.randn(6000 - 1500 * number),
                "wrd": "GO",
                "tokens": torch.tensor(labels),
            }
            for number, labels in enumerate(LABELS)
        ]
    )


def test_the_decoder_learns_what_comes_next(brain, batch, monkeypatch):
    seen = {}

    def seq_cost(log_probs, targets, lengths):
        seen.update(log_probs=log_probs, targets=targets, lengths=lengths)
        return log_probs.sum()

    monkeypatch.setattr(brain.hparams, "seq_cost", seq_cost)
    given = []
    hook = brain.modules.Transformer.register_forward_pre_hook(
        lambda module, inputs: given.append(inputs[1])
    )
    predictions = brain.compute_forward(batch, sb.Stage.VALID)
    hook.remove()
    brain.compute_objectives(predictions, batch, sb.Stage.VALID)
    assert given[0].tolist() == [[BOS, 3, 5, 4], [BOS, 4, 0, 0]]
    assert seen["targets"].tolist() == [[3, 5, 4, EOS], [4, EOS, 0, 0]]
    assert (seen["lengths"] * 4).tolist() == [4, 2]
    assert seen["log_probs"].shape == (2, 4, 6)


def test_padding_has_no_influence_on_the_loss(brain, batch):
    def loss(predictions):
        return brain.compute_objectives(predictions, batch, sb.Stage.VALID)

    predictions = brain.compute_forward(batch, sb.Stage.VALID)
    *others, predicted = predictions
    spoiled = predicted.clone()
    spoiled[1, 2:] -= 7.0  # behind the end of the second
    assert torch.equal(loss(predictions), loss((*others, spoiled)))
    spoiled[1, 1] -= 7.0
    assert not torch.equal(loss(predictions), loss((*others, spoiled)))


def test_all_gates_learn(brain, batch):
    brain.modules.train()
    gates = adaptive_dropouts(brain.pruned)
    assert any(name.startswith("decoder") for name in gates)
    for gate in gates.values():
        torch.nn.init.normal_(gate.logits, mean=-0.9, std=0.1)
    predictions = brain.compute_forward(batch, sb.Stage.TRAIN)
    assert predictions[2] is None
    brain.compute_objectives(predictions, batch, sb.Stage.TRAIN).backward()
    for name, gate in gates.items():
        assert gate.logits.grad.abs().sum() > 0, name
    brain.modules.zero_grad()


def test_validation_is_greedy_and_tests_search(brain, batch, monkeypatch):
    monkeypatch.setattr(brain, "decode", lambda *args: "greedy")
    monkeypatch.setattr(brain, "search", lambda *args: "beams")
    found = {
        stage: brain.compute_forward(batch, stage)[2]
        for stage in (sb.Stage.VALID, sb.Stage.TEST)
    }
    assert list(found.values()) == ["greedy", "beams"]


def test_the_search_uses_the_network_in_place(brain, batch):
    own, calls = brain.pruned, []
    other = copy.deepcopy(own)
    other.decode = lambda *args: calls.append(1) or own.decode(*args)
    with brain.replaced(other):
        brain.compute_forward(batch, sb.Stage.TEST)
    assert calls and brain.hparams.valid_search.model is other
    before = len(calls)
    brain.compute_forward(batch, sb.Stage.TEST)
    assert len(calls) == before


def test_costs_are_those_of_the_way_to_ctc(brain):
    chain = brain.chain(brain.pruned)
    names = ["compute_features", "normalize", "CNN", "Transformer", "ctc_lin"]
    assert list(chain) == [*names, "log_softmax"]
    assert chain(torch.randn(1, 8000)).shape[-1] == 6
