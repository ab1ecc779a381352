"""A tiny untrained recogniser in a model directory, and some noise to hear.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from pathlib import Path

import numpy as np
import torch
from hyperpyyaml import load_hyperpyyaml

from speechbrain_neuronprune import PruningPlan
from speechbrain_neuronprune.corpus.layout import write_chapter
from speechbrain_neuronprune.deploy import write_model_directory
from speechbrain_neuronprune.training.tokens import train_tokenizer

RECIPE = """
sample_rate: 16000
compute_features: !new:speechbrain.lobes.features.Fbank
    sample_rate: 16000
    n_fft: 400
    n_mels: 20
normalize: !new:speechbrain.processing.features.InputNormalization
    norm_type: global
{network}
log_softmax: !new:speechbrain.nnet.activations.Softmax
    apply_log: True
decoding_function: !name:speechbrain.decoders.ctc_greedy_decode
    blank_id: 0
tokenizer: !new:sentencepiece.SentencePieceProcessor
"""
TFCNN = """
acoustic_model: !new:speechbrain_neuronprune.models.TimeFrequencyCNN
    output_size: 4
    bands: 20
    context: 4
    time_filters: 2
    time_kernel: 3
    time_pool: 2
    frequency_filters: 2
    fc_layers: 3
    fc_units: 25
    subsampling: 2
"""
CONFORMER = """
CNN: !new:speechbrain.lobes.models.convolution.ConvolutionFrontEnd
    input_shape: [null, null, 20]
    num_blocks: 1
    num_layers_per_block: 1
    out_channels: [2]
    kernel_sizes: [3]
    strides: [2]
    residuals: [False]
    dropout: 0.0
Transformer: !new:speechbrain.lobes.models.transformer.TransformerASR.TransformerASR
    input_size: 20
    tgt_vocab: 4
    d_model: 16
    nhead: 2
    num_encoder_layers: 1
    num_decoder_layers: 0
    d_ffn: 25
    kernel_size: 5
    encoder_module: conformer
    attention_type: RelPosMHAXL
    normalize_before: True
    causal: False
ctc_lin: !new:speechbrain.nnet.linear.Linear
    input_size: 16
    n_neurons: 4
"""  # noqa: E501
COST = {
    "parameters": 1,
    "macs": 1,
    "latency_ms": 1.0,
    "real_time_factor": 1.0,
    "peak_memory_mb": 1.0,
}
RESULTS = {
    "name": "tiny",
    "seed": 1,
    "max_difference": 0.0,
    "splits": {},
    "cost": dict.fromkeys(("dense", "masked", "compact"), COST),
    "training": {"train_splits": "train", "steps": 0},
    "example": {"sample_rate": 16000, "seconds": 1.0, "device": "cpu"},
}
TEXTS = ("GO", "STOP LEFT", "GO GO STOP", "LEFT", "GO LEFT STOP")


def write_recogniser(
    folder: Path,
    network: str = TFCNN,
    modules: tuple[str, ...] = ("acoustic_model",),
    pruned: str = "acoustic_model",
) -> Path:
    """Write the model directory; its weights are always the same."""
    torch.manual_seed(0)
    folder.mkdir()
    recipe = RECIPE.format(network=network)
    (folder / "recipe.yaml").write_text(recipe)
    parts = load_hyperpyyaml(recipe)
    tokenizer = folder / "tokenizer.model"
    train_tokenizer(TEXTS, tokenizer, "word", vocab_size=4)
    parts["normalize"].train()(15 * torch.randn(4, 50, 20) - 20, epoch=0)
    write_model_directory(
        folder / "model",
        recipe=folder / "recipe.yaml",
        normalize=parts["normalize"],
        network={name: parts[name] for name in modules},
        pruned=pruned,
        tokenizer=tokenizer,
        plan=PruningPlan({}),
        dense=parts[pruned],
        results=RESULTS,
    )
    return folder / "model"


def write_corpus(
    folder: Path, splits: tuple[str, ...] = ("train", "dev", "reverb")
) -> Path:
    """Write splits of noise whose loudness varies; all have other noise."""
    generator = np.random.default_rng(0)
    for number, split in enumerate(splits):
        utterances = []
        for text in TEXTS:
            size = generator.integers(4000, 9000)
            wave = generator.standard_normal(size) * 2000
            wave *= 1 + np.sin(np.arange(size) / (200 + 100 * number))
            utterances.append((wave.astype(np.int16), text))
        write_chapter(folder / split, 1, 1, utterances[:2])
        write_chapter(folder / split, 2, 1, utterances[2:])
    return folder
