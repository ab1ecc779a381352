"""SpeechBrain's interfaces, and the yaml that each of them loads.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from dataclasses import dataclass

from speechbrain_neuronprune.deploy.in_yaml import (
    CTC_CONTEXT,
    DECODE_CTC,
    DECODE_WORDS,
)

# What all of them end with. The normaliser is a module of its own, too: only
# its own ``to`` moves its statistics, that of a chain that holds it does not.
COMMON = """    normalize: !ref <normalize>

model: !new:torch.nn.ModuleList
    - [{network}]

pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        model: !ref <model>
        normalizer: !ref <normalize>
        tokenizer: !ref <tokenizer>
"""

# What keeps the state of a stream, and puts its tokens into words.
STREAM = f"""
make_decoder_streaming_context: {CTC_CONTEXT}
make_tokenizer_streaming_context: \
!name:speechbrain.tokenizers.SentencePiece.SentencePieceDecoderStreamingContext
tokenizer_decode_streaming: {DECODE_WORDS}
"""


@dataclass(frozen=True)
class Interface:
    """What a class of ``speechbrain.inference`` reads in a directory.

    Arguments
    ---------
    name : str
        The class.
    what : str
        What its models are, for the first line of the yaml.
    use : str
        How to use it, for the card.
    after : tuple of str
        What it takes over from the recipe, behind the network.
    template : str
        The yaml that puts the parts together. ``{stages}`` are all modules of
        the network, ``{front}`` those before the Transformer and ``{encoder}``
        those up to it, as lines ``name: !ref <name>``; a Transformer is there
        as its encoder, ``encoder_wrapper``. ``{filters}`` are the references
        to the features and the front, ``{output}`` is the name of the module
        behind the Transformer, ``{network}`` all references.
    tags : tuple of (str, str)
        Which of the recipe's nodes get another tag; arguments stay.
    """

    name: str
    what: str
    use: str
    after: tuple[str, ...]
    template: str
    tags: tuple[tuple[str, str], ...] = ()


ENCODER_ASR = Interface(
    name="EncoderASR",
    what="CTC recogniser with greedy search",
    use="""\
from speechbrain.inference import EncoderASR

asr = EncoderASR.from_hparams(source="THIS_FOLDER")
print(asr.transcribe_file("speech.wav"))""",
    after=("log_softmax", "decoding_function", "tokenizer"),
    template="""
encoder: !new:speechbrain.nnet.containers.LengthsCapableSequential
    compute_features: !ref <compute_features>
    normalize: !ref <normalize>
{stages}
    log_softmax: !ref <log_softmax>

modules:
    encoder: !ref <encoder>
"""
    + COMMON,
)

# Features are normalised chunk by chunk: with global statistics as in
# training, with an utterance's own only approximately.
STREAMING_ASR = Interface(
    name="StreamingASR",
    what="CTC recogniser that hears chunk by chunk",
    use="""\
from speechbrain.inference.ASR import StreamingASR
from speechbrain.utils.dynamic_chunk_training import DynChunkTrainConfig

asr = StreamingASR.from_hparams(source="THIS_FOLDER")
chunks = DynChunkTrainConfig(chunk_size=24, left_context_size=8)
print(
    *asr.transcribe_file_streaming(
        "speech.wav", chunks, use_torchaudio_streaming=False
    ),
    sep="",
)""",
    after=("decoding_function", "tokenizer"),
    template="""
fea_streaming_extractor: !new:speechbrain.lobes.features.StreamingFeatureWrapper
    module: !new:speechbrain.nnet.containers.LengthsCapableSequential
        compute_features: !ref <compute_features>
        normalize: !ref <normalize>
{front}
    properties: !apply:speechbrain.utils.filter_analysis.stack_filter_properties
        - [{filters}]
"""
    + STREAM
    + """
modules:
    front: !ref <fea_streaming_extractor>
    enc: !ref <encoder_wrapper>
    proj_enc: !ref <{output}>
"""
    + COMMON,
    tags=(("decoding_function", DECODE_CTC),),
)

# The searcher is the recipe's for validation: the one for tests has a
# language model, which is no part of the recogniser.
ENCODER_DECODER_ASR = Interface(
    name="EncoderDecoderASR",
    what="encoder-decoder recogniser with beam search",
    use="""\
from speechbrain.inference.ASR import EncoderDecoderASR

asr = EncoderDecoderASR.from_hparams(source="THIS_FOLDER")
print(asr.transcribe_file("speech.wav"))""",
    after=("tokenizer", "valid_search"),
    template="""
encoder: !new:speechbrain.nnet.containers.LengthsCapableSequential
    compute_features: !ref <compute_features>
    normalize: !ref <normalize>
{encoder}

modules:
    encoder: !ref <encoder>
    decoder: !ref <valid_search>
"""
    + COMMON,
)

INTERFACES = {
    one.name: one for one in (ENCODER_ASR, STREAMING_ASR, ENCODER_DECODER_ASR)
}
