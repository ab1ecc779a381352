"""A made-up run folder, as the recipe writes it, for the report's tests.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
import math

import pytest
import torch

from speechbrain_neuronprune.plan import PruningPlan

BLOCKS = 4
EPOCHS = 20
DENSE = 1_030_000
SITES = {
    "ffn_module1": ("ffn", 384),
    "mha_layer.query": ("query", 96),
    "mha_layer.value": ("value", 96),
    "convolution_module": ("conv", 96),
    "ffn_module2": ("ffn", 384),
}
NORMAL = (-3.0, -1.6, -0.7, 0.0, 0.7, 1.6, 3.0)


def _centre(epoch):
    """c(t): held for five epochs, then falling to -2."""
    return 10.0 - 12.0 * min(max((epoch - 5) / 12, 0.0), 1.0)


def _share(block, kind):
    """The share kept at the end: less near the input, most convolutions."""
    place = {"ffn": 0.1, "query": 0.2, "value": 0.25, "conv": 0.6}[kind]
    return min(1.0, place + 0.1 * block)


def _groups(epoch):
    falling = min(max((10.0 - _centre(epoch)) / 12, 0.0), 1.0)
    groups = {}
    for block in range(BLOCKS):
        for site, (kind, size) in SITES.items():
            kept = 1 - falling * (1 - _share(block, kind))
            groups[f"Transformer.encoder.layers.{block}.{site}"] = {
                "kind": kind,
                "size": size,
                "alive": round(kept * size),
                "retention_mean": kept,
            }
    return groups


def _histogram():
    edges = [-6 + 0.5 * i for i in range(41)]
    counts = {
        kind: [
            round(
                size * math.exp(-((edge + 2) ** 2))
                + size / 3 * math.exp(-((edge - 7) ** 2) / 4)
            )
            for edge in edges[:-1]
        ]
        for kind, size in (
            ("ffn", 900),
            ("query", 90),
            ("value", 100),
            ("conv", 80),
        )
    }
    return {"edges": edges, "counts": counts}


def _record(epoch):
    centre, groups = _centre(epoch), _groups(epoch)
    spread = 0.2 * epoch
    kept = sum(g["alive"] for g in groups.values())
    share = kept / sum(g["size"] for g in groups.values())
    return {
        "epoch": epoch,
        "step": 80 * epoch,
        "c": centre,
        "expected_parameters": DENSE * (0.08 + 0.92 * share),
        "kept_parameters": round(DENSE * (0.06 + 0.94 * share)),
        "dense_parameters": DENSE,
        "groups": groups,
        "logit_quantiles": {
            kind: [centre + spread * (q + 1) for q in NORMAL]
            for kind in ("ffn", "query", "value", "conv")
        },
        "logit_histogram": _histogram(),
        "train_loss": 3 * math.exp(-epoch / 6),
        "valid_loss": 3 * math.exp(-epoch / 6) + 0.2,
        "valid_wer": 100 * math.exp(-epoch / 5) + 4,
    }


def _results():
    def cost(parameters, macs, latency, memory):
        return {
            "parameters": parameters,
            "macs": macs,
            "latency_ms": latency,
            "real_time_factor": latency / 10_000,
            "peak_memory_mb": memory,
        }

    return {
        "name": "conformer_ctc_mini",
        "seed": 1986,
        "splits": {
            "dev": {
                "dense": 4.1,
                "masked": 4.0,
                "compact": 4.0,
                "cer": {"dense": 1.23, "masked": 1.17, "compact": 1.17},
                "utterances": 328,
                "identical": 328,
            },
            "test": {
                "dense": 4.6,
                "masked": 5.4,
                "compact": 5.4,
                "utterances": 1521,
                "identical": 1521,
            },
        },
        "max_difference": 1.9e-6,
        "cost": {
            "dense": cost(DENSE, 312_000_000, 14.2, 21.7),
            "masked": cost(DENSE, 312_000_000, 14.9, 21.8),
            "compact": cost(433_000, 131_000_000, 8.3, 11.4),
        },
    }


@pytest.fixture
def run_folder(tmp_path):
    """A finished run's folder."""
    folder = tmp_path / "conformer_ctc_mini"
    folder.mkdir()
    records = [_record(epoch) for epoch in range(1, EPOCHS + 1)]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "retention.jsonl").write_text(lines)
    (folder / "results.json").write_text(json.dumps(_results()))
    keep = {
        name: torch.arange(group["size"]) < group["alive"]
        for name, group in records[-1]["groups"].items()
    }
    PruningPlan(keep).save(folder / "plan.json")
    return folder
