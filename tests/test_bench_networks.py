"""The table of networks: a step has as many images as the discriminator compares."""

import importlib
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"


def test_a_network_with_larger_groups_than_the_batch_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    bench = importlib.import_module("bench_networks")
    one = ("arch=stylegan2_small", "data=celeba", "data.resolution=8", "arch.discriminator.group=64")
    timed = bench.row(bench.Network("groups of 64", one), 1e-3, ["fp32"])
    assert timed.seconds["fp32"] > 0
