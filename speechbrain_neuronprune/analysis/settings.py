"""What an analysis shall try.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from dataclasses import dataclass

from speechbrain_neuronprune.errors import SaliencyError, SelectionError
from speechbrain_neuronprune.saliency import CRITERIA
from speechbrain_neuronprune.saliency.measure import WINDOW, Settings
from speechbrain_neuronprune.saliency.ranking import find_criteria
from speechbrain_neuronprune.units import Targets

PARTS = ("hypo", "hyper", "medium", "random")
SHARES = (0.02, 0.04, 0.06, 0.08, 0.10, 0.12)


@dataclass(frozen=True)
class AnalysisSettings:
    """Criteria, and what is removed by them.

    Arguments
    ---------
    criteria : tuple of str
        See ``rank_neurons``; Mitra and Franco's three by default.
    shares : tuple of float
        Shares of a layer's neurons that are removed; Mitra and Franco's by
        default (sec. 5).
    parts : tuple of str
        Where in the ranking they are taken from: ``hypo`` (the lowest),
        ``hyper`` (the highest), ``medium`` (see ``medium_like``), ``random``
        (see ``random_like``; it is the same for all criteria).
    hypo : float
        Share of the hypo neurons that are removed together with
    hyper : float
        this share of hyper neurons. The defaults are what Mitra and Franco
        recommend (sec. 5.4).
    layers : str or iterable of str, optional
        Targets, as in ``find_units``; None takes all fully connected groups.
    together : str or iterable of str, optional
        The layers from which neurons are also removed at the same time;
        None takes all the analysed ones. Mitra and Franco leave the last one
        out.
    mean_ablation : bool
        Also replace removed neurons by their mean activations, not only by
        zeros.
    window : int
        As in ``rank_neurons``.
    frame_stride : int
        As in ``rank_neurons``.
    seed : int
        Of the random controls and of the choice of ranking speech.

    Raises
    ------
    SaliencyError
        If a criterion is unknown.
    SelectionError
        If a part is unknown, or shares are out of range or overlap.

    Example
    -------
    >>> AnalysisSettings(criteria=("mi",), shares=(0.1,)).parts
    ('hypo', 'hyper', 'medium', 'random')
    """

    criteria: tuple[str, ...] = ("mi", "obs", "mbp")
    shares: tuple[float, ...] = SHARES
    parts: tuple[str, ...] = PARTS
    hypo: float = 0.08
    hyper: float = 0.04
    layers: Targets = None
    together: Targets = None
    mean_ablation: bool = False
    window: int = WINDOW
    frame_stride: int = Settings.frame_stride
    seed: int = 0

    def __post_init__(self) -> None:
        for field in ("criteria", "shares", "parts"):
            distinct = tuple(dict.fromkeys(getattr(self, field)))
            object.__setattr__(self, field, distinct)
        self._check_names()
        self._check_shares()

    @property
    def ablations(self) -> tuple[str, ...]:
        """What stands in place of removed neurons."""
        return ("zero", "mean") if self.mean_ablation else ("zero",)

    def _check_names(self) -> None:
        find_criteria(self.criteria)
        for part in self.parts:
            if part not in PARTS:
                raise SelectionError(
                    f"A ranking has no part {part!r}; use some of "
                    f"{', '.join(PARTS)}."
                )
        if not self.criteria:
            raise SaliencyError(
                "No criterion is given to rank neurons by; use some of "
                f"{', '.join(CRITERIA)}."
            )

    def _check_shares(self) -> None:
        for share in self.shares:
            if not 0 < share <= 1:
                raise SelectionError(
                    f"{100 * share:g} % of a layer's neurons cannot be "
                    "removed; give shares above 0 % and up to 100 %."
                )
        if not (min(self.hypo, self.hyper) >= 0 and self.hypo + self.hyper > 0):
            raise SelectionError(
                f"Shares of {100 * self.hypo:g} % hypo and "
                f"{100 * self.hyper:g} % hyper neurons select nothing; give "
                "numbers that are not negative and not both 0."
            )
        if self.hypo + self.hyper > 1:
            raise SelectionError(
                f"Shares of {100 * self.hypo:g} % hypo and "
                f"{100 * self.hyper:g} % hyper neurons overlap; give numbers "
                "that add up to at most 100 %."
            )
