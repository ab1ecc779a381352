"""What follows training: prune, evaluate, and write everything down.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import speechbrain as sb
from speechbrain.utils.logger import get_logger
from torch import nn

from speechbrain_neuronprune.deploy.directory import write_model_directory
from speechbrain_neuronprune.deploy.evaluation import (
    SECONDS,
    SplitScores,
    make_variants,
    measure_costs,
    score_split,
)
from speechbrain_neuronprune.deploy.interfaces import INTERFACES
from speechbrain_neuronprune.file_names import (
    PLAN,
    RECIPE,
    RESULTS,
    TRAINED_TOKENIZER,
)
from speechbrain_neuronprune.files import PathLike, atomic_path, write_json
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.report.page import write_report
from speechbrain_neuronprune.training.checkpoints import load_final_average

logger = get_logger(__name__)

VARIANTS = ("dense", "masked", "compact")


def finalise(
    brain: sb.Brain,
    tests: Mapping[str, Any],
    loader_options: Mapping[str, Any],
) -> None:
    """Average, prune, compact, evaluate; write results, model and report.

    It starts from the checkpoints and can be run again at any time.

    Arguments
    ---------
    brain : CTCRecogniser
        After ``fit``.
    tests : mapping of str to DynamicItemDataset
        The test splits.
    loader_options : mapping
        Options of their data loader.
    """
    folder = Path(brain.hparams.output_folder)
    _load_average(brain)
    plan = brain.make_plan()
    plan.save(folder / PLAN)
    variants = make_variants(brain.pruned, plan)
    scores = {
        split: score_split(brain, variants, dataset, loader_options)
        for split, dataset in tests.items()
    }
    write_error_rates(folder, scores)
    results = collect_results(brain, variants, scores)
    results["training"]["learned_retention"] = brain.learned_retention
    write_json(folder / RESULTS, results)
    model = folder / "model"
    write_model(model, brain, plan, variants, results)
    _log(results, model, report=write_report(folder))


def _load_average(brain: sb.Brain) -> None:
    """Load what is evaluated; an unfinished run gives a warning."""
    if brain.test_only:  # then fit() has recovered nothing
        brain.checkpointer.recover_if_possible()
    averaged = load_final_average(
        brain.checkpointer, "model", brain.hparams.number_of_checkpoints
    )
    logger.info("Averaged the last %d checkpoints", len(averaged))
    if not brain.final_phase:
        logger.warning(
            "The training took %d steps, but its model is pruned at step %d: "
            "the figures are those of an unfinished run",
            brain.schedule.step,
            brain.final_step,
        )
    brain.lead_average()


def collect_results(
    brain: sb.Brain,
    variants: Mapping[str, nn.Module],
    scores: Mapping[str, SplitScores],
) -> dict[str, Any]:
    """Put the figures of the three variants together, costs included.

    Arguments
    ---------
    brain : CTCRecogniser
        Has the parts that the variants share.
    variants : mapping of str to nn.Module
        What ``make_variants`` made.
    scores : mapping of str to SplitScores
        Split to scores; may be empty.

    Returns
    -------
    dict
        What ``results.json`` holds.
    """
    return {
        "name": brain.hparams.experiment_name,
        "seed": brain.hparams.seed,
        "splits": {name: score.summary() for name, score in scores.items()},
        "max_difference": max(
            (score.max_difference for score in scores.values()), default=0.0
        ),
        "cost": measure_costs(brain, variants),
        "training": _training(brain),
        "example": _example(brain),
    }


def write_model(
    folder: PathLike,
    brain: sb.Brain,
    plan: PruningPlan,
    variants: Mapping[str, nn.Module],
    results: Mapping[str, Any],
) -> None:
    """Write the model directory of a run's compact variant.

    Arguments
    ---------
    folder : path-like
        The directory; one that exists is replaced.
    brain : CTCRecogniser
        Has all but the pruned module.
    plan : PruningPlan
        Which units stay.
    variants : mapping of str to nn.Module
        ``dense`` and ``compact``, see ``make_variants``.
    results : mapping
        For the model card.
    """
    network = {name: brain.modules[name] for name in brain.network}
    write_model_directory(
        folder,
        recipe=Path(brain.hparams.output_folder) / RECIPE,
        normalize=brain.modules.normalize,
        network=network | {brain.pruned_module: variants["compact"]},
        pruned=brain.pruned_module,
        tokenizer=Path(brain.hparams.save_folder) / TRAINED_TOKENIZER,
        plan=plan,
        dense=variants["dense"],
        results=results,
        interface=INTERFACES[brain.interface],
    )


def write_error_rates(folder: Path, scores: Mapping[str, Any]) -> None:
    """Write one file of alignments per split and variant.

    Arguments
    ---------
    folder : Path
        Where to.
    scores : mapping of str to SplitScores
        Split to scores.
    """
    for split, score in scores.items():
        for variant, errors in score.errors.items():
            path = folder / f"wer_{variant}_{split}.txt"
            with atomic_path(path) as temporary:
                with open(temporary, "w", encoding="utf-8") as file:
                    errors.words.write_stats(file)


def _training(brain: sb.Brain) -> dict[str, Any]:
    return {
        "train_splits": ", ".join(brain.hparams.train_splits),
        "steps": brain.optimizer_step,
    }


def _example(brain: sb.Brain) -> dict[str, Any]:
    return {
        "sample_rate": brain.hparams.sample_rate,
        "seconds": SECONDS,
        "device": str(brain.device),
    }


def _log(results: Mapping[str, Any], model: Path, report: Path) -> None:
    for split, row in results["splits"].items():
        logger.info(
            "%s: WER %.2f dense, %.2f masked, %.2f compact; CER %.2f, %.2f, "
            "%.2f; %d of %d hypotheses identical",
            split,
            *(row[key] for key in VARIANTS),
            *(row["cer"][key] for key in VARIANTS),
            row["identical"],
            row["utterances"],
        )
    cost = results["cost"]
    logger.info(
        "%d parameters instead of %d; model in %s, report in %s",
        cost["compact"]["parameters"],
        cost["dense"]["parameters"],
        model,
        report,
    )
