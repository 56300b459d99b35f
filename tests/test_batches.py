"""Batches are exact: every image once an epoch, an order of seed and position alone, no batch cut short."""

import numpy as np
import torch

from ganexp.data.batches import Deck, to_network
from ganexp.data.source import Arrays

CPU = torch.device("cpu")


def deck(count: int = 10, batch_size: int = 4, seed: int = 0) -> Deck:
    points = np.arange(count, dtype=np.float32)[:, None].repeat(2, 1)
    return Deck(Arrays(points, np.arange(count), ("all",)), batch_size, seed, CPU)


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
