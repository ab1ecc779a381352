"""What an existing SpeechBrain ``Brain`` needs to prune while it trains.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from types import SimpleNamespace
from typing import Any

import torch
from speechbrain.utils.distributed import main_process_only
from speechbrain.utils.logger import get_logger

from speechbrain_neuronprune.attach import adaptive_dropouts
from speechbrain_neuronprune.brains.informing import InformingMixin
from speechbrain_neuronprune.brains.overrides import OverridesMixin
from speechbrain_neuronprune.brains.settings import check_settings
from speechbrain_neuronprune.brains.steering import SteeringMixin
from speechbrain_neuronprune.informing import SPREAD
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.processes import check_batch_norms
from speechbrain_neuronprune.settling import settle
from speechbrain_neuronprune.shrinking import remaining, whole_form
from speechbrain_neuronprune.training.draws import draw_apart

logger = get_logger(__name__)

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


class AdaptiveDropoutMixin(OverridesMixin, SteeringMixin, InformingMixin):
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

    A Brain's own ``on_stage_end`` and ``freeze_optimizers`` need not call
    ``super()``. Its ``on_fit_start``, ``init_optimizers`` and
    ``optimizers_step`` must, and its ``fit_batch`` must call
    ``self.optimizers_step()``; training is refused otherwise.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        given = vars(getattr(self, "hparams", SimpleNamespace()))
        self.hparams = SimpleNamespace(**DEFAULTS | given)

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

    def on_fit_start(self) -> None:
        """Recover, and let every part go on from there."""
        self._started = True
        check_batch_norms(self.modules, self.device)
        if self.schedule is not None:
            check_settings(self.hparams)
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
        self._begin_log()
        self._watch_steps()

    def optimizers_step(self) -> None:
        """Step the optimisers, then c(t): once per step, never per batch,
        and not with a step that the scaler of fp16 skips."""
        self._see_steps()
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
        self._warn_of_another_plan()
        for gate in gates:
            gate.logits.requires_grad_(False)
        if self.hparams.shrink:
            self._shrink_as_before()
        self._rewrap()

    @main_process_only
    def _warn_of_another_plan(self) -> None:
        """Say so where the hyperparameters ask for other units than those
        that were settled, and then trained."""
        settled = {
            name: gate.keep().flatten().cpu()
            for name, gate in adaptive_dropouts(self.pruned).items()
        }
        planned = self.make_plan().keep
        if any(not torch.equal(planned[n], settled[n]) for n in settled):
            logger.warning(
                "The hyperparameters ask for %d units, but the units were "
                "settled before, %d of them: the finished model will have "
                "the former without any training for them. Give the "
                "hyperparameters of before, or go on from a checkpoint of "
                "before settle_step.",
                sum(int(keep.sum()) for keep in planned.values()),
                sum(int(keep.sum()) for keep in settled.values()),
            )

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

    def _plan(self, **rule: float | int) -> PruningPlan:
        return PruningPlan.from_retention(
            whole_form(self.pruned),
            round_to=self.hparams.round_to,
            balance_heads=self.hparams.balance_heads,
            **rule,
        )
