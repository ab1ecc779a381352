"""The model card: what a compact model is, and its figures.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Mapping
from typing import Any

from speechbrain_neuronprune.deploy.interfaces import ENCODER_ASR, Interface

CARD = """\
# {name}

A {what}.{pruning}

## Use

```python
{use}
```

The package speechbrain-neuronprune must be installed. Input is speech at
{sample_rate} Hz, one channel; other files are resampled.

## Size and speed

| | parameters | MACs | latency | real-time factor | peak memory |
| --- | ---: | ---: | ---: | ---: | ---: |
{costs}

One utterance of {seconds:g} s, from waveform to posteriors, on {device}.
"Dense" is the trained network with all its units, "masked" the same with the
removed units at zero, "compact" this model.

## Word error rate (character error rate), %

{measured}

## Training

Splits {train_splits}; seed {seed}; {steps} optimizer steps. `plan.json` says
which units of the dense network stayed.
"""

MEASURED = """\
| split | utterances | dense | masked | compact |
| --- | ---: | ---: | ---: | ---: |
{splits}

The largest difference between the log-posteriors of the masked and the
compact model is {max_difference:.1e}."""

UNMEASURED = "Not measured when this model was made."

PRUNING = """ It was pruned to
**{share:.1%}** of its parameters{how}.
The removed units are gone, not masked."""

ADAPTIVE_DROPOUT = """ by adaptive dropout while it was
trained (Kubo, Cai, Bacchiani: "Adaptive Dropout for Pruning Conformers",
arXiv 2412.04836)"""

ADAPTED = """\
# {name}

The recogniser "{start}", adapted to other speech without labels (model
{model} of Mitra, Franco: "Investigation and Analysis of Hyper and Hypo neuron
pruning", arXiv 2001.01755; neurons: {neurons} by {criterion}; seed {seed}).
It is loaded like the one it was made from.

## Word error rate, %

| split | before | after |
| --- | ---: | ---: |
{splits}
"""


def adapted_card(name: str, start: str, results: Mapping[str, Any]) -> str:
    """Write the card of an adapted model.

    Arguments
    ---------
    name : str
        Of the experiment.
    start : str
        The starting model's directory.
    results : mapping
        What ``adaptation.json`` holds.

    Returns
    -------
    str
        Markdown.
    """
    splits = "\n".join(
        f"| {split} | {before['wer']:.2f} | "
        f"{results['after'][split]['wer']:.2f} |"
        for split, before in results["before"].items()
    )
    return ADAPTED.format(
        name=name, start=start, **results | {"splits": splits}
    )


def model_card(
    results: Mapping[str, Any], interface: Interface = ENCODER_ASR
) -> str:
    """Write the model card.

    Arguments
    ---------
    results : mapping
        What ``results.json`` holds.
    interface : Interface
        What of SpeechBrain loads the model.

    Returns
    -------
    str
        Markdown.
    """
    cost = results["cost"]
    return CARD.format(
        **{key: results[key] for key in ("name", "seed")},
        **results["training"],
        **results["example"],
        what=interface.what,
        use=interface.use,
        pruning=_pruning(results),
        costs="\n".join(_cost_row(name, row) for name, row in cost.items()),
        measured=_measured(results),
    )


def _pruning(results: Mapping[str, Any]) -> str:
    cost = results["cost"]
    share = cost["compact"]["parameters"] / cost["dense"]["parameters"]
    if share >= 1:
        return ""
    learned = results["training"].get("learned_retention")
    return PRUNING.format(share=share, how=ADAPTIVE_DROPOUT if learned else "")


def _measured(results: Mapping[str, Any]) -> str:
    if not results["splits"]:
        return UNMEASURED
    rows = (_split_row(name, row) for name, row in results["splits"].items())
    return MEASURED.format(
        splits="\n".join(rows), max_difference=results["max_difference"]
    )


def _cost_row(name: str, cost: Mapping[str, Any]) -> str:
    return (
        f"| {name} | {cost['parameters']:,} | {cost['macs'] / 1e6:.1f} M "
        f"| {cost['latency_ms']:.1f} ms | {cost['real_time_factor']:.4f} "
        f"| {cost['peak_memory_mb']:.1f} MB |"
    )


def _split_row(name: str, split: Mapping[str, Any]) -> str:
    rates = " | ".join(
        f"{split[variant]:.2f} ({split['cer'][variant]:.2f})"
        for variant in ("dense", "masked", "compact")
    )
    return f"| {name} | {split['utterances']} | {rates} |"
