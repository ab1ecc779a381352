"""A sweep: one trained run measured at many sizes, and picked up again::

    sweep.json  what has been measured, written after every size
    sweep.csv   a row per size
    sweep.png   error rates over size and latency
    model-SIZE  model directories of some sizes

Authors
 * The speechbrain-neuronprune authors 2026
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import speechbrain as sb
from tqdm import tqdm

from speechbrain_neuronprune.compaction import compact
from speechbrain_neuronprune.deploy.evaluation import measure_costs
from speechbrain_neuronprune.deploy.run import compact_run
from speechbrain_neuronprune.deploy.sizes import measure_sizes
from speechbrain_neuronprune.errors import DataError, PlanError
from speechbrain_neuronprune.file_names import WEIGHTS
from speechbrain_neuronprune.files import PathLike, atomic_path, write_json
from speechbrain_neuronprune.fingerprint import fingerprint
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.report.canvas import plot_style, to_png
from speechbrain_neuronprune.report.pareto import pareto_front, plot_pareto
from speechbrain_neuronprune.training.dataio import speech_key

FORMAT = "speechbrain-neuronprune sweep"
VERSION = 2
DENSE = "dense"
SWEEP = "sweep.json"
COSTS = ("parameters", "macs", "latency_ms", "real_time_factor")


class Sweep:
    """Measures a run at many sizes, each only once.

    Arguments
    ---------
    brain : CTCRecogniser
        With the trained, gated model.
    datasets : mapping of str to DynamicItemDataset
        Splits to measure error rates on.
    loader_options : mapping
        Options of their data loader.
    folder : path-like
        What was measured there before, of the same model on the same speech,
        is kept.

    Raises
    ------
    NeuronPruneError
        If the model has no gates, or the folder has a sweep of another model
        or other speech, or a damaged one.
    """

    def __init__(
        self,
        brain: sb.Brain,
        datasets: Mapping[str, Any],
        loader_options: Mapping[str, Any],
        folder: PathLike,
    ) -> None:
        if brain.schedule is None:
            raise PlanError(
                f"The run {brain.hparams.output_folder} has no adaptive "
                "dropout, so it holds one size only; give a run that was "
                "trained with it."
            )
        self.brain = brain
        self.datasets = datasets
        self.loader_options = loader_options
        self.folder = Path(folder)
        about = {
            "model": fingerprint(brain.modules),
            "speech": {k: speech_key(one.data) for k, one in datasets.items()},
            "round_to": brain.hparams.round_to,
            "balance_heads": brain.hparams.balance_heads,
        }
        self.content = _read(self.folder / SWEEP, about) or {
            "format": FORMAT,
            "version": VERSION,
            "about": about,
            "sizes": {},
            "cost": {},
        }
        # Others may have left models in the folder.
        self.written = self.content.setdefault("models", [])

    def plan(self, target: int | float | None) -> PruningPlan:
        """The plan of a size; None is the dense model.

        Arguments
        ---------
        target : int or float or None
            Parameters of the whole model: a count or a share.

        Returns
        -------
        PruningPlan
            Which units stay.
        """
        is_dense = target is None
        return PruningPlan({}) if is_dense else self.brain.plan_for(target)

    def run(
        self, targets: Iterable[int | float], progress: bool = False
    ) -> list[dict[str, Any]]:
        """Measure what is missing; write table and plot.

        Arguments
        ---------
        targets : iterable of int or float
            Sizes of the whole model, as shares or in parameters.
        progress : bool
            Show a progress bar.

        Returns
        -------
        list of dict
            A row per size, see ``rows``.

        Raises
        ------
        PlanError
            If a size is out of reach; nothing is written then.
        """
        wanted = {DENSE: None} | {str(target): target for target in targets}
        plans = {name: self.plan(target) for name, target in wanted.items()}
        sizes = self.content["sizes"]
        missing = [name for name in wanted if name not in sizes]
        for name in tqdm(missing, "Sizes", disable=not progress):
            plan = {name: plans[name]}
            measured = measure_sizes(
                self.brain, plan, self.datasets, self.loader_options
            )
            sizes[name] = {"target": wanted[name]} | measured[name]
            self._save()
        if sizes.keys() != self.content["cost"].keys():
            self.content["cost"] = self._costs(plans)
            self._save()
        return self._present()

    def export(self, target: int | float) -> Path:
        """Write the model directory of a size, unless this sweep has.

        Arguments
        ---------
        target : int or float
            A size, as for ``run``.

        Returns
        -------
        Path
            The model directory.
        """
        path = self.model_path(target)
        is_there = (path / WEIGHTS).is_file()
        if not (is_there and path.name in self.written):
            compact_run(
                self.brain,
                self.plan(target),
                path,
                self.datasets,
                self.loader_options,
            )
            self.written[:] = sorted({*self.written, path.name})
            self._save()
        return path

    def model_path(self, target: int | float) -> Path:
        """Where ``export`` writes a size.

        Arguments
        ---------
        target : int or float
            The size.

        Returns
        -------
        Path
            A folder in that of the sweep.
        """
        return self.folder / f"model-{target}"

    def _costs(self, plans: dict[str, PruningPlan]) -> dict[str, Any]:
        """The costs of all sizes in turns: latencies of one machine at one
        time can be compared, others cannot."""
        networks = {
            name: compact(
                self.brain.pruned, plans.get(name) or self.plan(one["target"])
            )
            for name, one in self.content["sizes"].items()
        }
        return measure_costs(self.brain, networks)

    def _save(self) -> None:
        write_json(self.folder / SWEEP, self.content)

    def rows(self) -> list[dict[str, Any]]:
        """What has been measured.

        Returns
        -------
        list of dict
            A row per size, the largest first: ``size``, ``share``, the costs,
            ``wer`` and ``cer`` per split, and whether it is on the Pareto
            ``front`` of parameters and errors on all splits together.
        """
        sizes, cost = self.content["sizes"], self.content["cost"]
        order = sorted(sizes, key=lambda name: -sizes[name]["parameters"])
        points = [
            (sizes[name]["parameters"], _errors(sizes[name])) for name in order
        ]
        front = pareto_front(points)
        dense = sizes[DENSE]["parameters"]
        return [
            {
                "size": name,
                "share": sizes[name]["parameters"] / dense,
                **{key: cost[name][key] for key in COSTS},
                **{
                    rate: {
                        split: one[rate]
                        for split, one in sizes[name]["splits"].items()
                    }
                    for rate in ("wer", "cer")
                },
                "front": is_best,
            }
            for name, is_best in zip(order, front, strict=True)
        ]

    def _present(self) -> list[dict[str, Any]]:
        rows = self.rows()
        with plot_style():
            png = to_png(plot_pareto(rows))
        for name, content in (
            ("sweep.csv", _csv(rows).encode("utf-8")),
            ("sweep.png", png),
        ):
            with atomic_path(self.folder / name) as temporary:
                temporary.write_bytes(content)
        return rows


def _errors(size: Mapping[str, Any]) -> float:
    """Word errors on all splits."""
    return sum(
        errors
        for split in size["splits"].values()
        for errors, _ in split["utterances"].values()
    )


def _csv(rows: list[dict[str, Any]]) -> str:
    stream = io.StringIO()
    splits = list(rows[0]["wer"])
    rates = [(rate, split) for rate in ("wer", "cer") for split in splits]
    plain = ("size", "share", *COSTS, "front")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*plain, *[f"{rate} {split}" for rate, split in rates]])
    for row in rows:
        cells = [row[key] for key in plain]
        writer.writerow(cells + [row[rate][split] for rate, split in rates])
    return stream.getvalue()


def _read(path: Path, about: Mapping[str, Any]) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = (content["format"], content["version"]) == (FORMAT, VERSION)
        same = content["about"] == about
        complete = {"sizes", "cost"} <= content.keys()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"The sweep {path} is damaged ({error}); delete it to measure "
            "again."
        ) from error
    if not (known and same and complete):
        raise DataError(
            f"The sweep {path} is about another model, other speech or another "
            "version of this package; give another --output."
        )
    return content
