"""Error rates and costs of the dense, the masked and the compact model.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
import itertools
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import speechbrain as sb
import torch
from torch import nn

from speechbrain_neuronprune.compaction import (
    apply_masks,
    compact,
    remove_gates,
)
from speechbrain_neuronprune.deploy.parity import valid_difference
from speechbrain_neuronprune.errors import ExportError
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.report.cost import compare_latency, measure_cost
from speechbrain_neuronprune.training.error_rates import ErrorRates

SECONDS = 10.0  # of audio, for the costs


def make_variants(model: nn.Module, plan: PruningPlan) -> dict[str, nn.Module]:
    """Make the three networks to be compared.

    Arguments
    ---------
    model : nn.Module
        The trained network; it is not changed.
    plan : PruningPlan
        Which units stay.

    Returns
    -------
    dict of str to nn.Module
        ``dense`` with every unit open, ``masked``, and ``compact``.
    """
    return {
        "dense": remove_gates(copy.deepcopy(model)),
        "masked": apply_masks(copy.deepcopy(model), plan),
        "compact": compact(model, plan),
    }


@dataclass
class SplitScores:
    """What the variants made of one split.

    Arguments
    ---------
    errors : dict of str to ErrorRates
        Variant to its errors.
    max_difference : float
        Largest difference between the log-posteriors of the masked and the
        compact model at a valid frame.
    """

    errors: dict[str, ErrorRates]
    max_difference: float = 0.0

    def summary(self) -> dict[str, Any]:
        """Error rates, utterances and identical hypotheses, for JSON.

        Returns
        -------
        dict of str to Any
            Word error rates by variant, character error rates under ``cer``,
            both in per cent; ``utterances``, and how many of them are
            ``identical`` for the masked and the compact model.
        """
        hypotheses = {
            name: [score["hyp_tokens"] for score in errors.words.scores]
            for name, errors in self.errors.items()
        }
        pairs = list(
            zip(hypotheses["masked"], hypotheses["compact"], strict=True)
        )
        return {
            **{name: errors.wer for name, errors in self.errors.items()},
            "cer": {name: errors.cer for name, errors in self.errors.items()},
            "utterances": len(pairs),
            "identical": sum(masked == small for masked, small in pairs),
        }


@torch.no_grad()
def score_split(
    brain: sb.Brain,
    variants: Mapping[str, nn.Module],
    dataset: Any,
    loader_options: Mapping[str, Any],
) -> SplitScores:
    """Recognise a split with all variants, batch by batch; while debugging,
    its first batches.

    Arguments
    ---------
    brain : CTCRecogniser
        Computes and decodes.
    variants : mapping of str to nn.Module
        What ``make_variants`` made.
    dataset : DynamicItemDataset
        The split.
    loader_options : mapping
        Options of the data loader.

    Returns
    -------
    SplitScores
        Errors and differences.

    Raises
    ------
    ExportError
        If log-posteriors are NaN, so that nothing can be compared.
    """
    loader = brain.make_dataloader(
        dataset, sb.Stage.TEST, ckpt_prefix=None, **loader_options
    )
    scores = SplitScores({name: brain.error_rates() for name in variants})
    brain.modules.eval()
    end = brain.debug_batches if brain.debug else None
    for batch in itertools.islice(loader, end):
        outputs = {}
        for name, network in variants.items():
            with brain.replaced(network), brain.evaluation_ctx:
                outputs[name] = brain.compute_forward(batch, sb.Stage.TEST)
            scores.errors[name].append(
                batch.id,
                brain.words(outputs[name][2]),
                brain.references(batch),
            )
        if {"masked", "compact"} <= outputs.keys():
            log_probs, lengths, *_ = outputs["masked"]
            difference = valid_difference(
                log_probs, outputs["compact"][0], lengths
            )
            if math.isnan(difference):
                raise _no_numbers(batch)
            scores.max_difference = max(scores.max_difference, difference)
    return scores


def _no_numbers(batch: Any) -> ExportError:
    return ExportError(
        "The log-posteriors of the masked or the compact model are NaN for "
        f"one of the utterances {', '.join(batch.id)}; leave these out, or "
        "train the model again."
    )


def measure_costs(
    brain: sb.Brain, variants: Mapping[str, nn.Module], rounds: int = 15
) -> dict[str, dict[str, Any]]:
    """Measure the variants from waveform to posteriors.

    Latencies are taken in turns: a slow phase of the machine hits all alike.

    Arguments
    ---------
    brain : CTCRecogniser
        Has the parts that the variants share.
    variants : mapping of str to nn.Module
        What ``make_variants`` made.
    rounds : int
        Forward passes per variant.

    Returns
    -------
    dict of str to dict
        Variant to the figures of a ``Cost``.
    """
    samples = int(SECONDS * brain.hparams.sample_rate)
    example = 0.1 * torch.randn(1, samples, device=brain.device)
    recognisers = {
        name: brain.chain(network).to(brain.device).eval()
        for name, network in variants.items()
    }
    rows = {
        name: measure_cost(model, example, SECONDS, rounds=1).as_dict()
        for name, model in recognisers.items()
    }
    with torch.inference_mode():
        times = compare_latency(
            {name: partial(m, example) for name, m in recognisers.items()},
            rounds,
        )
    for name, row in rows.items():
        row["latency_ms"] = statistics.median(times[name])
        row["real_time_factor"] = row["latency_ms"] / 1000 / SECONDS
    return rows
