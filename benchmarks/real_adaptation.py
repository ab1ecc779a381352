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
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

import torch
from adaptation_arms import (
    ALONE,
    ARMS,
    BOUND,
    changes_of,
    is_alike,
    known_arm,
    name_of,
    read_change,
)
from adaptation_results import (
    markdown,
    plot,
    run_folder,
    seeds_of,
    summarize,
)
from hyperpyyaml import load_hyperpyyaml
from remembered_adaptation import (
    MEMORY,
    DeafAdaptation,
    InformedAdaptation,
    RememberingAdaptation,
)
from tqdm import tqdm

from speechbrain_neuronprune.deploy.loading import load_model
from speechbrain_neuronprune.domain_adaptation import DomainSpeech
from speechbrain_neuronprune.errors import NeuronPruneError
from speechbrain_neuronprune.files import write_json
from speechbrain_neuronprune.likeness.write import write_alike
from speechbrain_neuronprune.training.dataio import Rows, read_rows

ROOT = Path(__file__).resolve().parents[1]
HPARAMS = ROOT / "hparams/adapt_hyper_hypo.yaml"
sys.path.insert(0, str(ROOT / "recipes/LibriSpeech"))

from librispeech_layout_prepare import prepare_librispeech_layout  # noqa: E402

UNLABELLED = "train"
LABELLED = "labelled/"  # manifests of the same speech with its transcripts
ALIKE = "alike/"  # home speech that sounds like a domain, and its manifests


# ------------------------------------------------------------------ running


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
