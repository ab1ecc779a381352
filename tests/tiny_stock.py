"""A recipe as SpeechBrain's own are, tiny: it knows nothing of gates.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml, resolve_references
from speechbrain.utils.checkpoints import average_checkpoints
from torch.utils.data import DataLoader

from tests.stock_recipes import added_lines

BANDS, TOKENS, BATCHES = 20, 5, 4

RECIPE = """
seed: 1
__set_seed: !apply:torch.manual_seed [!ref <seed>]
output_folder: !PLACEHOLDER
save_folder: !ref <output_folder>/save
number_of_epochs: 3
grad_accumulation_factor: 2
avg_checkpoints: 2
d_model: 16
kernel_sizes: (3, 3)
activation: !name:torch.nn.GELU

CNN: !new:speechbrain.lobes.models.convolution.ConvolutionFrontEnd
    input_shape: (8, 10, 20)
    num_blocks: 2
    num_layers_per_block: 1
    out_channels: (4, 2)
    kernel_sizes: !ref <kernel_sizes>
    strides: (2, 2)
    residuals: (False, False)

Transformer: !new:speechbrain.lobes.models.transformer.TransformerASR.TransformerASR
    input_size: 10
    tgt_vocab: 5
    d_model: !ref <d_model>
    nhead: 2
    num_encoder_layers: 1
    num_decoder_layers: 0
    d_ffn: 24
    activation: !ref <activation>
    encoder_module: conformer
    attention_type: RelPosMHAXL
    normalize_before: True
    causal: False

ctc_lin: !new:speechbrain.nnet.linear.Linear
    input_size: !ref <d_model>
    n_neurons: 5

normalize: !new:speechbrain.processing.features.InputNormalization
    norm_type: global

modules:
    CNN: !ref <CNN>
    Transformer: !ref <Transformer>
    ctc_lin: !ref <ctc_lin>
    normalize: !ref <normalize>

model: !new:torch.nn.ModuleList
    - [!ref <CNN>, !ref <Transformer>, !ref <ctc_lin>]

ctc_cost: !name:speechbrain.nnet.losses.ctc_loss
    blank_index: 0

noam_annealing: !new:speechbrain.nnet.schedulers.NoamScheduler
    lr_initial: 0.01
    n_warmup_steps: 4

model_opt_class: !name:torch.optim.AdamW
    lr: 0.01
    betas: (0.9, 0.98)
    weight_decay: 0.1

epoch_counter: !new:speechbrain.utils.epoch_loop.EpochCounter
    limit: !ref <number_of_epochs>

checkpointer: !new:speechbrain.utils.checkpoints.Checkpointer
    checkpoints_dir: !ref <save_folder>
    recoverables:
        model: !ref <model>
        noam_scheduler: !ref <noam_annealing>
        normalizer: !ref <normalize>
        counter: !ref <epoch_counter>
"""  # noqa: E501

# What the user adds to it.
LINES = added_lines(
    "recipes/LibriSpeech/ASR/CTC/hparams/conformer_large.yaml", steps=6
)


class ASR(sb.Brain):
    """The Brain of a stock CTC recipe."""

    stop_at: int | None = None  # as if killed at this step

    def compute_forward(self, batch, stage):
        features, lengths, _, _ = (part.to(self.device) for part in batch)
        features = self.modules.normalize(
            features, lengths, epoch=self.hparams.epoch_counter.current
        )
        hidden = self.modules.CNN(features)
        encoded, _ = self.modules.Transformer(hidden, None, lengths)
        return self.modules.ctc_lin(encoded).log_softmax(-1)

    def compute_objectives(self, predictions, batch, stage):
        _, lengths, tokens, token_lengths = batch
        return self.hparams.ctc_cost(
            predictions, tokens, lengths, token_lengths
        )

    def on_fit_batch_end(self, batch, outputs, loss, should_step):
        if should_step:
            self.hparams.noam_annealing(self.optimizer)
        if self.optimizer_step == self.stop_at:
            raise KeyboardInterrupt

    def on_stage_end(self, stage, stage_loss, epoch=None):
        if stage == sb.Stage.VALID:
            self.checkpointer.save_and_keep_only(
                meta={"loss": stage_loss},
                min_keys=["loss"],
                num_to_keep=self.hparams.avg_checkpoints,
            )

    def on_evaluate_start(self, max_key=None, min_key=None):
        super().on_evaluate_start(max_key=max_key, min_key=min_key)
        found = self.checkpointer.find_checkpoints(
            max_key=max_key, min_key=min_key
        )
        average = average_checkpoints(found, recoverable_name="model")
        self.hparams.model.load_state_dict(average, strict=True)


def batches(seed: int, number: int = BATCHES) -> DataLoader:
    """Noise and labels."""
    generator = torch.Generator().manual_seed(seed)
    data = [
        (
            torch.randn(2, 40, BANDS, generator=generator),
            torch.tensor([1.0, 0.9]),
            torch.randint(1, TOKENS, (2, 3), generator=generator),
            torch.ones(2),
        )
        for _ in range(number)
    ]
    return DataLoader(data, batch_size=None)


def write_yaml(folder: Path, lines: str = LINES) -> Path:
    """The recipe with additional lines."""
    path = folder / "train.yaml"
    path.write_text(RECIPE + lines, encoding="utf-8")
    return path


def train(
    yaml: Path,
    overrides: Mapping[str, Any] | None = None,
    stop_at: int | None = None,
) -> ASR:
    """What a stock ``train.py`` does: prepare, train, evaluate."""
    text = yaml.read_text(encoding="utf-8")
    hparams = load_hyperpyyaml(text, overrides)
    output = Path(hparams["output_folder"])
    output.mkdir(parents=True, exist_ok=True)
    resolved = resolve_references(text, overrides).getvalue()
    (output / "hyperparams.yaml").write_text(resolved, encoding="utf-8")
    (output / "train.csv").write_text("ID\n", encoding="utf-8")
    (Path(hparams["save_folder"]) / "tokens.model").write_text("tokens")
    brain = ASR(
        modules=hparams["modules"],
        opt_class=hparams["model_opt_class"],
        hparams=hparams,
        run_opts={"device": "cpu", "noprogressbar": True},
        checkpointer=hparams["checkpointer"],
    )
    brain.stop_at = stop_at
    brain.fit(hparams["epoch_counter"], batches(0), batches(1, number=1))
    brain.test_loss = brain.evaluate(batches(2, number=1), min_key="loss")
    return brain


def newest(run: Path) -> Path:
    """The last checkpoint of a run."""
    return max(run.glob("save/CKPT+*"))
