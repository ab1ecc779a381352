"""A Conformer with a Transformer decoder behind it.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import Any

import speechbrain as sb
from speechbrain.dataio.dataio import append_eos_token, prepend_bos_token
from speechbrain.nnet.containers import LengthsCapableSequential
from torch import Tensor, nn

from speechbrain_neuronprune.brains.recogniser import AdaptiveDropoutASR
from speechbrain_neuronprune.processes import unwrapped


class DecoderASR(AdaptiveDropoutASR):
    """A Conformer whose decoder learns together with CTC.

    Modules: ``CNN``, ``Transformer`` (a ``TransformerASR`` with a decoder),
    ``seq_lin`` and ``ctc_lin``, the output layers of decoder and encoder.
    Hyperparameters beside those of ``CTCRecogniser``: ``seq_cost``,
    ``ctc_weight``, ``bos_index``, ``eos_index`` and ``valid_search``, a
    searcher of SpeechBrain's. The tokenizer has tokens of beginning and end
    (``train_tokenizer``).

    While it trains, validation decodes greedily by CTC, which is fast. Tests
    search beams.
    """

    network = ("CNN", "Transformer", "seq_lin", "ctc_lin")
    interface = "EncoderDecoderASR"

    def compute_forward(
        self, batch: Any, stage: sb.Stage
    ) -> tuple[Tensor, Tensor, list[list[int]] | None, Tensor]:
        """Log-posteriors of CTC, their relative lengths, but in training the
        decoded tokens, and the decoder's log-posteriors."""
        features, lengths = self.features(batch, stage)
        tokens, _ = self.labels(batch, stage)
        encoded, decoded = self.modules.Transformer(
            self.modules.CNN(features),
            prepend_bos_token(tokens, self.hparams.bos_index),
            lengths,
        )
        log_softmax = self.hparams.log_softmax
        log_probs = log_softmax(self.modules.ctc_lin(encoded))
        predicted = log_softmax(self.modules.seq_lin(decoded))
        hypotheses = None
        if stage == sb.Stage.VALID:
            hypotheses = self.decode(log_probs, lengths)
        if stage == sb.Stage.TEST:
            hypotheses = self.search(encoded, lengths)
        return log_probs, lengths, hypotheses, predicted

    def compute_objectives(
        self, predictions: tuple, batch: Any, stage: sb.Stage
    ) -> Tensor:
        """The weighted losses of CTC and decoder."""
        *by_ctc, predicted = predictions
        ctc_loss = super().compute_objectives(by_ctc, batch, stage)
        tokens, lengths = self.labels(batch, stage)
        size = tokens.shape[1]
        numbers = (lengths * size).round()
        seq_loss = self.hparams.seq_cost(
            predicted,
            append_eos_token(tokens, numbers, self.hparams.eos_index),
            (numbers + 1) / (size + 1),
        )
        weight = self.hparams.ctc_weight
        return weight * ctc_loss + (1 - weight) * seq_loss

    def search(self, encoded: Tensor, lengths: Tensor) -> list[list[int]]:
        """Token ids of every utterance, by the beam search of the network
        that is in its place at the moment."""
        searcher = self.hparams.valid_search
        searcher.model = unwrapped(self.modules.Transformer)
        return searcher(encoded, lengths)[0]

    def chain(self, pruned: nn.Module) -> LengthsCapableSequential:
        """From waveforms to the log-posteriors of CTC: a search is not one
        computation, whose cost could be told."""
        chain = super().chain(pruned)
        del chain["seq_lin"]
        return chain
