"""A Brain that prunes a small Conformer, saves itself and resumes.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from functools import partial

import pytest
import torch
from speechbrain.utils.epoch_loop import EpochCounter

from speechbrain_neuronprune import RetentionSchedule, attach_adaptive_dropout
from speechbrain_neuronprune.training.checkpoints import AtomicCheckpointer
from tests.toy_brain import RULE, PruningToy

ADAM = partial(torch.optim.Adam, lr=0.001, weight_decay=0.1)


@pytest.fixture
def make_brain(tmp_path, make_asr):
    def build(
        gated=True,
        epochs=2,
        settle_step=None,
        steer_size=False,
        rule=RULE,
        kind=PruningToy,
        opt_class=ADAM,
        **run_opts,
    ):
        torch.manual_seed(0)
        network = make_asr()
        if gated:
            attach_adaptive_dropout(network, RetentionSchedule(steps=4))
        counter = EpochCounter(limit=epochs)
        hparams = {
            "logits_opt_class": partial(
                torch.optim.Adam, lr=0.01, weight_decay=0.002
            ),
            "epoch_counter": counter,
            "output_folder": str(tmp_path),
            "settle_step": settle_step,
            "steer_size": steer_size,
            **rule,
        }
        return kind(
            modules={"Transformer": network},
            opt_class=opt_class,
            hparams=hparams,
            run_opts={"device": "cpu", "noprogressbar": True, **run_opts},
            checkpointer=AtomicCheckpointer(
                tmp_path / "save", {"network": network, "counter": counter}
            ),
        )

    return build
