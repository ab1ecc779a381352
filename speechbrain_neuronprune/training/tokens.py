"""The tokens of a recogniser: a SentencePiece model made from transcripts.

SpeechBrain's own ``SentencePiece`` knows no tokens of whole words, and does
not say which size would fit a small corpus.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import sentencepiece

from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.files import PathLike, atomic_path

TOKEN_TYPES = ("word", "unigram", "bpe", "char")


def train_tokenizer(
    texts: Iterable[str],
    path: PathLike,
    token_type: str,
    vocab_size: int,
    ends: bool = False,
) -> None:
    """Make a SentencePiece model; an existing one is kept.

    Id 0 is the unknown token, which a CTC model uses as its blank. Ids 1 and
    2 are beginning and end of an utterance, if a decoder needs them.

    Arguments
    ---------
    texts : iterable of str
        The transcripts of the training data.
    path : path-like
        Where to write the model.
    token_type : str
        ``word``, ``unigram``, ``bpe`` or ``char``.
    vocab_size : int
        How many tokens there shall be, the unknown one included; the size
        of the model's output layer.
    ends : bool
        Whether there shall be two more, for beginning and end.

    Raises
    ------
    DataError
        If the transcripts, or the existing model, do not have that many
        tokens; the message says how many they have.

    Example
    -------
    >>> path = getfixture("tmp_path") / "tokenizer.model"
    >>> train_tokenizer(["GO LEFT", "GO"], path, "word", vocab_size=3)
    >>> load_tokenizer(path).encode("GO LEFT GO")
    [1, 2, 1]
    """
    path = Path(path)
    more = 2 if ends else 0
    if path.exists():
        size = load_tokenizer(path).vocab_size() - more
        _check_size(f"{path} has", size, vocab_size, "output_folder")
        return
    if token_type not in TOKEN_TYPES:
        raise DataError(
            f"There are no tokens of type {token_type!r}; use one of "
            f"{', '.join(TOKEN_TYPES)}."
        )
    model = _train(list(texts), token_type, vocab_size + more, ends)
    size = sentencepiece.SentencePieceProcessor(model_proto=model).vocab_size()
    other = f"token_type than {token_type!r}"
    _check_size("The transcripts give", size - more, vocab_size, other)
    with atomic_path(path) as temporary:
        temporary.write_bytes(model)


def _check_size(given: str, size: int, vocab_size: int, other: str) -> None:
    """Refuse labels for which the output layer has no place."""
    if size != vocab_size:
        raise DataError(
            f"{given} {size} tokens, but vocab_size is {vocab_size}; pass "
            f"--vocab_size={size}, or choose another {other}."
        )


def _train(
    texts: list[str], token_type: str, vocab_size: int, ends: bool
) -> bytes:
    model = io.BytesIO()
    # All words or characters count: with fewer, some would be unknown.
    every = token_type in ("word", "char")
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            model_type=token_type,
            vocab_size=vocab_size,
            use_all_vocab=every,
            hard_vocab_limit=False,
            character_coverage=1.0,
            unk_id=0,
            bos_id=1 if ends else -1,
            eos_id=2 if ends else -1,
            pad_id=-1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise DataError(
            f"No {token_type} tokens can be made from {len(texts)} transcripts "
            f"with vocab_size {vocab_size} ({error}); change vocab_size or "
            "token_type."
        ) from error
    return model.getvalue()


def load_tokenizer(path: PathLike) -> sentencepiece.SentencePieceProcessor:
    """Load a SentencePiece model.

    Arguments
    ---------
    path : path-like
        A file that ``train_tokenizer`` wrote.

    Returns
    -------
    sentencepiece.SentencePieceProcessor
        With ``encode`` and ``decode_ids``.
    """
    return sentencepiece.SentencePieceProcessor(model_file=str(path))


def read_transcripts(csv_file: PathLike, column: str = "wrd") -> list[str]:
    """Read the transcripts of a data manifest.

    Arguments
    ---------
    csv_file : path-like
        A manifest in SpeechBrain's CSV format.
    column : str
        Its column with the words.

    Returns
    -------
    list of str
        One transcript per utterance.
    """
    with open(csv_file, newline="", encoding="utf-8") as file:
        return [row[column] for row in csv.DictReader(file)]
