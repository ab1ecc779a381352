"""The pruning plan: for every group, which units stay.

A plan is made from gates or scores, saved as a small readable file, and is
the only thing that masking and compaction read.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

import torch
from speechbrain.utils.logger import get_logger
from torch import Tensor, nn

from speechbrain_neuronprune.attach import adaptive_dropouts
from speechbrain_neuronprune.errors import PlanError
from speechbrain_neuronprune.files import PathLike
from speechbrain_neuronprune.gates.adaptive_dropout import AdaptiveDropout
from speechbrain_neuronprune.plan_file import read_keep, write_keep
from speechbrain_neuronprune.selection import Selection, solve_for_parameters
from speechbrain_neuronprune.units import supported_units

logger = get_logger(__name__)

SELECTION_PARTS = ("hypo", "hyper", "medium")


class PruningPlan:
    """Which units of a model stay.

    Arguments
    ---------
    keep : mapping of str to torch.Tensor
        For each group's name a bool tensor (units,): True stays. Groups that
        a plan does not name stay whole.

    Example
    -------
    >>> plan = PruningPlan({"layers.0.ffn_module1": torch.arange(8) < 3})
    >>> path = getfixture("tmp_path") / "plan.json"
    >>> plan.save(path)
    >>> PruningPlan.load(path).keep["layers.0.ffn_module1"].sum()
    tensor(3)
    """

    def __init__(self, keep: Mapping[str, Tensor]) -> None:
        for name, units in keep.items():
            if not torch.is_tensor(units) or units.dtype != torch.bool:
                raise PlanError(
                    f"The plan's entry for {name} is not a bool tensor; give "
                    "one bool per unit, True for the units that stay."
                )
        self.keep = {
            name: units.detach().cpu().flatten().clone()
            for name, units in keep.items()
        }

    # ------------------------------------------------------------ making

    @classmethod
    def from_retention(
        cls,
        model: nn.Module,
        threshold: float | None = None,
        target_parameters: None | int | float = None,
        round_to: int = 1,
        balance_heads: bool = False,
        others: int = 0,
        fraction: float | None = None,
    ) -> "PruningPlan":
        """A plan from the learned retention logits of a gated model.

        Arguments
        ---------
        model : nn.Module
            A model with adaptive dropout attached.
        threshold : float, optional
            Units with beta < threshold go; by default the c_end of their
            gate's schedule (Kubo et al., sec. 2.3).
        target_parameters : int or float, optional
            Instead of a threshold: how many parameters the compact model
            shall have, as a count or as a fraction of the whole model; the
            threshold is solved for, one for all groups.
        round_to : int
            Units kept per group (and head) become a multiple of this, where
            the hardware likes it.
        balance_heads : bool
            The heads of a layer keep equally many units.
        others : int
            Parameters outside of this model, where it is part of a larger
            one, whose size ``target_parameters`` then is.
        fraction : float, optional
            Instead of a threshold: the share of each group's units that
            stays.

        Returns
        -------
        PruningPlan
            The plan.

        Raises
        ------
        PlanError
            If nothing is attached, a logit is not a number, or the target is
            out of reach.
        """
        gates = adaptive_dropouts(model)
        if not gates:
            raise PlanError(
                f"This {type(model).__name__} has no adaptive dropout to read "
                "a plan from; call attach_adaptive_dropout and train first."
            )
        _warn_if_still(gates)
        scores = {name: gate.beta().detach() for name, gate in gates.items()}
        if threshold is target_parameters is fraction is None:
            for name, gate in gates.items():
                scores[name] = scores[name] - gate.schedule.c_end
            threshold = 0.0
        return cls.from_scores(
            scores,
            model=model,
            threshold=threshold,
            fraction=fraction,
            target_parameters=target_parameters,
            round_to=round_to,
            balance_heads=balance_heads,
            others=others,
        )

    @classmethod
    def from_scores(
        cls,
        scores: Mapping[str, Tensor],
        model: nn.Module | None = None,
        threshold: float | None = None,
        fraction: float | None = None,
        target_parameters: None | int | float = None,
        round_to: int = 1,
        balance_heads: bool = False,
        others: int = 0,
    ) -> "PruningPlan":
        """A plan from one number per unit, the higher the more worth keeping.

        Arguments
        ---------
        scores : mapping of str to torch.Tensor
            Group name to saliency, (units,).
        model : nn.Module, optional
            The model; needed for ``target_parameters`` and for widths per
            head.
        threshold : float, optional
            Units below it go.
        fraction : float, optional
            Share of each group's units that stays, the highest first.
        target_parameters : int or float, optional
            As in ``from_retention``; scores are compared across groups.
        round_to : int
            As in ``from_retention``.
        balance_heads : bool
            As in ``from_retention``.
        others : int
            As in ``from_retention``.

        Returns
        -------
        PruningPlan
            The plan.

        Raises
        ------
        PlanError
            If not exactly one of the three rules is given, a score is not a
            number, or the target is out of reach.
        """
        rules = (threshold, fraction, target_parameters)
        if sum(rule is not None for rule in rules) != 1:
            raise PlanError(
                "A plan needs exactly one of threshold, fraction and "
                f"target_parameters, not {rules}; give one."
            )
        selection = Selection(scores, model, round_to, balance_heads)
        if threshold is not None:
            return cls(selection.above(threshold))
        if fraction is not None:
            return cls(selection.top(fraction))
        return cls(solve_for_parameters(selection, target_parameters, others))

    @classmethod
    def from_widths(
        cls, model: nn.Module, widths: Mapping[str, int | Sequence[int]]
    ) -> "PruningPlan":
        """A plan that knows sizes only: the first units of each group stay.

        It rebuilds the architecture of a compact model before its weights
        are loaded.

        Arguments
        ---------
        model : nn.Module
            The dense model.
        widths : mapping
            Group name to the number of units, or to a list of numbers, one
            per head, as ``widths()`` gives them.

        Returns
        -------
        PruningPlan
            The plan.

        Raises
        ------
        PlanError
            If the model has no such group, or a group has fewer units.
        """
        groups = supported_units(model)
        keep = {}
        for name, wanted in widths.items():
            if name not in groups:
                raise PlanError(_unknown_group(name, groups))
            present = groups[name].widths
            wanted = [wanted] if isinstance(wanted, Integral) else list(wanted)
            if len(wanted) != len(present) or any(
                not 0 <= new <= old
                for new, old in zip(wanted, present, strict=True)
            ):
                raise PlanError(
                    f"The widths {wanted} of group {name} do not fit into "
                    f"{list(present)}; build the dense model they came from."
                )
            heads = [
                torch.arange(old) < new
                for new, old in zip(wanted, present, strict=True)
            ]
            keep[name] = torch.cat(heads)
        return cls(keep)

    @classmethod
    def from_selection(
        cls,
        selection: Mapping[str, Any],
        remove: str | Iterable[str] = ("hypo", "hyper"),
    ) -> "PruningPlan":
        """A plan that removes parts of every layer's ranking (Mitra and Franco,
        sec. 5).

        Arguments
        ---------
        selection : mapping of str to NeuronSelection
            Group name to bool tensors ``hypo``, ``hyper`` and ``medium``, as
            ``select_hyper_hypo`` gives them.
        remove : str or iterable of str
            The parts that go, of ``hypo``, ``hyper`` and ``medium``.

        Returns
        -------
        PruningPlan
            The plan.

        Raises
        ------
        PlanError
            If a part has another name.
        """
        parts = [remove] if isinstance(remove, str) else list(remove)
        for part in parts:
            if part not in SELECTION_PARTS:
                raise PlanError(
                    f"A selection has no part {part!r}; remove any of "
                    f"{', '.join(SELECTION_PARTS)}."
                )
        keep = {}
        for name, neurons in selection.items():
            gone = torch.zeros_like(neurons.hypo)
            for part in parts:
                gone = gone | getattr(neurons, part)
            keep[name] = ~gone
        return cls(keep)

    # ------------------------------------------------------------ reading

    def check(self, model: nn.Module) -> None:
        """Refuse a model that the plan does not fit.

        Arguments
        ---------
        model : nn.Module
            Any model.

        Raises
        ------
        PlanError
            Names the group that does not fit.
        """
        groups = supported_units(model)
        for name, units in self.keep.items():
            if name not in groups:
                raise PlanError(_unknown_group(name, groups))
            if len(units) != groups[name].size:
                raise PlanError(
                    f"The plan has {len(units)} units for group {name}, the "
                    f"model has {groups[name].size}; use the plan with the "
                    "model that it was made for."
                )

    def widths(self, model: nn.Module) -> dict[str, int | list[int]]:
        """How many units stay, per group and where there are heads per head.

        Arguments
        ---------
        model : nn.Module
            The dense model.

        Returns
        -------
        dict
            Plain numbers, ready for yaml; see ``from_widths``.
        """
        self.check(model)
        groups = supported_units(model)
        widths: dict[str, int | list[int]] = {}
        for name, units in self.keep.items():
            heads = units.split(list(groups[name].widths))
            counts = [int(head.sum()) for head in heads]
            with_heads = groups[name].kind in ("query", "value")
            widths[name] = counts if with_heads else counts[0]
        return widths

    def __repr__(self) -> str:
        kept = sum(int(units.sum()) for units in self.keep.values())
        total = sum(len(units) for units in self.keep.values())
        return f"PruningPlan({len(self.keep)} groups, {kept} of {total} units)"

    # ------------------------------------------------------------ files

    def save(self, path: PathLike) -> None:
        """Write the plan as a small JSON file, atomically.

        Arguments
        ---------
        path : path-like
            Where.
        """
        write_keep(path, self.keep)

    @classmethod
    def load(cls, path: PathLike) -> "PruningPlan":
        """Read a plan that ``save`` has written.

        Arguments
        ---------
        path : path-like
            The file.

        Returns
        -------
        PruningPlan
            The plan.

        Raises
        ------
        PlanError
            If the file is missing, truncated, altered, or of a newer format.
        """
        return cls(read_keep(path))


def _warn_if_still(gates: Mapping[str, AdaptiveDropout]) -> None:
    """Training may have passed c(t) by without anybody noticing."""
    # The buffer: an average of models has others' buffers copied into it.
    if not any(gate.schedule.steps_taken for gate in gates.values()):
        logger.warning(
            "The schedule of the retention logits is at step 0, so nothing "
            "was learned about the units; attach the gates with gamma=, put "
            "AdaptiveDropoutMixin in front of the Brain, or call "
            "schedule.advance() after every optimiser step."
        )


def _unknown_group(name: str, groups: Mapping[str, Any]) -> str:
    present = ", ".join(groups) or "none"
    return (
        f"The plan names group {name}, which the model does not have; use the "
        f"plan with the model that it was made for. Groups here: {present}."
    )
