#!/usr/bin/env python3
"""Do hyper and hypo neurons adapt as well as all, and forget less at home?

Mitra and Franco (arXiv 2001.01755, sec. 6) on real speech, with the controls
that they lack. Adapts every model to every domain, without labels, in every way
that is named below, and measures it at home and in the domain, before and
after. Prints mean and spread of the word error rates over models, and paired
bootstrap intervals of the differences to updating everything (A) and to random
neurons.

    python benchmarks/real_adaptation.py --models M1 M2 M3 --home HOME
        --domains DOMAINS/reverb DOMAINS/noisy10 --output results/adaptation

A model is a model directory; the first one gets seed 1. All corpora are in
LibriSpeech layout and have the splits train, dev and test; the transcripts of
a domain's train are read for the arm ``bound`` alone, which says what true
labels of the same speech would give. The arms ``alike...`` replay copies of
home speech that sound like the domain; they are written once for each domain.
An arm can carry changes of hparams/adapt_hyper_hypo.yaml of its own, to tune
it on dev:

    ... --tests dev --arms A B B:lr=0.003,epochs=5

Adaptations that are finished are not run again, and one that was stopped goes
on where it stopped.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import itertools
import json
import logging
import multiprocessing
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import torch
from hyperpyyaml import load_hyperpyyaml
from paired import (
    Utterances,
    interval_cell,
    markdown_table,
    mean_and_spread,
    mean_cell,
    paired_difference,
    sum_by_name,
)
from torch import Tensor
from tqdm import tqdm

from speechbrain_neuronprune.adaptation.pseudo_labels import PseudoLabel
from speechbrain_neuronprune.adaptation.stages import Stage
from speechbrain_neuronprune.deploy.loading import load_model
from speechbrain_neuronprune.domain_adaptation import (
    DomainAdaptation,
    DomainSpeech,
)
from speechbrain_neuronprune.errors import NeuronPruneError
from speechbrain_neuronprune.files import atomic_path, write_json
from speechbrain_neuronprune.fingerprint import fingerprint
from speechbrain_neuronprune.likeness.write import write_alike
from speechbrain_neuronprune.training.dataio import (
    Rows,
    cached_reader,
    read_rows,
    with_tokens,
)

ROOT = Path(__file__).resolve().parents[1]
HPARAMS = ROOT / "hparams/adapt_hyper_hypo.yaml"
sys.path.insert(0, str(ROOT / "recipes/LibriSpeech"))

from librispeech_layout_prepare import prepare_librispeech_layout  # noqa: E402


class Arm(NamedTuple):
    """A way to adapt: what learns, and what that changes in the yaml."""

    learns: str
    changes: dict[str, Any]


def neurons(choice: str) -> dict[str, Any]:
    """Model B with other neurons than the hyper and hypo ones."""
    return {"model": "B", "neurons": choice}


def alike(model: str, choice: str = "hyper_hypo") -> dict[str, Any]:
    """A model that replays all labelled speech there is."""
    return {"model": model, "neurons": choice, "replay": 1.0, "warmup": 0.1}


BOUND = "bound"
ALONE = "alike-alone"
ARMS: dict[str, Arm] = {
    "A": Arm("everything", {"model": "A"}),
    "B": Arm("hyper and hypo neurons", {"model": "B"}),
    "C": Arm("as B, then everything with home speech", {"model": "C"}),
    "D": Arm("everything, with home speech", {"model": "D"}),
    "random": Arm("as many random neurons", neurons("random")),
    "medium": Arm("as many medium neurons", neurons("medium")),
    "layers": Arm("all neurons of those layers", neurons("layers")),
    "hypo": Arm("hypo neurons", neurons("hypo")),
    "hyper": Arm("hyper neurons", neurons("hyper")),
    "scaling": Arm("a factor for each neuron (LHUC)", {"model": "scaling"}),
    "entropy": Arm("everything, by entropy", {"model": "entropy"}),
    BOUND: Arm("everything, from true labels", {"model": "A", "fraction": 1.0}),
    "alike": Arm("everything, with home speech made alike", alike("D")),
    "alike-neurons": Arm("hyper and hypo neurons, with that", alike("E")),
    "alike-random": Arm(
        "as many random neurons, with that", alike("E", "random")
    ),
    ALONE: Arm("everything, from home speech alone", alike("D")),
}
# Every arm has its own: lr is that of neurons and factors, lr_all that of
# everything
LEARNING_RATES: dict[str, dict[str, Any]] = {
    "A": {"lr_all": 0.0003},
    "B": {"lr": 0.001},
    "C": {"lr": 0.001, "lr_all": 0.0003},
    "D": {"lr_all": 0.0003},
    "random": {"lr": 0.001},
    "medium": {"lr": 0.001},
    "layers": {"lr": 0.0003},
    "hypo": {"lr": 0.001},
    "hyper": {"lr": 0.001},
    "scaling": {"lr": 0.01},
    "entropy": {"lr_all": 0.00003, "epochs": 2},
    BOUND: {"lr_all": 0.0003},
    "alike": {"lr_all": 0.0007},
    "alike-neurons": {"lr": 0.001},
    "alike-random": {"lr": 0.001},
    ALONE: {"lr_all": 0.0007},
}
# For all arms: labels that views agree on, all epochs of a declining rate. The
# rates were tuned without a warm-up; only those of the arms alike are so high
# that they need one.
COMMON = {
    "views": 6,
    "fraction": 0.5,
    "epochs": 5,
    "patience": None,
    "warmup": 0.0,
}
NONE = "none"  # the starting model
REFERENCES = ("A", "random")
PLACES = ("home", "new")
UNLABELLED = "train"
LABELLED = "labelled/"  # manifests of the same speech with its transcripts
ALIKE = "alike/"  # home speech that sounds like a domain, and its manifests


def name_of(arm: str) -> str:
    """An arm's name, without its changes."""
    return arm.partition(":")[0]


