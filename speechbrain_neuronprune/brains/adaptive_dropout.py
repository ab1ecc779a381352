"""What an existing SpeechBrain ``Brain`` needs to prune while it trains.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import speechbrain as sb
import torch
from speechbrain.utils.distributed import if_main_process, main_process_only
from torch import Tensor, nn
from torch.optim import Optimizer

from speechbrain_neuronprune.attach import (
    adaptive_dropouts,
    retention_logits,
)
from speechbrain_neuronprune.brains.informing import InformingMixin
from speechbrain_neuronprune.brains.retention_figures import (
    alive_units,
    retention_figures,
    schedule_figures,
)
from speechbrain_neuronprune.brains.shrinking import ShrinkingMixin
from speechbrain_neuronprune.brains.steering import SteeringMixin
from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.gates.schedule import RetentionSchedule
from speechbrain_neuronprune.informing import SPREAD
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.processes import (
    check_batch_norms,
    rewrapped,
    unwrapped,
)
from speechbrain_neuronprune.settling import settle
from speechbrain_neuronprune.shrinking import (
    remaining,
    schedule_of,
    whole_form,
)
from speechbrain_neuronprune.training.draws import draw_apart
from speechbrain_neuronprune.training.epoch_log import EpochLog
from speechbrain_neuronprune.units import count_parameters

# What holds where the hyperparameters do not say
DEFAULTS = {
    # Which units stay
    "target_parameters": None,
    "threshold": None,
    "round_to": 1,
    "balance_heads": False,
    # How training comes to that
    "steer_size": False,
    "inform_spread": SPREAD,
    "settle_step": None,
    "shrink": False,
    "shrink_every": None,
    "shrink_below": 0.01,
}


class AdaptiveDropoutMixin(SteeringMixin, InformingMixin, ShrinkingMixin):
    """Makes a ``Brain`` train the gates of one of its modules.

    Put it before the Brain in the bases. It needs the gates attached to the
    module called ``pruned_module`` (``attach_adaptive_dropout``), and in the
    hyperparameters ``logits_opt_class``, the optimiser of the gates' logits:
    ``torch.optim.Adam`` with a learning rate of its own, which no schedule
    lowers, and ``weight_decay`` 2 * gamma, the pull towards c(t) (Kubo et al.,
    eq. 5, reparametrised). All other parameters are the business of the
    Brain's ``opt_class``, or of its own ``init_optimizers``. A model without
    gates trains as it would without the mixin.

    Optional hyperparameters say which units stay, see ``PruningPlan``: the
    size of the whole model, ``target_parameters`` (default None), or, without
    one, the ``threshold`` (default None: c_end); ``round_to`` (1) and
    ``balance_heads`` (False).

    With ``steer_size: True`` among the hyperparameters, training itself is led
    to ``target_parameters``, see ``steer_size``, and the threshold c_end then
    leaves that size.

    With gates of the kind ``InformedDropout``, the logits begin, when c(t)
    begins to decline, with what the gates have noted of the units'
    importance, see ``inform``; ``inform_spread`` says how far apart.

    With a ``settle_step`` among the hyperparameters, the units are decided at
    that step, by the rule of ``make_plan``, and the remaining steps train the
    network that will be left.

    With ``shrink: True`` among the hyperparameters, the units that are decided
    against leave the model at ``settle_step``, optimisers included, and all
    later steps cost less. With ``shrink_every``, units also leave before: after
    every so many epochs those which ``make_plan`` would remove and which are
    drawn with a probability below ``shrink_below``. After ``fit``, the model
    has its shapes back, see ``shrinking.grow``.

    With ``output_folder`` among the hyperparameters, a line per epoch goes to
    ``retention.jsonl`` there.
    """

    pruned_module = "Transformer"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        given = vars(getattr(self, "hparams", SimpleNamespace()))
        self.hparams = SimpleNamespace(**DEFAULTS | given)

    @property
    def pruned(self) -> nn.Module:
        """The module with the gates, without its distributed wrapper."""
        return unwrapped(self.modules[self.pruned_module])

    @property
    def schedule(self) -> RetentionSchedule | None:
        """c(t), shared by the gates; None for a model without any."""
        return schedule_of(self.pruned)

    @property
    def learned_retention(self) -> bool:
        """Whether the plan is what gates have learned, for the model card."""
        return self.schedule is not None

    @property
    def final_step(self) -> int:
        """The optimiser step at which c(t) has reached its end and the units
        are settled, if they shall be (0 without gates)."""
        schedule = self.schedule
        if schedule is None:
            return 0
        return max(schedule.end, self.hparams.settle_step or 0)

    @property
    def final_phase(self) -> bool:
        """Whether that step is taken (true without gates)."""
        return self.schedule is None or self.schedule.step >= self.final_step

    # ------------------------------------------------------------ optimisers

    def init_optimizers(self) -> None:
        """Take the logits from the Brain's optimisers; give them their own."""
        self._refuse_followed_schedule()
        self._steer()
        super().init_optimizers()
        self._refuse_no_optimizer()
        logits = list(retention_logits(self.pruned))
        for optimizer in self.optimizers_dict.values():
            for group in optimizer.param_groups:
                group["params"] = _without(group["params"], logits)
        if logits:
            self.logits_optimizer = self.hparams.logits_opt_class(logits)
            self.optimizers_dict["logits_opt_class"] = self.logits_optimizer
            self._make_recoverable("logits_optimizer", self.logits_optimizer)

    def _refuse_followed_schedule(self) -> None:
        if self.schedule is not None and self.schedule.follower is not None:
            raise TrainingError(
                "The schedule of this Brain's gates would advance twice per "
                "step: AdaptiveDropoutMixin advances it, and gamma makes it "
                "follow the optimiser. Leave gamma out of "
                "attach_adaptive_dropout, or the mixin out of the Brain."
            )

    def _refuse_no_optimizer(self) -> None:
        if self.optimizers_dict is None:
            raise TrainingError(
                f"The optimizers_dict of {type(self).__name__} is None, so "
                "nothing would train its model; give it an opt_class, or an "
                "init_optimizers that fills optimizers_dict."
            )

    def _refuse_bypassed_optimizer(self) -> None:
        if self.schedule and "logits_opt_class" not in self.optimizers_dict:
            raise TrainingError(
                f"The init_optimizers of {type(self).__name__} replaces that "
                "of AdaptiveDropoutMixin, so the logits have no optimiser of "
                "their own; move it to a Brain that stands behind the mixin "
                "in the bases."
            )

    def _renew_logits_settings(self) -> None:
        """What the hyperparameters say of the logits' optimiser counts, also
        where a checkpoint of before says otherwise: no schedule changes it."""
        if self.schedule is not None:
            for group in self.logits_optimizer.param_groups:
                group.update(self.logits_optimizer.defaults)

    def _make_recoverable(self, name: str, thing: Any) -> None:
        if self.checkpointer is not None:
            self.checkpointer.add_recoverable(name, thing)

    def freeze_optimizers(
        self, optimizers: dict[str, Optimizer]
    ) -> dict[str, Optimizer]:
        """Leave out those that have no gradients, such as that of settled
        logits: the scaler of fp16 refuses to step them."""
        active = super().freeze_optimizers(optimizers)
        return {
            name: optimizer
            for name, optimizer in active.items()
            if _has_gradients(optimizer)
        }

    def optimizers_step(self) -> None:
        """Step the optimisers, then c(t): once per step, never per batch,
        and not with a step that the scaler of fp16 skips."""
        scale = self.scaler.get_scale()
        super().optimizers_step()
        schedule = self.schedule
        # A lower scale is what tells a step that was skipped.
        if schedule is None or self.scaler.get_scale() < scale:
            return
        schedule.advance()
        if schedule.step == schedule.hold:
            self._inform()
        if schedule.step == self.hparams.settle_step:
            self._settle()

    # ------------------------------------------------------------ decisions

    def _settle(self) -> None:
        self._steer_exactly()
        # One process decides for all of them.
        plan = main_process_only(self.make_plan)()
        settle(self.pruned, remaining(self.pruned, plan))
        if self.hparams.shrink:
            self._shrink(plan)
        self._rewrap()

    def _stay_settled(self) -> None:
        """Let settled logits learn no more. Those of a run that goes on with
        an earlier ``settle_step`` are settled late."""
        gates = adaptive_dropouts(self.pruned).values()
        if not all(gate.settled for gate in gates):
            self._settle()
            return
        self.schedule.steering = None  # what is settled is led nowhere
        for gate in gates:
            gate.logits.requires_grad_(False)
        if self.hparams.shrink:
            self._shrink_as_before()
        self._rewrap()

    def _rewrap(self) -> None:
        """No process may wait for the gradients of logits that are settled."""
        name = self.pruned_module
        self.modules[name] = rewrapped(self.modules[name])

    @property
    def _settling_is_due(self) -> bool:
        step = self.hparams.settle_step
        return step is not None and self.schedule.step >= step

    def make_plan(self) -> PruningPlan:
        """Decide which units stay: by c_end if the training was steered to
        its size, else as the hyperparameters say, by ``target_parameters``
        of the whole model or by ``threshold``.

        Returns
        -------
        PruningPlan
            It names no group if the model has no gates.
        """
        if self.schedule is None:
            return PruningPlan({})
        if self.hparams.steer_size and self.schedule.units >= 0:
            return self._plan()
        target = self.hparams.target_parameters
        if target is not None:
            return self.plan_for(target)
        return self._plan(threshold=self.hparams.threshold)

    def plan_for(self, target: float | int) -> PruningPlan:
        """The plan that leaves a given size.

        Arguments
        ---------
        target : float or int
            Parameters of the whole model, not of the module with gates
            alone: a share or a count.

        Returns
        -------
        PruningPlan
            Which units stay.
        """
        return self._plan(
            target_parameters=target, others=self.other_parameters
        )

    @property
    def other_parameters(self) -> int:
        """Parameters outside of the module with gates."""
        return count_parameters(self.modules) - count_parameters(self.pruned)

    def _plan(self, **rule: float | int) -> PruningPlan:
        return PruningPlan.from_retention(
            whole_form(self.pruned),
            round_to=self.hparams.round_to,
            balance_heads=self.hparams.balance_heads,
            **rule,
        )

    def check_loss_isfinite(self, loss: Tensor) -> None:
        """Stop with a clear message before a loss that is not a number can
        reach the parameters, and so a checkpoint.

        Arguments
        ---------
        loss : torch.Tensor
            The loss of a batch, a scalar.

        Raises
        ------
        TrainingError
            If it is not finite, unless the steps with such losses leave the
            parameters alone; a few of them are borne then.
        """
        if torch.isfinite(loss):
            return
        if self.scaler.is_enabled() or self.skip_nonfinite_grads:
            self.nonfinite_count += 1  # such steps leave the parameters alone
            if self.nonfinite_count <= self.nonfinite_patience:
                return
        raise TrainingError(
            f"The loss is {loss.item()} at optimizer step "
            f"{self.optimizer_step + 1}; lower the learning rate, warm up "
            "longer, or pass --skip_nonfinite_grads if single utterances are "
            "to blame. The last checkpoint is intact."
        )

    # --------------------------------------------------------------- the log

    def on_fit_start(self) -> None:
        """Recover, then drop log lines of epochs that will run again."""
        check_batch_norms(self.modules, self.device)
        self._check_shrinking()
        self._check_informing()
        super().on_fit_start()
        self._refuse_bypassed_optimizer()
        self._renew_logits_settings()
        draw_apart()
        self._stay_informed()
        if self.schedule is not None and self._settling_is_due:
            self._stay_settled()
        elif self.hparams.shrink:
            self._shrink_as_before()
            self._rewrap()
        if if_main_process() and self._retention_log is not None:
            self._retention_log.drop_after(self._epochs_done())

    def on_stage_end(
        self, stage: sb.Stage, stage_loss: float, epoch: int | None = None
    ) -> None:
        """Log the gates after validation, before a checkpoint is saved."""
        if stage == sb.Stage.TRAIN:
            self.train_loss = stage_loss
            self._let_go(epoch)
        if stage == sb.Stage.VALID and if_main_process():
            self._log_retention(stage_loss, epoch)
        super().on_stage_end(stage, stage_loss, epoch)

    def valid_figures(self) -> dict[str, float]:
        """More figures of this epoch for the retention log.

        Returns
        -------
        dict of str to float
            By name; none here, for subclasses to add.
        """
        return {}

    def retention_stats(self) -> dict[str, float]:
        """A few readable entries for the training log.

        Returns
        -------
        dict of str to Any
            c(t), the expected number of parameters, and the units alive of
            every kind; empty if there are no gates.
        """
        schedule = self.schedule
        if schedule is None:
            return {}
        figures = self._retention_figures()
        alive = alive_units(figures)
        return {
            "c": round(schedule.c(), 3),
            "expected parameters": figures["expected_parameters"],
            **{f"alive {kind}": number for kind, number in alive.items()},
        }

    @property
    def _retention_log(self) -> EpochLog | None:
        folder = getattr(self.hparams, "output_folder", None)
        return folder and EpochLog(Path(folder) / "retention.jsonl")

    def _epochs_done(self) -> int:
        counter = getattr(self.hparams, "epoch_counter", None)
        return 0 if counter is None else counter.current

    def _retention_figures(self) -> dict[str, Any]:
        whole = whole_form(self.pruned)
        return retention_figures(whole, self.other_parameters)

    def _log_retention(self, valid_loss: float, epoch: int) -> None:
        if self._retention_log is None:
            return
        line = {
            "epoch": epoch,
            "step": self.optimizer_step,
            **schedule_figures(self.schedule),
            **self._retention_figures(),
            "train_loss": _finite(getattr(self, "train_loss", None)),
            "valid_loss": _finite(valid_loss),
            **self.valid_figures(),
        }
        self._retention_log.append(line)


def _without(parameters: list[Tensor], excluded: list[Tensor]) -> list[Tensor]:
    unwanted = {id(parameter) for parameter in excluded}
    return [one for one in parameters if id(one) not in unwanted]


def _has_gradients(optimizer: Optimizer) -> bool:
    held = (p for group in optimizer.param_groups for p in group["params"])
    return any(p.grad is not None for p in held)


def _finite(value: float | None) -> float | None:
    """A float for JSON, which knows neither NaN nor infinity."""
    if value is None or not math.isfinite(value):
        return None
    return float(value)
