"""Counts of multiplications agree with those worked out by hand for the published network."""

import pytest

from manypath.model import MPAModel
from manypath_lab.profile import parts
from tests.tinylic.conftest import TASKS


def test_costs_are_those_worked_out_for_the_published_network(network: MPAModel) -> None:
    plain = {part.name: part.kilomacs for part in parts(network, ())}
    whole = {part.name: part.kilomacs for part in parts(network, tuple(TASKS), predictors=True)}
    expected = {
        "analysis, quality 8": 197.2,
        "analysis, quality 1": 140.3,
        "hyper-analysis": 1.35,
        "hyper-synthesis": 1.89,
        "synthesis, mse": 197.2,
        "synthesis, classification": 140.3,
        "synthesis, segmentation": 140.3,
    }
    for name, kilomacs in expected.items():
        assert whole[name] == pytest.approx(kilomacs, rel=0.01), name
    assert plain["synthesis, main path"] == pytest.approx(195.2, rel=0.01)
    assert plain["analysis, quality 1"] < whole["analysis, quality 1"] - 1  # the predictors, where nothing is to choose
    assert plain["context"] < 0.9 * 40.6  # every pass on the whole grid, as published
