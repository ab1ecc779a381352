"""One draw of a gate for all the places that its units pass.

Where layers take statistics over units or bring them back, one mask is needed
at several places. A decision (evaluation, a plan, a settled gate) is the same
at each of them, so each asks the gate itself, and passes that run at once in
several threads do not meet. A draw is kept by its first place for the others.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import weakref
from typing import Any

import torch
from torch import Tensor, nn

from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.gates.gate import UnitGate


class SharedDraw(nn.Module):
    """A gate over units that pass several places.

    Arguments
    ---------
    units : UnitGate
        The gate.
    """

    def __init__(self, units: UnitGate) -> None:
        super().__init__()
        self.units = units
        self.drawn: Tensor | None = None

    def __getstate__(self) -> dict[str, Any]:
        """A draw that an interrupted pass left can be neither copied nor
        pickled."""
        return {**self.__dict__, "drawn": None}

    def __setattr__(self, name: str, value: Any) -> None:
        """Lead the followers that are registered, as DataParallel does with
        those of a replica."""
        super().__setattr__(name, value)
        if isinstance(value, Follower):
            value.follow(self)

    @property
    def leader(self) -> "SharedDraw":
        """Who draws, as in followers."""
        return self

    def mask(
        self,
        utterances: int,
        dtype: torch.dtype,
        first: bool = True,
        last: bool = True,
    ) -> Tensor | None:
        """The mask at one of the places.

        Arguments
        ---------
        utterances : int
            How many there are, for a draw.
        dtype : torch.dtype
            Of the units.
        first : bool
            Whether this is the first place of a pass.
        last : bool
            Whether it is the last one, after which a draw is forgotten.

        Returns
        -------
        torch.Tensor or None
            ``(utterances or 1, *shape)``; None if all units are present.

        Raises
        ------
        TrainingError
            If there is no draw, because the first place was not passed.
        """
        units = self.units
        if units.idle:
            return None
        if not units.draws:
            return units.mask(utterances).to(dtype)
        mask = units.mask(utterances).to(dtype) if first else self._kept()
        self.drawn = None if last else mask
        return mask

    def _kept(self) -> Tensor:
        if self.drawn is None:
            raise TrainingError(
                f"The draw of a gate over {self.units.size} units is missing "
                "where it is needed again, since its places ran apart from "
                "each other; let gradient checkpoints hold the whole layer or "
                "chain, and run a part of it in evaluation only."
            )
        return self.drawn


class Follower(nn.Module):
    """A place that repeats what a ``SharedDraw`` draws elsewhere.

    It is registered with the gate as well as in its place. It has no
    parameters, so it adds nothing to a state dict. It knows the gate weakly:
    one that is replaced is gone at once.
    """

    def follow(self, leader: SharedDraw) -> None:
        """Repeat the draws of a gate.

        Arguments
        ---------
        leader : SharedDraw
            The gate, known weakly.
        """
        self._leader = weakref.ref(leader)

    @property
    def leader(self) -> SharedDraw:
        """Who draws.

        Raises
        ------
        TrainingError
            If that is gone: a part of a layer was copied without it.
        """
        leader = self._leader()
        if leader is None:
            raise TrainingError(
                "The gate of this part of a layer is gone; copy the whole "
                "layer, or take its gates off first."
            )
        return leader

    def __getstate__(self) -> dict[str, Any]:
        """Weak references can be neither copied nor pickled."""
        return {**self.__dict__, "_leader": self.leader}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Be copied or unpickled."""
        super().__setstate__(state)
        self.follow(state["_leader"])
