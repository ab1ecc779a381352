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
        """Recognise a batch, with the decoder's predictions of its labels.

        Arguments
        ---------
        batch : Any
            The batch, with ``sig`` and ``tokens``.
        stage : sb.Stage
            Training augments, validation decodes greedily, a test searches.

        Returns
        -------
        tuple
            Log-posteriors of CTC (batch, frames, tokens), relative lengths
            (batch,), decoded token ids (None in training), and the decoder's
            log-posteriors (batch, labels, tokens).
        """
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
        """The weighted losses of CTC and decoder.

        Arguments
        ---------
        predictions : tuple
            What ``compute_forward`` gives.
        batch : Any
            The batch, with ``tokens``, and with ``wrd`` out of training.
        stage : sb.Stage
            Out of training, words and characters are counted.

        Returns
        -------
        torch.Tensor
            The loss, a scalar.
        """
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
        """Decode by beam search, with the network that is in its place at the
        moment.

        Arguments
        ---------
        encoded : torch.Tensor
            What the encoder gives, (batch, frames, features).
        lengths : torch.Tensor
            Relative lengths, (batch,).

        Returns
        -------
        list of list of int
            Token ids of every utterance.
        """
        searcher = self.hparams.valid_search
        searcher.model = unwrapped(self.modules.Transformer)
        return searcher(encoded, lengths)[0]

    def chain(self, pruned: nn.Module) -> LengthsCapableSequential:
        """From waveforms to the log-posteriors of CTC.

        A search is not one computation, whose cost could be told.

        Arguments
        ---------
        pruned : nn.Module
            What stands in place of the module with gates.

        Returns
        -------
        LengthsCapableSequential
            The stages, without the decoder's output layer.
        """
        chain = super().chain(pruned)
        del chain["seq_lin"]
        return chain