def is_alike(arm: str) -> bool:
    """Whether an arm replays home speech that sounds like the domain."""
    return name_of(arm).startswith("alike")


def changes_of(arm: str, common: dict[str, Any]) -> dict[str, Any]:
    """What an arm changes in the yaml.

    Arguments
    ---------
    arm : str
        A name, and perhaps changes: ``B:lr=0.003,epochs=5``.
    common : dict
        What changes for all arms; the arm's own changes come last.

    Returns
    -------
    dict
        Entry of the yaml to value.
    """
    name, _, own = arm.partition(":")
    changes = [read_change(one) for one in own.split(",") if one]
    arms = ARMS[name].changes | LEARNING_RATES[name]
    return COMMON | arms | common | dict(changes)


def read_change(text: str) -> tuple[str, Any]:
    """Read KEY=VALUE, the value as yaml."""
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, load_hyperpyyaml(f"value: {value}")["value"]


def known_arm(text: str) -> str:
    """Check an arm of the command line."""
    name = name_of(text)
    if name not in ARMS:
        raise argparse.ArgumentTypeError(
            f"there is no arm {name!r}; use {', '.join(ARMS)}, or one of "
            "these with changes, as in B:lr=0.003,epochs=5"
        )
    changes_of(text, {})
    return text


# ------------------------------------------------------------------ running


@dataclass(frozen=True)
class Memory:
    """What one process need not read or compute twice."""

    read: Callable[[str], Tensor] = field(default_factory=cached_reader)
    known: dict[tuple, Any] = field(default_factory=dict)


MEMORY = Memory()


