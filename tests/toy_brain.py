"""A small Brain that knows nothing of gates, and the same, pruning.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import speechbrain as sb
import torch

from speechbrain_neuronprune import adaptive_dropouts
from speechbrain_neuronprune.brains import AdaptiveDropoutMixin

BATCHES = 6
RULE = {"target_parameters": 0.6}


class Toy(sb.Brain):
    """An existing Brain, which knows nothing of gates."""

    def compute_forward(self, batch, stage):
        return self.modules.Transformer(batch, None)[0]

    def compute_objectives(self, predictions, batch, stage):
        return predictions.square().mean()

    def on_stage_end(self, stage, stage_loss, epoch=None):
        if stage == sb.Stage.VALID and self.checkpointer is not None:
            self.checkpointer.save_checkpoint()


class PruningToy(AdaptiveDropoutMixin, Toy):
    """The same, pruning."""


class TwofoldToy(Toy):
    """A Brain with an optimiser for every other parameter."""

    def init_optimizers(self):
        parameters = list(self.modules.parameters())
        self.optimizers_dict = {
            "even": torch.optim.SGD(parameters[::2], 0.1),
            "odd": torch.optim.Adam(parameters[1::2], 0.2),
        }


class PruningTwofoldToy(AdaptiveDropoutMixin, TwofoldToy):
    """The same, pruning."""


class BypassingToy(PruningToy):
    """One that does not ask the mixin."""

    init_optimizers = TwofoldToy.init_optimizers


def speech(batches=BATCHES):
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(2, 10, 20, generator=generator) for _ in range(batches)]


def loader(batches=BATCHES):
    return torch.utils.data.DataLoader(speech(batches), batch_size=None)


def fit(brain, batches=BATCHES):
    brain.fit(brain.hparams.epoch_counter, loader(batches), loader(1))


def logits(brain):
    gates = adaptive_dropouts(brain.pruned).values()
    return [gate.logits.detach().clone() for gate in gates]


def kill_at(step):
    calls = iter(range(1, step + 1))

    def on_fit_batch_end(batch, outputs, loss, should_step):
        if next(calls) == step:
            raise KeyboardInterrupt

    return on_fit_batch_end
