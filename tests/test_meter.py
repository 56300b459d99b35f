"""Means of scalars."""

import pytest
import torch

from ganexp.meter import Meter, merged

CPU = torch.device("cpu")


def scalars(**values: float) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(value) for name, value in values.items()}


def filled() -> Meter:
    meter = Meter()
    meter.add("d", scalars(loss=1.0, norm=10.0))
    meter.add("d", scalars(loss=2.0))
    meter.add("d", scalars(loss=6.0))
    meter.add("g", scalars(loss=5.0, norm=7.0))
    meter.add("d", scalars(loss=3.0, norm=30.0))
    return meter


def test_each_scalar_has_its_mean_over_the_rows_that_it_is_in() -> None:
    meter = filled()
    assert meter.means() == {"d/loss": 3.0, "d/norm": 20.0, "g/loss": 5.0, "g/norm": 7.0}


def test_a_copy_goes_on_where_it_stood() -> None:
    meter, copy = filled(), Meter()
    copy.load_state_dict(meter.state_dict(), CPU)
    for one in (meter, copy):
        one.add("d", scalars(loss=0.0))
    assert copy.means() == meter.means() != filled().means()


def test_what_was_cleared_is_gone() -> None:
    meter = filled()
    meter.clear()
    assert meter.means() == {}


def test_meters_of_several_processes_become_one() -> None:
    one, other, both = filled(), filled(), Meter()
    other.state_dict()["sums"]["g/loss+norm"] += 2
    both.load_state_dict(merged([one.state_dict(), other.state_dict()]), CPU)
    assert both.means() == pytest.approx(filled().means() | {"g/loss": 6.0, "g/norm": 8.0})
