"""The recognisers: learning rates, words, fast layers.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from functools import partial
from types import SimpleNamespace

import pytest
import speechbrain as sb
import torch
from speechbrain.lobes.models.convolution import ConvolutionFrontEnd
from speechbrain.nnet.CNN import Conv2d

from speechbrain_neuronprune import RetentionSchedule, attach_adaptive_dropout
from speechbrain_neuronprune.brains import AdaptiveDropoutASR
from speechbrain_neuronprune.layers.front_end import FastConv2d


@pytest.fixture
def recogniser(make_asr):
    network = attach_adaptive_dropout(make_asr(), RetentionSchedule())
    words = ["", "ONE", "TWO"]
    tokenizer = SimpleNamespace(
        decode_ids=lambda ids: " ".join(words[i] for i in ids)
    )
    return AdaptiveDropoutASR(
        modules={"Transformer": network},
        opt_class=partial(torch.optim.Adam, lr=1.0),
        hparams={
            "logits_opt_class": partial(torch.optim.Adam, lr=0.01),
            "tokenizer": tokenizer,
            "lr_annealing": lambda optimizer: optimizer.param_groups[0].update(
                lr=0.5
            ),
            "decoding_function": partial(
                sb.decoders.ctc_greedy_decode, blank_id=0
            ),
        },
        run_opts={"device": "cpu"},
    )


def test_only_the_models_learning_rate_is_annealed(recogniser):
    recogniser.init_optimizers()
    recogniser.on_fit_batch_start(batch=None, should_step=False)
    assert recogniser.optimizer.param_groups[0]["lr"] == 1.0
    recogniser.on_fit_batch_start(batch=None, should_step=True)
    assert recogniser.optimizer.param_groups[0]["lr"] == 0.5
    assert recogniser.logits_optimizer.param_groups[0]["lr"] == 0.01


def test_words_and_references(recogniser):
    assert recogniser.words([[1, 2], []]) == [["ONE", "TWO"], []]
    batch = SimpleNamespace(wrd=["ONE TWO", "TWO"])
    assert recogniser.references(batch) == [["ONE", "TWO"], ["TWO"]]


def test_decoding_stops_at_the_length(recogniser):
    best = torch.tensor([[1, 1, 0, 2, 2, 2], [2, 0, 1, 1, 1, 1]])
    log_probs = torch.nn.functional.one_hot(best, 3).float()
    lengths = torch.tensor([1.0, 1 / 3])
    assert recogniser.decode(log_probs, lengths) == [[1, 2], [2]]


def test_a_network_is_replaced_for_a_while(recogniser, make_asr):
    original, other = recogniser.pruned, make_asr().train()
    with pytest.raises(KeyboardInterrupt):
        with recogniser.replaced(other):
            assert recogniser.pruned is other and not other.training
            raise KeyboardInterrupt
    assert recogniser.pruned is original


@pytest.mark.parametrize("gated", [True, False])
def test_what_stands_before_gates_is_fast(gated, make_asr):
    network = make_asr()
    if gated:
        attach_adaptive_dropout(network, RetentionSchedule())
    front = ConvolutionFrontEnd(
        (None, None, 8), num_blocks=1, num_layers_per_block=1, residuals=[False]
    )
    AdaptiveDropoutASR(modules={"CNN": front, "Transformer": network})
    kinds = {type(part) for part in front.modules()}
    assert (FastConv2d in kinds) == gated and (Conv2d in kinds) != gated
