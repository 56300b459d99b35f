"""Means of scalars."""

import pytest
import torch

from ganexp.training.meter import COUNTED, Meter, merged

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


def test_what_does_not_count_is_in_no_mean() -> None:
    meter = Meter()
    for counts in (1.0, 0.0, 1.0):
        meter.add(
            "d", scalars(loss=2.0) | {"norm": torch.tensor(5 * counts), "norm" + COUNTED: torch.tensor(counts)}
        )
    meter.add("g", scalars(norm=0.0) | {"norm" + COUNTED: torch.tensor(0.0)})
    assert meter.means() == pytest.approx({"d/loss": 2.0, "d/norm": 5.0})
    meter.add("d", {"norm": torch.tensor(torch.inf), "norm" + COUNTED: torch.tensor(1.0)})
    assert meter.means()["d/norm"] == torch.inf, "what counts and is not finite is not hidden"


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
