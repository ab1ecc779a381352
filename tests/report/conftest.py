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


GROUPS = ("acoustic_model.fc.linear1", "acoustic_model.fc.linear2")
UNITS = 50
UNPRUNED = {"dev": 9.1, "reverb": 42.4}


def _saliency(slope):
    order = list(range(UNITS))
    values = [math.exp(slope * n / UNITS) for n in order]
    return {"order": order[::-1], "values": values, "hypo": 4, "hyper": 2}


def _summary(dead):
    return {
        "frames": 900,
        "mean": 0.4,
        "magnitude": 0.4,
        "silence": 0.31,
        "dead": dead,
        "dead_share": dead / UNITS,
    }


def _removal(split, part, share, layers, criterion, ablation="zero"):
    harm = {"none": 0, "hypo": -5, "hyper": 400, "medium": 30}.get(part, 10)
    errors = 10 * UNPRUNED[split] + harm * share * len(layers)
    return {
        "split": split,
        "part": part,
        "share": share,
        "hypo": 0.08 if part == "both" else None,
        "criterion": None if part in ("none", "random") else criterion,
        "layers": list(layers),
        "ablation": ablation,
        "units": round(share * UNITS * len(layers)),
        "word_errors": round(errors),
        "words": 1000,
        "wer": errors / 10,
        "character_errors": round(errors),
        "characters": 5000,
        "cer": errors / 50,
        "wer_difference": _difference(split, errors)
        if part != "none"
        else None,
    }


def _difference(split, errors):
    change = errors / 10 - UNPRUNED[split]
    return {"difference": change, "low": change - 0.5, "high": change + 1}


def _removals():
    for split in UNPRUNED:
        yield _removal(split, "none", 0.0, (), None)
        for layers in (GROUPS[:1], GROUPS[1:], GROUPS):
            for share in (0.04, 0.08, 0.12):
                yield _removal(split, "random", share, layers, None)
                for criterion in ("mi", "obs"):
                    for part in ("hypo", "hyper", "medium"):
                        case = (split, part, share, layers, criterion)
                        yield _removal(*case)
                        yield _removal(*case, "mean")
            for criterion in ("mi", "obs"):
                yield _removal(split, "both", 0.12, layers, criterion)


def _analysis():
    speech = {"utterances": 330, "words": 1000, "minutes": 12.5}
    return {
        "format": "speechbrain-neuronprune analysis",
        "version": 1,
        "settings": {"criteria": ["mi", "obs"], "hypo": 0.08, "hyper": 0.04},
        "ranked_on": {"name": "train", **speech},
        "splits": {
            "dev": {"role": "home", **speech},
            "reverb": {"role": "domain", **speech},
        },
        "groups": {
            group: {
                "kind": "fc",
                "units": UNITS,
                "saliency": {"mi": _saliency(9), "obs": _saliency(3)},
                "agreement": {
                    "criteria": ["mi", "obs"],
                    "matrix": [[1.0, -0.42], [-0.42, None]],
                },
                "splits": {"dev": _summary(5), "reverb": _summary(10)},
            }
            for group in GROUPS
        },
        "measurements": list(_removals()),
    }


@pytest.fixture
def analysis_folder(tmp_path):
    """The folder of a finished analysis."""
    folder = tmp_path / "analysis"
    folder.mkdir()
    (folder / "analysis.json").write_text(json.dumps(_analysis()))
    return folder


@pytest.fixture
def adaptation_folder(tmp_path):
    """The folder of a finished adaptation of two stages."""
    folder = tmp_path / "adaptation"
    folder.mkdir()
    lines = [
        {
            "stage": stage,
            "epoch": epoch,
            "step": 40 * epoch,
            "loss_train": 2 / epoch,
            "loss_held_back": 2.5 / epoch,
            "wer": {"dev": 9 + epoch / 4, "reverb": 40 - epoch},
        }
        for stage in ("neurons", "all")
        for epoch in (1, 2, 3)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "adaptation.jsonl").write_text(text)
    systems = {
        "baseline": {"dev": 9.1, "reverb": 42.4},
        "A": {"dev": 15.3, "reverb": 33.2},
        "B": {"dev": 12.6, "reverb": 32.8},
    }
    (folder / "adaptation.json").write_text(json.dumps(systems))
    return folder


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
