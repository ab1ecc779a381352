"""An adaptation, from pseudo-labels to the patch.

Label the new domain's speech with the starting model, choose the surest
utterances, rank the neurons, run the stages, measure before and after, and
write everything down. Whatever is finished is on disk, so a run that was
stopped goes on where it stopped. Of several processes, all rank neurons and
train, each on its share of the speech; the first alone decodes and writes.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from speechbrain.inference import EncoderASR
from speechbrain.utils.distributed import main_process_only, run_on_main
from torch import Tensor

from speechbrain_neuronprune.adaptation.pseudo_labels import PseudoLabel
from speechbrain_neuronprune.adaptation.stages import Stage, choose_neurons
from speechbrain_neuronprune.deploy.int8 import require_float
from speechbrain_neuronprune.domain_adaptation.checks import check_settings
from speechbrain_neuronprune.domain_adaptation.kept import (
    kept_figures,
    kept_neurons,
)
from speechbrain_neuronprune.domain_adaptation.lesson import (
    pseudo_labelled,
    replayed,
)
from speechbrain_neuronprune.domain_adaptation.model import AdaptingModel
from speechbrain_neuronprune.domain_adaptation.request import (
    check_request,
    describe_request,
)
from speechbrain_neuronprune.domain_adaptation.results import (
    write_model,
    write_patch,
)
from speechbrain_neuronprune.domain_adaptation.speech import DomainSpeech
from speechbrain_neuronprune.domain_adaptation.stage_training import (
    StageTraining,
)
from speechbrain_neuronprune.errors import SelectionError
from speechbrain_neuronprune.files import write_json
from speechbrain_neuronprune.fingerprint import fingerprint
from speechbrain_neuronprune.processes import process_count, process_number
from speechbrain_neuronprune.saliency import rank_neurons
from speechbrain_neuronprune.training.dataio import Rows, speech_key
from speechbrain_neuronprune.training.experiment import given


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

    @property
    def model(self) -> AdaptingModel:
        """The model, as it hears and learns here."""
        return AdaptingModel(
            self.recogniser, self.hparams, self.run_opts, self.speech.read
        )

    def run(self) -> dict[str, Any]:
        """Adapt, and measure before and after.

        Returns
        -------
        dict
            What is also written to ``adaptation.json``.
        """
        require_float(self.encoder, self.hparams["starting_model"])
        start = fingerprint(self.encoder)
        check_settings(self.model, self.stages, self.speech)
        run_on_main(self._check_request, args=[start])
        neurons = kept_neurons(self.folder / "selection.pt", self.neurons)
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

    # ----------------------------------------------- what may be overridden

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
            self.model.waveforms(rows),
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
            name: kept_figures(
                self.folder / f"before/{speech_key(rows)}.json",
                main_process_only(
                    functools.partial(self.model.count_errors, rows)
                ),
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
            name: self.model.count_errors(rows)
            for name, rows in self.speech.tests.items()
        }

    def label(self) -> dict[str, PseudoLabel]:
        """What the model, as it is now, makes of the new domain's speech.

        Returns
        -------
        dict of str to PseudoLabel
            By utterance.
        """
        return self.model.label(self.speech.target, self.hparams["views"])

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
        return labelled | replayed(
            self.speech,
            stage.replay,
            self.recogniser.tokenizer,
            self.hparams["blank_index"],
            self.hparams["seed"],
        )

    # ---------------------------------------------------------------- parts

    def _check_request(self, start: str) -> None:
        request = describe_request(start, self.model, self.stages, self.speech)
        check_request(self.folder, request)

    def _round(self, number: int, neurons: Mapping[str, Any]) -> None:
        """Label, and run all stages on these labels."""
        name = f"round{number}"
        path = self.folder / name / "labels.json"
        learn, held = pseudo_labelled(
            path, self.label, self.speech.target, self.hparams
        )
        for place, stage in enumerate(self.stages, start=1):
            self._stage(f"{name}/stage{place}", stage, neurons, learn, held)

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
        training = StageTraining(name, stage, self.model, self.folder)
        update = stage.begin(self.encoder, neurons, self.hparams["outgoing"])
        try:
            if not training.is_done:
                training.run(update, self.lesson(stage, learn), held)
            training.load(update)
        except BaseException:
            update.undo()
            raise
        update.finish()

    def _write(
        self,
        start: str,
        neurons: Mapping[str, Any],
        results: Mapping[str, Any],
    ) -> None:
        if all(stage.update == "neurons" for stage in self.stages):
            write_patch(
                self.folder / "patch.safetensors",
                self.encoder,
                start,
                neurons,
                self.hparams["outgoing"],
            )
        write_model(
            self.folder / "model",
            self.recogniser,
            self.hparams["starting_model"],
            self.hparams["experiment_name"],
            results,
        )
        write_json(self.folder / "adaptation.json", results)


def _stages(models: Mapping[str, Any], name: str) -> list[Stage]:
    if name not in models:
        raise SelectionError(
            f"The yaml has no model {name}; choose one of {', '.join(models)}."
        )
    return [Stage.read(one) for one in models[name]]


def _share(rows: Rows) -> Rows:
    """Those that this process reads, every one by one process."""
    names = list(rows)[process_number() :: process_count()]
    return {name: rows[name] for name in names}


def _encode(encoder: Any, wavs: Tensor, lengths: Tensor) -> Tensor:
    return encoder(wavs, lengths)