class RememberingAdaptation(DomainAdaptation):
    """Shares what does not depend on the arm: scores, the first labels, and
    the error rates before.

    All of them follow from the speech and the weights as they are now, and
    what training draws depends on its place alone, so that it makes no
    difference which arm computed them.
    """

    def scores(self) -> dict[str, Tensor]:
        """As they were for another domain or arm."""
        names = ("home_folder", "criterion", "layers", "window", "frame_stride")
        return self._remembered(super().scores, *names)

    def label(self) -> dict[str, PseudoLabel]:
        """As they were for another arm, from the same views."""
        return self._remembered(super().label, "target_folder", "views")

    def measure(self) -> dict[str, dict[str, Any]]:
        """As they were for another arm, before it."""
        return self._remembered(super().measure, "target_folder")

    def _remembered(self, make: Callable[[], Any], *settings: str) -> Any:
        values = [str(self.hparams[name]) for name in (*settings, "seed")]
        key = (make.__name__, fingerprint(self.encoder), *values)
        if key not in MEMORY.known:
            MEMORY.known[key] = make()
        return MEMORY.known[key]


class InformedAdaptation(RememberingAdaptation):
    """Knows the true labels of the new domain: a bound, no adaptation."""

    def __init__(self, truth: Rows, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.truth = truth

    def label(self) -> dict[str, PseudoLabel]:
        """What was said, and no doubt about it."""
        blank = self.hparams["blank_index"]
        labelled = with_tokens(self.truth, self.recogniser.tokenizer, blank)
        return {
            name: PseudoLabel(row["labels"], 0.0)
            for name, row in labelled.items()
        }


class DeafAdaptation(RememberingAdaptation):
    """Learns from what is replayed only: a control for the new domain's own
    speech, which is labelled all the same to measure the loss on."""

    def lesson(self, stage: Stage, labelled: Rows) -> Rows:
        """Nothing of what was heard in the new domain."""
        return super().lesson(stage, {})


def seeds_of(options: argparse.Namespace) -> range:
    """The models' seeds, counted from 1."""
    return range(1, len(options.models) + 1)


def run_folder(output: Path, seed: int, domain: str, arm: str) -> Path:
    """Where one adaptation leaves its files."""
    return output / str(seed) / domain / re.sub(r"[^\w.=+-]", "_", arm)


def adapt(
    options: argparse.Namespace,
    seed: int,
    domain: str,
    arm: str,
    speech: DomainSpeech,
) -> None:
    """Adapt one model to one domain in one way, unless that is done."""
    folder = run_folder(options.output, seed, domain, arm)
    if (folder / "adaptation.json").exists():
        return
    overrides = {
        "starting_model": str(options.models[seed - 1]),
        "target_folder": str(options.domains[domain]),
        "home_folder": str(options.home),
        "output_folder": str(folder),
        "seed": seed,
    }
    with open(HPARAMS, encoding="utf-8") as file:
        # Sets the seed as well
        hparams = load_hyperpyyaml(
            file, overrides | changes_of(arm, options.changes)
        )
    recogniser = load_model(hparams["starting_model"], options.device)
    run_opts = {"device": options.device, "noprogressbar": True}
    if is_alike(arm):
        rows = read_manifest(options, ALIKE + domain, domain)
        speech = replace(speech, replayed=rows)
    parts = (recogniser, speech, hparams, run_opts)
    if name_of(arm) == BOUND:
        truth = read_manifest(options, LABELLED + domain, UNLABELLED)
        InformedAdaptation(truth, *parts).run()
    elif name_of(arm) == ALONE:
        DeafAdaptation(*parts).run()
    else:
        RememberingAdaptation(*parts).run()
    tidy(folder)


def tidy(folder: Path) -> None:
    """Remove the weights; a table needs hundreds of adaptations."""
    for path in [folder / "model", *folder.glob("round*/stage*")]:
        shutil.rmtree(path)


def adapt_arms(
    options: argparse.Namespace, seed: int, domain: str
) -> Iterator[str]:
    """Adapt one model to one domain in every way, and name what is done."""
    quieten()
    speech = read_domain(options, domain)
    for arm in options.arms:
        adapt(options, seed, domain, arm, speech)
        yield arm


def quieten() -> None:
    """Keep SpeechBrain's log to what is news."""
    logging.getLogger("speechbrain").setLevel(logging.WARNING)
    logging.getLogger("speechbrain.core").addFilter(is_news)


def is_news(record: logging.LogRecord) -> bool:
    """All but the warning about a Brain that only decodes."""
    return "no trainable parameters" not in record.getMessage()


def count_arms(options: argparse.Namespace, seed: int, domain: str) -> int:
    """The same in a process of its own."""
    return sum(1 for _ in adapt_arms(options, seed, domain))


def adapt_all(options: argparse.Namespace) -> None:
    """All models, domains and arms, with a progress bar."""
    work = list(itertools.product(seeds_of(options), options.domains))
    total = len(work) * len(options.arms)
    with tqdm(total=total, desc="adaptations") as bar:
        if options.jobs == 1:
            for one in work:
                for _ in adapt_arms(options, *one):
                    bar.update()
            return
        with ProcessPoolExecutor(
            options.jobs,
            multiprocessing.get_context("spawn"),
            torch.set_num_threads,
            (1,),
        ) as pool:
            jobs = [pool.submit(count_arms, options, *one) for one in work]
            for job in as_completed(jobs):
                bar.update(job.result())


# ------------------------------------------------------------------- speech


def prepare(options: argparse.Namespace) -> None:
    """Write the manifests of home and of all domains."""
    prepare_librispeech_layout(
        options.home,
        options.output / "manifests/home",
        dev_splits=[options.home_split],
        te_splits=[options.tests],
    )
    for name, folder in options.domains.items():
        prepare_librispeech_layout(
            folder,
            options.output / "manifests" / name,
            te_splits=[options.tests],
            unlabelled_splits=[UNLABELLED],
        )
        if any(name_of(arm) == BOUND for arm in options.arms):
            prepare_librispeech_layout(
                folder,
                options.output / "manifests" / f"{LABELLED}{name}",
                te_splits=[UNLABELLED],
            )
        if any(is_alike(arm) for arm in options.arms):
            prepare_alike(options, name)


def prepare_alike(options: argparse.Namespace, domain: str) -> None:
    """Write home speech that sounds like a domain, and its manifest."""
    written = write_alike(
        options.home / options.home_split,
        options.domains[domain] / UNLABELLED,
        options.output / ALIKE / domain,
    )
    prepare_librispeech_layout(
        written.parent,
        options.output / "manifests" / ALIKE / domain,
        dev_splits=[domain],
    )


def read_manifest(options: argparse.Namespace, name: str, split: str) -> Rows:
    """The rows of one split."""
    return read_rows(options.output / "manifests" / name / f"{split}.csv")


def read_domain(options: argparse.Namespace, domain: str) -> DomainSpeech:
    """The speech of one domain, and that of home."""
    tests = options.tests
    return DomainSpeech(
        target=read_manifest(options, domain, UNLABELLED),
        home=read_manifest(options, "home", options.home_split),
        tests={
            f"home/{tests}": read_manifest(options, "home", tests),
            f"target/{tests}": read_manifest(options, domain, tests),
        },
        read=MEMORY.read,
    )


def check_request(options: argparse.Namespace) -> None:
    """Finished adaptations in the output folder must be such as are meant;
    models, domains and arms may be added."""
    request = {
        "home": [str(options.home.resolve()), options.home_split],
        "tests": options.tests,
        **{
            f"model {seed}": str(model.resolve())
            for seed, model in enumerate(options.models, start=1)
        },
        **{
            f"domain {name}": str(path.resolve())
            for name, path in options.domains.items()
        },
        **{f"arm {a}": changes_of(a, options.changes) for a in options.arms},
    }
    path = options.output / "request.json"
    found = {}
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
    for name in found.keys() & request.keys():
        if found[name] != request[name]:
            raise SystemExit(
                f"The output folder {options.output} was begun with {name} = "
                f"{found[name]}, not {request[name]}; choose another --output."
            )
    write_json(path, found | request)


# ------------------------------------------------------------------ reading

# Of every model, by domain, what was measured at home and in the domain
Runs = list[dict[str, dict[str, dict]]]


def collect(options: argparse.Namespace) -> dict[str, Runs]:
    """Row name to what was measured; the first row is before adaptation."""
    table: dict[str, Runs] = {NONE: []}
    for arm in options.arms:
        runs = [
            {
                domain: read_run(options, seed, domain, arm)
                for domain in options.domains
            }
            for seed in seeds_of(options)
        ]
        table[NONE] = table[NONE] or [part(run, "before") for run in runs]
        table[arm] = [part(run, "after") for run in runs]
    return table


def read_run(
    options: argparse.Namespace, seed: int, domain: str, arm: str
) -> dict[str, dict[str, dict]]:
    """What one adaptation measured: before and after, at home and new."""
    folder = run_folder(options.output, seed, domain, arm)
    path = folder / "adaptation.json"
    results = json.loads(path.read_text(encoding="utf-8"))
    return {
        when: {
            place: results[when][f"{name}/{options.tests}"]
            for place, name in zip(PLACES, ("home", "target"), strict=True)
        }
        for when in ("before", "after")
    }


def part(run: dict[str, dict], when: str) -> dict[str, dict]:
    """Before or after, for all domains."""
    return {domain: results[when] for domain, results in run.items()}


def rates(runs: Runs, place: str) -> list[float]:
    """Every model's WER at home or in the new domains: the mean over
    domains."""
    return [
        float(np.mean([results[place]["wer"] for results in run.values()]))
        for run in runs
    ]


def utterances(runs: Runs, place: str) -> list[Utterances]:
    """Errors and words of every run by utterance, summed over domains.

    Utterances of one name are one: at home they are the same, and domains are
    often copies of the same recordings. Counted as several, they would make
    the intervals too narrow.
    """
    return [
        sum_by_name(results[place]["utterances"] for results in run.values())
        for run in runs
    ]


def figures(table: dict[str, Runs], name: str, place: str) -> dict[str, Any]:
    """A row's error rate at home or in the new domains: in percent, as a
    change in percent of that before, and compared with other rows."""
    runs = table[name]
    found = rates(runs, place)
    return {
        **mean_and_spread(found),
        "change": relative_change(found, rates(table[NONE], place)),
        **{
            f"to {other}": paired_difference(
                utterances(runs, place), utterances(table[other], place)
            )
            for other in REFERENCES
            if other in table and other != name
        },
    }


def relative_change(
    after: Sequence[float], before: Sequence[float]
) -> dict[str, Any] | None:
    """In percent of what was before; None if there were no errors."""
    if not all(before):
        return None
    pairs = zip(after, before, strict=True)
    return mean_and_spread(
        [100 * (one - other) / other for one, other in pairs]
    )


def summarize(options: argparse.Namespace) -> dict[str, Any]:
    """Every row's error rates, changes and differences."""
    table = collect(options)
    rows = {}
    for name, runs in table.items():
        rows[name] = {
            "learns": describe(name),
            **{place: figures(table, name, place) for place in PLACES},
            "domains": {
                domain: mean_and_spread(
                    [run[domain]["new"]["wer"] for run in runs]
                )
                for domain in options.domains
            },
        }
    _compare_losses(rows)
    return {
        "models": [str(model) for model in options.models],
        "domains": list(options.domains),
        "tests": options.tests,
        "rows": rows,
    }


def describe(name: str) -> str:
    """What learns in a row."""
    return "" if name == NONE else ARMS[name_of(name)].learns


def _compare_losses(rows: dict[str, Any]) -> None:
    """What is lost at home, as a share of what A loses, if it does."""
    before = rows[NONE]["home"]["mean"]
    whole = rows["A"]["home"]["mean"] - before if "A" in rows else 0.0
    for row in rows.values():
        lost = row["home"]["mean"] - before
        row["home"]["loss of A's"] = lost / whole if whole > 0 else None


# ------------------------------------------------------------------ showing


def markdown(summary: dict[str, Any]) -> str:
    """The table of all arms, and that of arms and domains."""
    return "\n\n".join([arms_table(summary), domains_table(summary)])


def arms_table(summary: dict[str, Any]) -> str:
    """Home and the mean over domains, one line per arm."""
    head = ["arm", "learns", "home WER", "change, %", "loss, of A's"]
    head += ["home: to A", "new WER", "change, %", "new: to A"]
    head += ["new: to random"]
    lines = []
    for name, row in summary["rows"].items():
        home, new = row["home"], row["new"]
        share = home["loss of A's"]
        lines.append(
            [
                name,
                row["learns"],
                mean_cell(home),
                change_cell(home["change"]),
                "" if share is None else f"{share:.0%}",
                interval_cell(home.get("to A")),
                mean_cell(new),
                change_cell(new["change"]),
                interval_cell(new.get("to A")),
                interval_cell(new.get("to random")),
            ]
        )
    return markdown_table(head, lines)


def change_cell(change: dict[str, float] | None) -> str:
    """A change in percent and its spread in a cell of a table, or nothing."""
    if change is None:
        return ""
    return f"{change['mean']:+.1f} ± {change['spread']:.1f}"


def domains_table(summary: dict[str, Any]) -> str:
    """The error rate of every arm in every domain."""
    lines = [
        [name, *[mean_cell(rate) for rate in row["domains"].values()]]
        for name, row in summary["rows"].items()
    ]
    return markdown_table(["arm", *summary["domains"]], lines)


def plot(summary: dict[str, Any], path: Path) -> None:
    """What is gained in new domains over what is lost at home."""
    figure, axis = plt.subplots(figsize=(7, 5))
    for name, row in summary["rows"].items():
        home, new = row["home"]["change"], row["new"]["change"]
        if home is None or new is None:
            continue
        axis.errorbar(
            home["mean"],
            new["mean"],
            new["spread"],
            home["spread"],
            marker="o",
            capsize=3,
        )
        axis.annotate(
            name,
            (home["mean"], new["mean"]),
            xytext=(5, 5),
            textcoords="offset points",
        )
    axis.set_xlabel("change of the word error rate at home, %")
    axis.set_ylabel("change in new domains, %")
    axis.grid(alpha=0.3)
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
    plt.close(figure)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; domains go by the names of their folders."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--models", type=Path, nargs="+", required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--home-split", default="train")
    parser.add_argument("--domains", type=Path, nargs="+", required=True)
    parser.add_argument("--tests", default="test", help="a split, as dev")
    parser.add_argument("--output", type=Path, default="results/adaptation")
    usual = [arm for arm in ARMS if arm != BOUND]
    parser.add_argument("--arms", nargs="+", type=known_arm, default=usual)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--set",
        dest="changes",
        metavar="KEY=VALUE",
        type=read_change,
        nargs="+",
        default=[],
        help="change entries of the yaml for all arms",
    )
    options = parser.parse_args(arguments)
    options.changes = dict(options.changes)
    named = {path.resolve().name: path for path in options.domains}
    if len(named) < len(options.domains) or "home" in named:
        parser.error("domains need folders of different names, none of home")
    if options.tests in (options.home_split, UNLABELLED):
        parser.error(f"--tests {options.tests} is what the models learn from")
    options.domains = named
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Adapt what is missing, then print and save the comparison."""
    options = parse(arguments)
    quieten()
    try:
        check_request(options)
        prepare(options)
        adapt_all(options)
    except NeuronPruneError as error:
        raise SystemExit(f"error: {error}") from error
    summary = summarize(options)
    write_json(options.output / "comparison.json", summary)
    plot(summary, options.output / "comparison.png")
    print(markdown(summary))


if __name__ == "__main__":
    main()
