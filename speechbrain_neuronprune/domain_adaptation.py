"""Unsupervised adaptation from beginning to end (Mitra and Franco, sec. 6).

Label the new domain's speech with the starting model, choose the surest
utterances, rank the neurons, run the stages, measure before and after, and
write everything down. Whatever is finished is on disk, so a run that was
stopped goes on where it stopped. Of several processes, all rank neurons and
train, each on its share of the speech; the first alone decodes and writes.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
import functools
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataio import read_audio
from speechbrain.dataio.dataloader import SaveableDataLoader
from speechbrain.inference import EncoderASR
from speechbrain.nnet.schedulers import LinearWarmupScheduler
from speechbrain.utils.distributed import main_process_only, run_on_main
from torch import Tensor

from speechbrain_neuronprune.adaptation.early_stopping import (
    EarlyStopping,
    EpochsUntilStopping,
)
from speechbrain_neuronprune.adaptation.patch import DomainPatch
from speechbrain_neuronprune.adaptation.pseudo_labels import (
    PseudoLabel,
    choose_labels,
    hold_back,
    load_labels,
    save_labels,
)
from speechbrain_neuronprune.adaptation.selective import selective_update
from speechbrain_neuronprune.adaptation.stages import Stage, choose_neurons
from speechbrain_neuronprune.brains.adaptation import AdaptationASR
from speechbrain_neuronprune.deploy.card import adapted_card
from speechbrain_neuronprune.deploy.checksums import write_card
from speechbrain_neuronprune.deploy.int8 import require_float
from speechbrain_neuronprune.errors import (
    SelectionError,
    TrainingError,
    UnitsError,
)
from speechbrain_neuronprune.files import atomic_path, write_json
from speechbrain_neuronprune.fingerprint import fingerprint
from speechbrain_neuronprune.processes import process_count, process_number
from speechbrain_neuronprune.saliency import rank_neurons
from speechbrain_neuronprune.saliency.taps import find_taps
from speechbrain_neuronprune.training.batching import ShortFirstSampler
from speechbrain_neuronprune.training.checkpoints import AtomicCheckpointer
from speechbrain_neuronprune.training.dataio import (
    Rows,
    speech_dataset,
    speech_key,
    with_tokens,
)
from speechbrain_neuronprune.training.draws import draws_for
from speechbrain_neuronprune.training.epoch_log import EpochLog
from speechbrain_neuronprune.training.experiment import given

# What the parts in an output folder depend on, besides models and speech
REQUEST = (
    "blank_index",
    "seed",
    "layers",
    "criterion",
    "window",
    "frame_stride",
    "hypo",
    "hyper",
    "neurons",
    "outgoing",
    "fraction",
    "held_back",
    "views",
    "rounds",
    "patience",
    "start_counts",
    "warmup",
    "max_batch_length",
    "num_buckets",
    "weight_decay",
)


@dataclass(frozen=True)
class DomainSpeech:
    """What an adaptation reads; see ``dataio`` for rows.

    Arguments
    ---------
    target : dict
        The new domain: utterances of which no words are read.
    home : dict
        Labelled speech of the starting model's domain; may be empty.
    tests : dict of str to dict
        Labelled splits to measure on; none of them has any influence.
    read : callable
        Path to waveform.
    replayed : dict
        Labelled speech that is replayed besides home's, and that neurons are
        never ranked on: home speech that sounds like the new domain.
    """

    target: Rows
    home: Rows = field(default_factory=dict)
    tests: Mapping[str, Rows] = field(default_factory=dict)
    read: Callable[[str], Tensor] = read_audio
    replayed: Rows = field(default_factory=dict)

    def labelled(self) -> Rows:
        """All that can be replayed, by place and name.

        Returns
        -------
        dict
            Rows by ``home/name`` and ``replayed/name``.
        """
        places = {"home": self.home, "replayed": self.replayed}
        return {
            f"{place}/{name}": row
            for place, rows in places.items()
            for name, row in rows.items()
        }


class DomainAdaptation:
    """One adaptation of one model to one domain.

    Arguments
    ---------
    recogniser : EncoderASR
        The starting model, loaded from its directory; changed in place.
    speech : DomainSpeech
        What is read.
    hparams : mapping
        See ``hparams/adapt_hyper_hypo.yaml``.
    run_opts : mapping, optional
        Of the Brain, for instance ``device``.
    """

    def __init__(
        self,
        recogniser: EncoderASR,
        speech: DomainSpeech,
        hparams: Mapping[str, Any],
        run_opts: Mapping[str, Any] | None = None,
    ) -> None:
        self.recogniser = recogniser
        self.encoder = recogniser.mods.encoder
        self.speech = speech
        self.hparams = hparams
        self.run_opts = given(run_opts)
        self.folder = Path(hparams["output_folder"])
        self.stages = _stages(hparams["models"], hparams["model"])

    def run(self) -> dict[str, Any]:
        """Adapt, and measure before and after.

        Returns
        -------
        dict
            What is also written to ``adaptation.json``.
        """
        require_float(self.encoder, self.hparams["starting_model"])
        start = fingerprint(self.encoder)
        self._check_layers()
        self._check_stopping()
        self._check_warmup()
        self._check_replay()
        run_on_main(self._check_request, args=[start])
        neurons = self._kept("neurons.pt", self.neurons)
        before = self.before()
        for number in range(1, self.hparams["rounds"] + 1):
            self._round(number, neurons)
        results = {
            "model": self.hparams["model"],
            "neurons": self.hparams["neurons"],
            "criterion": self.hparams["criterion"],
            "seed": self.hparams["seed"],
            "before": before,
            "after": main_process_only(self.measure)(),
        }
        run_on_main(self._write, args=[start, neurons, results])
        return results

    # --------------------------------------------------------------- parts

    def scores(self) -> dict[str, Tensor]:
        """Rank the neurons at home, or else on the new domain; see
        ``rank_neurons``.

        Returns
        -------
        dict of str to torch.Tensor
            By group, (units,).
        """
        rows = _share(self.speech.home or self.speech.target)
        return rank_neurons(
            self.encoder,
            self._waveforms(rows),
            self.hparams["criterion"],
            self.hparams["layers"],
            self.hparams["window"],
            forward=_encode,
            frame_stride=self.hparams["frame_stride"],
            seed=self.hparams["seed"],
            progress=not self.run_opts.get("noprogressbar", False),
        )

    def neurons(self) -> dict[str, Any]:
        """Choose those that learn.

        Returns
        -------
        dict of str to Any
            As ``choose_neurons`` gives them.
        """
        return choose_neurons(
            self.hparams["neurons"],
            self.scores(),
            self.hparams["hypo"],
            self.hparams["hyper"],
            self.hparams["seed"],
        )

    def before(self) -> dict[str, dict[str, Any]]:
        """Error rates of the starting model.

        They are kept by the speech that they are of: other splits may be
        measured on in the same folder.

        Returns
        -------
        dict of str to dict
            By test split, as ``measure`` gives them.
        """
        return {
            name: self._kept(
                f"before/{speech_key(rows)}.pt",
                main_process_only(functools.partial(self._measure_on, rows)),
            )
            for name, rows in self.speech.tests.items()
        }

    def measure(self) -> dict[str, dict[str, Any]]:
        """Error rates on every test split, of the model as it is now.

        Returns
        -------
        dict of str to dict
            By test split, with the errors and words of every utterance.
        """
        return {
            name: self._measure_on(rows)
            for name, rows in self.speech.tests.items()
        }

    def _measure_on(self, rows: Rows) -> dict[str, Any]:
        errors = self._brain().count_errors(self._dataset(rows), **self._loader)
        return errors.as_dict()

    def label(self) -> dict[str, PseudoLabel]:
        """What the model, as it is now, makes of the new domain's speech.

        Returns
        -------
        dict of str to PseudoLabel
            By utterance.
        """
        target = self._dataset(self.speech.target)
        views = self.hparams["views"]
        return self._brain().label(target, views, **self._loader)

    def lesson(self, stage: Stage, labelled: Rows) -> Rows:
        """What a stage learns from: pseudo-labelled speech of the new domain,
        and labelled speech that is replayed.

        Arguments
        ---------
        stage : Stage
            The training.
        labelled : dict
            Rows of the new domain, with pseudo-labels.

        Returns
        -------
        dict
            Rows of both.
        """
        return labelled | self._replayed(stage)

    def _round(self, number: int, neurons: Mapping[str, Any]) -> None:
        folder = self.folder / f"round{number}"
        folder.mkdir(parents=True, exist_ok=True)
        learn, held = self._labels(folder)
        for place, stage in enumerate(self.stages, start=1):
            name = f"round{number}/stage{place}"
            self._stage(name, stage, neurons, learn, held)

    def _labels(self, folder: Path) -> tuple[Rows, Rows]:
        """Pseudo-labelled rows to learn from, and those held back."""
        path = folder / "labels.json"
        run_on_main(self._write_labels, args=[path])
        chosen = choose_labels(load_labels(path), self.hparams["fraction"])
        parts = hold_back(
            chosen, self.hparams["held_back"], self.hparams["seed"]
        )
        return tuple(self._labelled(part) for part in parts)

    def _write_labels(self, path: Path) -> None:
        if path.exists():
            return
        # Views draw; a run that goes on must not get other labels.
        with draws_for(self.hparams["seed"], path.parent.name):
            save_labels(self.label(), path)

    def _labelled(self, labels: Mapping[str, PseudoLabel]) -> Rows:
        return {
            name: self.speech.target[name] | {"labels": label.tokens}
            for name, label in labels.items()
        }

    def _stage(
        self,
        name: str,
        stage: Stage,
        neurons: Mapping[str, Any],
        learn: Rows,
        held: Rows,
    ) -> None:
        """Train one stage, unless its result is there already. Whatever goes
        wrong, the model is what it was before."""
        done = self.folder / name / "best.ckpt"
        update = stage.begin(self.encoder, neurons, self.hparams["outgoing"])
        try:
            if not main_process_only(done.exists)():
                self._train_stage(name, stage, update, learn, held)
            best = torch.load(done, map_location="cpu", weights_only=True)
            update.load_state_dict(best)
        except BaseException:
            update.undo()
            raise
        update.finish()

    def _train_stage(
        self, name: str, stage: Stage, update: Any, learn: Rows, held: Rows
    ) -> None:
        train = self._dataset(self.lesson(stage, learn))
        stopping = self._fit(name, stage, update, train, held)
        if stopping.best is None:
            raise TrainingError(
                f"The held-back loss of {name} was never a number; lower "
                f"the learning rate from {stage.lr}."
            )
        update.load_state_dict(stopping.best)
        self._refuse_silence(name, stage, held)
        run_on_main(self._keep_stage, args=[name, stopping.best])

    def _refuse_silence(self, name: str, stage: Stage, held: Rows) -> None:
        """A learning rate too high leads CTC back to where it began: a model
        that gives nothing but blanks, of which a loss does not tell."""
        heard = self._brain().label(self._dataset(held), 0, **self._loader)
        if any(label.tokens for label in heard.values()):
            return
        raise TrainingError(
            f"After {name}, the model hears nothing in any of the {len(held)} "
            "held-back utterances, in all of which it heard something before; "
            f"lower the learning rate from {stage.lr}, or raise warmup from "
            f"{self.hparams['warmup']}, and choose another output_folder."
        )

    def _keep_stage(self, name: str, best: Mapping[str, Any]) -> None:
        _save(best, self.folder / name / "best.ckpt")
        self._log(name)

    def _fit(
        self, name: str, stage: Stage, update: Any, train: Any, held: Rows
    ) -> EarlyStopping:
        """Train one stage; what it returns has the best state."""
        sampler = ShortFirstSampler(
            [train.data[name]["duration"] for name in train.data_ids],
            max_batch_length=self.hparams["max_batch_length"],
            seed=self.hparams["seed"],
            accumulated=self._accumulated,
            num_buckets=self.hparams["num_buckets"],
        )
        parts = self._training_parts(stage, sampler.epoch_steps)
        folder = self.folder / name
        brain = self._brain(
            update,
            {
                "stage_name": name,
                "loss": stage.loss,
                "log": EpochLog(folder / "epochs.jsonl"),
                **parts,
            },
            opt_class=self._optimiser(parts["lr_annealing"]),
            checkpointer=AtomicCheckpointer(
                folder / "save", {"model": self.encoder, **parts}
            ),
        )
        brain.train_sampler = sampler
        brain.fit(
            parts["epoch_counter"],
            train,
            self._dataset(held),
            train_loader_kwargs={"batch_sampler": sampler},
            valid_loader_kwargs=self._loader,
        )
        return parts["stopping"]

    @property
    def _accumulated(self) -> int:
        """How many batches the Brain takes for a step."""
        return self._option("grad_accumulation_factor", 1)

    def _option(self, name: str, default: Any) -> Any:
        """What the Brain will take for one of its options."""
        return {**self.hparams, **self.run_opts}.get(name, default)

    def _training_parts(self, stage: Stage, steps: int) -> dict[str, Any]:
        """What a stage trains with and a checkpoint must hold; ``steps`` are
        those of the optimiser in an epoch."""
        stopping = EarlyStopping(self.hparams["patience"])
        return {
            "stopping": stopping,
            "epoch_counter": EpochsUntilStopping(stage.epochs, stopping),
            # Without the decline, the noise of the last steps stays in the
            # weights, and an averaged starting model is better than that.
            "lr_annealing": LinearWarmupScheduler(
                stage.lr,
                round(self.hparams["warmup"] * stage.epochs * steps),
                stage.epochs * steps,
            ),
        }

    def _optimiser(self, schedule: Any) -> Callable[..., Any]:
        return functools.partial(
            self.hparams["opt_class"],
            lr=schedule.calculate_lr(0),
            weight_decay=self.hparams["weight_decay"],
        )

    def _replayed(self, stage: Stage) -> Rows:
        """Labelled speech, drawn anew for no stage."""
        labelled = self.speech.labelled()
        number = round(stage.replay * len(labelled))
        rng = np.random.default_rng(self.hparams["seed"])
        drawn = rng.permutation(sorted(labelled))[:number].tolist()
        rows = {name: labelled[name] for name in drawn}
        tokenizer = self.recogniser.tokenizer
        return with_tokens(rows, tokenizer, self.hparams["blank_index"])

    # ------------------------------------------------------------- helpers

    def _kept(self, name: str, make: Callable[[], Any]) -> Any:
        """What was made before the run was stopped, or make it."""
        path = self.folder / name
        if not main_process_only(path.exists)():
            run_on_main(_save, args=[make(), path])
        return torch.load(path, weights_only=False)

    @property
    def _loader(self) -> dict[str, Any]:
        return self.hparams["valid_dataloader_opts"]

    def _dataset(self, rows: Rows) -> Any:
        return speech_dataset(rows, self.speech.read)

    def _waveforms(self, rows: Rows) -> Iterator[tuple[Tensor, Tensor]]:
        loader = SaveableDataLoader(
            self._dataset(rows), collate_fn=PaddedBatch, **self._loader
        )
        for batch in loader:
            yield tuple(batch.sig)

    def _brain(
        self,
        update: Any = None,
        hparams: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AdaptationASR:
        """A Brain that learns, or by default one that only decodes."""
        return AdaptationASR.of(
            self.recogniser,
            update,
            {**self.hparams, **(hparams or {})},
            run_opts=dict(self.run_opts),
            **options,
        )

    def _log(self, name: str) -> None:
        """Add a stage's epochs to the log of the whole run."""
        whole = EpochLog(self.folder / "adaptation.jsonl")
        for line in EpochLog(self.folder / name / "epochs.jsonl").lines():
            whole.append({"stage": name, **line})

    def _write(
        self,
        start: str,
        neurons: Mapping[str, Any],
        results: Mapping[str, Any],
    ) -> None:
        self._write_model(results)
        self._write_patch(start, neurons)
        write_json(self.folder / "adaptation.json", results)

    def _write_model(self, results: Mapping[str, Any]) -> None:
        """The adapted model's directory."""
        model = self.folder / "model"
        source = Path(self.hparams["starting_model"])
        shutil.copytree(source, model, dirs_exist_ok=True)
        with atomic_path(model / "model.ckpt") as temporary:
            torch.save(self.recogniser.hparams.model.state_dict(), temporary)
        name = self.hparams["experiment_name"]
        card = adapted_card(name, source.resolve().parent.name, results)
        write_card(model, card)

    def _write_patch(self, start: str, neurons: Mapping[str, Any]) -> None:
        """What differs, if that is the chosen neurons alone."""
        if any(stage.update != "neurons" for stage in self.stages):
            return
        adapted = copy.deepcopy(self.encoder)
        update = selective_update(adapted, neurons, self.hparams["outgoing"])
        patch = DomainPatch(start, update.patch().entries)
        patch.save(self.folder / "patch.safetensors")

    def _check_layers(self) -> None:
        layers = self.hparams["layers"]
        try:
            find_taps(self.encoder, layers)
        except UnitsError as error:
            raise SelectionError(
                f"The yaml's layers={layers} do not fit the model. {error}"
            ) from error

    def _check_stopping(self) -> None:
        if self.hparams["patience"] is None and self.hparams["start_counts"]:
            raise SelectionError(
                "With patience=null the last state is always taken, so the "
                "start cannot count as start_counts=True demands; set "
                "start_counts to False, or patience to a number of epochs."
            )

    def _check_warmup(self) -> None:
        warmup = self.hparams["warmup"]
        if not 0.0 <= warmup < 1.0:
            raise SelectionError(
                f"The learning rate cannot rise for a share of warmup={warmup} "
                "of the steps; give a share from 0 to below 1."
            )

    def _check_replay(self) -> None:
        replays = any(stage.replay for stage in self.stages)
        if not replays or self.speech.home or self.speech.replayed:
            return
        raise SelectionError(
            f"Model {self.hparams['model']} replays home speech, of which "
            "there is none; set home_folder and home_splits, or replay_folder "
            "and replay_splits, or take a model without replay."
        )

    def _check_request(self, start: str) -> None:
        """Parts of another adaptation in the folder must not be used."""
        request = {name: self.hparams[name] for name in REQUEST}
        request = {
            "start": start,
            **{n: _plain(value) for n, value in request.items()},
            "grad_accumulation_factor": self._accumulated,
            "max_grad_norm": self._option("max_grad_norm", 5.0),
            "processes": process_count(),
            "stages": [asdict(stage) for stage in self.stages],
            "opt_class": _name_of(self.hparams["opt_class"]),
            "target": speech_key(self.speech.target),
            "home": speech_key(self.speech.home),
            "replayed": speech_key(self.speech.replayed),
        }
        path = self.folder / "request.json"
        if not path.exists():
            write_json(path, request)
        found = json.loads(path.read_text(encoding="utf-8"))
        for name, value in request.items():
            if found.get(name) != value:
                raise SelectionError(
                    f"The output folder {self.folder} holds an adaptation "
                    f"with {name}={found.get(name)}, not {value}; choose "
                    "another output_folder, or remove that one."
                )


def _stages(models: Mapping[str, Any], name: str) -> list[Stage]:
    if name not in models:
        raise SelectionError(
            f"The yaml has no model {name}; choose one of {', '.join(models)}."
        )
    return [Stage.read(one) for one in models[name]]


def _save(content: Any, path: Path) -> None:
    with atomic_path(path) as temporary:
        torch.save(content, temporary)


def _share(rows: Rows) -> Rows:
    """Those that this process reads, every one by one process."""
    names = list(rows)[process_number() :: process_count()]
    return {name: rows[name] for name in names}


def _plain(value: Any) -> Any:
    """A value as JSON gives it back."""
    return list(value) if isinstance(value, (list, tuple)) else value


def _name_of(maker: Any) -> str:
    """A class or function, and what it is given beforehand."""
    given = getattr(maker, "keywords", {})
    maker = getattr(maker, "func", maker)
    options = "".join(f", {name}={given[name]}" for name in sorted(given))
    return f"{maker.__module__}.{maker.__qualname__}{options}"


def _encode(encoder: Any, wavs: Tensor, lengths: Tensor) -> Tensor:
    return encoder(wavs, lengths)
