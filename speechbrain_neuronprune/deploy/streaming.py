"""Greedy CTC decoding and words, chunk by chunk.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from dataclasses import dataclass
from itertools import pairwise

from sentencepiece import SentencePieceProcessor
from speechbrain.tokenizers.SentencePiece import (
    SentencePieceDecoderStreamingContext,
)
from torch import Tensor

WORD = "\u2581"  # how SentencePiece marks the beginning of a word


@dataclass
class CTCStreamingContext:
    """What a chunk must know of the chunks before.

    Arguments
    ---------
    last : list of int, optional
        The best token of each utterance's last frame; None before the first.
    """

    last: list[int] | None = None


def ctc_greedy_decode_streaming(
    log_probs: Tensor, context: CTCStreamingContext, blank_id: int
) -> list[list[int]]:
    """Decode a chunk, going on where the last one ended.

    Chunk after chunk it gives what ``ctc_greedy_decode`` gives at once.

    Arguments
    ---------
    log_probs : torch.Tensor
        Log-posteriors or logits of the chunk, (batch, frames, tokens).
    context : CTCStreamingContext
        Of the stream; changed in place.
    blank_id : int
        CTC's blank.

    Returns
    -------
    list of list of int
        The tokens that are new in each utterance.

    Example
    -------
    >>> import torch
    >>> context = CTCStreamingContext()
    >>> frames = torch.eye(3)[torch.tensor([[0, 2, 2], [2, 0, 1]])]
    >>> ctc_greedy_decode_streaming(frames[:1], context, blank_id=0)
    [[2]]
    >>> ctc_greedy_decode_streaming(frames[1:], context, blank_id=0)
    [[1]]
    """
    chunk = log_probs.argmax(-1).tolist()
    last = context.last or [blank_id] * len(chunk)
    best = [[old, *frames] for old, frames in zip(last, chunk, strict=True)]
    context.last = [frames[-1] for frames in best]
    return [
        [new for old, new in pairwise(frames) if new not in (old, blank_id)]
        for frames in best
    ]


def decode_words_streaming(
    tokenizer: SentencePieceProcessor,
    tokens: list[int],
    context: SentencePieceDecoderStreamingContext,
) -> str:
    """Put a chunk's tokens into words, to be appended to those before.

    SpeechBrain's ``spm_decode_preserve_leading_space`` does the same, but
    asks for a kind of answer that SentencePiece 0.2.3 no longer gives.

    Arguments
    ---------
    tokenizer : SentencePieceProcessor
        The recogniser's.
    tokens : list of int
        The new tokens.
    context : SentencePieceDecoderStreamingContext
        Of the stream; changed in place.

    Returns
    -------
    str
        Begins with a blank if a new word does, but for the first.
    """
    if not tokens:
        return ""
    begins = tokenizer.id_to_piece(tokens[0]).startswith(WORD)
    blank = " " if begins and context.emitted_symbol_count else ""
    context.emitted_symbol_count += len(tokens)
    return blank + tokenizer.decode_ids(tokens)
