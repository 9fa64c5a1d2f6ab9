"""Counts of parameters and multiplications agree with those worked out by hand for the published network."""

import pytest

from manypath.network import Network
from manypath_lab.profile.count import MAIN, Part, parameters, parts
from manypath_lab.profile.published_steps import STEPS, released
from tests.tinylic.conftest import TASKS


def one(found: list[Part], stage: str, path: str = "", share: float | None = None) -> Part:
    (part,) = [part for part in found if (part.stage, part.path, part.main_share) == (stage, path, share)]
    return part


def test_costs_are_those_worked_out_for_the_published_network(network: Network) -> None:
    plain = parts(network, ())
    whole = parts(network, tuple(TASKS), predictors=True)
    expected = {
        ("analysis", "", 1.0): 197.2,
        ("analysis", "", 0.0): 140.3,
        ("hyper-analysis", "", None): 1.35,
        ("hyper-synthesis", "", None): 1.89,
        ("synthesis", "mse", 0.0): 197.2,
        ("synthesis", "classification", 1.0): 197.2,
        ("synthesis", "classification", 0.0): 140.3,
        ("synthesis", "segmentation", 0.0): 140.3,
    }
    for (stage, path, share), kilomacs in expected.items():
        assert one(whole, stage, path, share).kilomacs == pytest.approx(kilomacs, rel=0.01), (stage, path, share)
    assert one(plain, "synthesis", MAIN).kilomacs == pytest.approx(195.2, rel=0.01)
    half = one(whole, "synthesis", "segmentation", 0.5).kilomacs
    assert half == pytest.approx((197.2 + 140.3) / 2, rel=0.01)
    dear, cheap = (one(found, "analysis", "", 0.0).kilomacs for found in (whole, plain))
    assert cheap < dear - 1  # the predictors, where nothing is to choose
    assert one(plain, "context").kilomacs < 0.9 * 40.6  # every pass on the whole grid, as published


def test_every_parameter_is_counted_once(network: Network) -> None:
    found = parts(network, ("mse",))
    sides = 2 * (507_328 + 32_944)
    assert one(found, "synthesis", "mse", 1.0).parameters == 2_009_728 + 32_944
    assert sum(part.parameters for part in found) == 32_124_579 - sides


def test_the_published_network_grows_by_what_each_step_adds() -> None:
    models = [released(step).model for step in STEPS]
    counts = [parameters(model) for model in models]
    assert counts[0] == 28_338_211
    assert counts[2:] == [29_001_363, 32_124_579]
    assert counts[0] < counts[1] < counts[2]
    (analysis,) = [part for part in parts(models[0], ()) if part.stage == "analysis"]
    assert analysis.kilomacs == pytest.approx(195.2, rel=0.01)
    with pytest.raises(KeyError):
        released("tinylic/other")
