"""Batches are exact: every image once an epoch, an order of seed and position alone, no batch cut short."""

from pathlib import Path

import numpy as np
import torch

from ganexp.data.arrays import Arrays
from ganexp.data.batches import Deck, mirrored, to_network
from ganexp.data.store import OnDisk, Resident, free_memory, store

CPU = torch.device("cpu")


def deck(count: int = 10, batch_size: int = 4, seed: int = 0, rank: int = 0, world: int = 1) -> Deck:
    points = np.arange(count, dtype=np.float32)[:, None].repeat(2, 1)
    arrays = Arrays(points, np.arange(count), ("all",))
    return Deck(arrays, batch_size, seed, Resident(points, CPU), rank=rank, world=world)


def stream(source: Deck, images: int, start: int = 0) -> list[int]:
    """The labels of the next images, epoch after epoch."""
    found: list[int] = []
    while start + len(found) < images:
        for batch in source.epoch(start + len(found)):
            assert len(batch.x) == source.batch_size
            assert batch.x[:, 0].tolist() == batch.y.tolist(), "an image and its label stay together"
            found += batch.y.tolist()
    return found


def test_every_image_once_an_epoch() -> None:
    found = stream(deck(), 40)
    for epoch in range(4):
        assert sorted(found[epoch * 10 : epoch * 10 + 10]) == list(range(10))


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    assert stream(deck(), 40) == stream(deck(), 40)
    assert stream(deck(), 40) != stream(deck(seed=1), 40)
    found = stream(deck(), 20)
    assert found[:10] != found[10:20]
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert stream(deck(), 20) == found
    assert torch.equal(before, torch.get_rng_state()), "shuffling leaves the training's numbers alone"


def test_any_position_continues_where_it_was() -> None:
    whole = stream(deck(), 40)
    for start in range(0, 40, 4):
        assert stream(deck(), 40, start) == whole[start:]


def test_the_batch_size_does_not_change_the_order() -> None:
    assert stream(deck(batch_size=4), 40) == stream(deck(batch_size=5), 40)[:40]


def test_a_set_smaller_than_a_batch() -> None:
    found = stream(deck(count=3, batch_size=8), 24)
    assert sorted(found) == sorted(list(range(3)) * 8)


def test_uint8_becomes_minus_one_to_one() -> None:
    images = torch.tensor([0, 255, 127, 128], dtype=torch.uint8).view(4, 1, 1, 1)
    values = to_network(images).flatten()
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, torch.tensor([-1.0, 1.0, -1 / 255, 1 / 255]))


def test_ranks_share_each_batch_without_overlap() -> None:
    whole = [batch.y.tolist() for batch in deck(batch_size=6).epoch(0)]
    parts = [
        [batch.y.tolist() for batch in deck(batch_size=6, rank=rank, world=3).epoch(0)] for rank in range(3)
    ]
    for batch, *shares in zip(whole, *parts, strict=True):
        assert [len(share) for share in shares] == [2, 2, 2]
        assert sorted(label for share in shares for label in share) == sorted(batch)


def test_reading_ahead_from_disk_gives_the_same_batches(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(256, size=(50, 1, 4, 4), dtype=np.uint8)
    np.save(tmp_path / "samples.npy", images)
    arrays = Arrays(np.load(tmp_path / "samples.npy", mmap_mode="r"), np.arange(50), ("all",))
    held = Deck(arrays, 8, 0, Resident(arrays.samples, CPU))
    streamed = Deck(arrays, 8, 0, OnDisk(arrays.samples, CPU))
    for start in (0, 24, 48):
        one, two = list(held.epoch(start)), list(streamed.epoch(start))
        assert len(one) == len(two) > 0
        for a, b in zip(one, two, strict=True):
            assert torch.equal(a.x, b.x) and torch.equal(a.y, b.y)


def test_what_does_not_fit_stays_on_disk(tmp_path: Path) -> None:
    np.save(tmp_path / "samples.npy", np.zeros((4, 1, 2, 2), np.uint8))
    samples = np.load(tmp_path / "samples.npy", mmap_mode="r")
    assert isinstance(store(samples, CPU), Resident)
    assert isinstance(store(samples, CPU, share=0.0), OnDisk)
    assert 2**20 < free_memory() < 2**50


def test_mirroring_flips_half_of_the_images_left_to_right() -> None:
    torch.manual_seed(0)
    x = torch.randn(400, 3, 4, 4)
    flipped = mirrored(x)
    same = (flipped == x).flatten(1).all(1)
    turned = (flipped == x.flip(-1)).flatten(1).all(1)
    assert (same ^ turned).all() and 150 < int(same.sum()) < 250
