"""What is tried: checked before anything is computed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest

from speechbrain_neuronprune.analysis.settings import AnalysisSettings
from speechbrain_neuronprune.errors import SaliencyError, SelectionError


def test_the_defaults_are_those_of_the_paper():
    settings = AnalysisSettings()
    assert settings.criteria == ("mi", "obs", "mbp")
    assert settings.shares == (0.02, 0.04, 0.06, 0.08, 0.10, 0.12)
    assert (settings.hypo, settings.hyper) == (0.08, 0.04)
    assert settings.ablations == ("zero",)


def test_repetitions_are_dropped():
    settings = AnalysisSettings(
        ["mbp", "mi", "mbp"], [0.1, 0.1], ["hyper", "hyper"]
    )
    assert settings.criteria == ("mbp", "mi")
    assert settings.shares == (0.1,)
    assert settings.parts == ("hyper",)


def test_mean_ablation_comes_in_addition():
    assert AnalysisSettings(mean_ablation=True).ablations == ("zero", "mean")


@pytest.mark.parametrize("criteria", [("mutual",), ("mi", "")])
def test_an_unknown_criterion(criteria):
    with pytest.raises(
        SaliencyError, match="no criterion .*; use some of 'mi'"
    ):
        AnalysisSettings(criteria)


def test_no_criterion():
    with pytest.raises(SaliencyError, match="No criterion is given"):
        AnalysisSettings(())


@pytest.mark.parametrize("share", [0, -0.1, 1.2, float("nan")])
def test_a_share_out_of_range(share):
    with pytest.raises(SelectionError, match="% of a layer's neurons cannot"):
        AnalysisSettings(shares=(0.1, share))


def test_an_unknown_part():
    with pytest.raises(SelectionError, match="no part 'upper'; use some of hy"):
        AnalysisSettings(parts=("upper",))


def test_shares_that_overlap():
    with pytest.raises(SelectionError, match="70 % hypo and 40 % hyper .*over"):
        AnalysisSettings(hypo=0.7, hyper=0.4)


@pytest.mark.parametrize("ends", [(0, 0), (-0.1, 0.2), (float("nan"), 0.1)])
def test_shares_that_select_nothing(ends):
    with pytest.raises(SelectionError, match="select nothing"):
        AnalysisSettings(hypo=ends[0], hyper=ends[1])
