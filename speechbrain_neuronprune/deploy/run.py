"""A finished run of the recipes: its Brain again, and what it leaves.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hyperpyyaml import load_hyperpyyaml
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from speechbrain_neuronprune.brains import AdaptiveDropoutASR
from speechbrain_neuronprune.brains.recogniser import CTCRecogniser
from speechbrain_neuronprune.compaction import remove_gates
from speechbrain_neuronprune.deploy.evaluation import (
    make_variants,
    score_split,
)
from speechbrain_neuronprune.deploy.finalise import (
    collect_results,
    write_model,
)
from speechbrain_neuronprune.errors import (
    DataError,
    NeuronPruneError,
    TrainingError,
    in_short,
)
from speechbrain_neuronprune.file_names import RECIPE, TRAINED_TOKENIZER
from speechbrain_neuronprune.files import PathLike
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.training.checkpoints import load_final_average
from speechbrain_neuronprune.training.tokens import load_tokenizer

# What only the yaml of a recipe with a CTCRecogniser has
RUN_KEYS = {"number_of_checkpoints", "cer_computer", "decoding_function"}


def read_keys(folder: PathLike) -> set[str]:
    """The entries of a folder's ``hyperparams.yaml``; nothing is built.

    Arguments
    ---------
    folder : path-like
        An experiment folder or a model directory.

    Returns
    -------
    set of str
        Its keys; none if there is no such file.

    Raises
    ------
    DataError
        If the file is no yaml.
    """
    path = Path(folder, RECIPE)
    if not path.is_file():
        return set()
    try:
        content = YAML().load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError):
        content = None
    if not isinstance(content, Mapping):
        raise DataError(
            f"The file {path} is no mapping in yaml; restore it, or give "
            "another folder."
        )
    return set(content)


def make_brain(
    hparams: Mapping[str, Any], run_opts: Mapping[str, Any] | None = None
) -> CTCRecogniser:
    """Make the Brain of a recipe.

    Arguments
    ---------
    hparams : mapping
        The recipe's yaml, loaded; ``brain_class`` says which Brain.
    run_opts : mapping, optional
        SpeechBrain's options, such as ``device``.

    Returns
    -------
    CTCRecogniser
        With its checkpointer; nothing is loaded yet.
    """
    return hparams.get("brain_class", AdaptiveDropoutASR)(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )


def open_run(folder: PathLike, device: str = "cpu") -> CTCRecogniser:
    """Load what a recipe has trained: the average of its last checkpoints.

    The folder may have been moved since.

    Arguments
    ---------
    folder : path-like
        The recipe's output folder.
    device : str
        Where to compute.

    Returns
    -------
    CTCRecogniser
        The Brain as it was when the recipe evaluated it.

    Raises
    ------
    NeuronPruneError
        If the folder is no such run, has no checkpoint, or one that is
        damaged or of another architecture.
    """
    folder = Path(folder)
    if not RUN_KEYS <= read_keys(folder):
        raise DataError(
            f"The folder {folder} is no run of the recipes (its "
            f"{RECIPE} is missing or another one); give the output folder of "
            "a training run."
        )
    try:
        brain = _load(folder, device)
    except NeuronPruneError:
        raise
    except Exception as error:  # from yaml, torch or sentencepiece
        raise TrainingError(
            f"The run {folder} cannot be loaded ({in_short(error)}); restore "
            "its files or train again."
        ) from error
    return brain


def _load(folder: Path, device: str) -> CTCRecogniser:
    save = folder / "save"
    moved = {
        "output_folder": str(folder),
        "save_folder": str(save),
        "checkpointer": {"checkpoints_dir": str(save)},
    }
    if not save.is_dir():  # the checkpointer would make it
        raise TrainingError(
            f"There is no checkpoint in {save}; train the model before you "
            "evaluate it."
        )
    with open(folder / RECIPE, encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, moved)
    hparams["tokenizer"] = load_tokenizer(save / TRAINED_TOKENIZER)
    run_opts = {"device": device, "noprogressbar": True, "precision": "fp32"}
    if device == "cpu":  # where SpeechBrain refuses fp16, as of a GPU's run
        run_opts["eval_precision"] = "fp32"
    brain = make_brain(hparams, run_opts)
    brain.checkpointer.recover_if_possible()  # the features' statistics
    load_final_average(
        brain.checkpointer, "model", brain.hparams.number_of_checkpoints
    )
    brain.lead_average()
    brain.modules.eval()
    return brain


def compact_run(
    brain: CTCRecogniser,
    plan: PruningPlan,
    folder: PathLike,
    splits: Mapping[str, Any],
    loader_options: Mapping[str, Any],
) -> dict[str, Any]:
    """Write the model directory of a run, pruned by any plan.

    Arguments
    ---------
    brain : CTCRecogniser
        What ``open_run`` gave; it is not changed.
    plan : PruningPlan
        Which units of ``brain.pruned`` stay; it alone decides.
    folder : path-like
        The model directory.
    splits : mapping of str to DynamicItemDataset
        Speech to measure error rates on, for the model card; may be empty.
    loader_options : mapping
        Options of the data loader.

    Returns
    -------
    dict
        Results as in ``results.json``.
    """
    plan.check(brain.pruned)
    variants = make_variants(remove_gates(copy.deepcopy(brain.pruned)), plan)
    scores = {
        name: score_split(brain, variants, dataset, loader_options)
        for name, dataset in splits.items()
    }
    results = collect_results(brain, variants, scores)
    write_model(folder, brain, plan, variants, results)
    return results
