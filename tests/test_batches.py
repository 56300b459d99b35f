"""Batches are exact: every image once an epoch, an order of seed and position alone, no batch cut short."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganexp.data.batches import SHARED_ORDER, UNPAIRED_ORDER, BatchLoader, Domain, mirrored
from ganexp.data.digits import Digits
from ganexp.data.store import DeviceMemory, MemoryMap, free_memory, store
from ganexp.distributed.collectives import ProcessInfo

CPU = torch.device("cpu")


def unchanged(samples: Tensor) -> Tensor:
    return samples


def points(count: int) -> np.ndarray:
    """Each its own number, twice."""
    return np.arange(count, dtype=np.float32)[:, None].repeat(2, 1)


def domain(samples: np.ndarray) -> Domain:
    return Domain(DeviceMemory(samples, CPU), len(samples), unchanged)


def loader(count: int = 10, batch_size: int = 4, seed: int = 0, rank: int = 0, world: int = 1) -> BatchLoader:
    process = ProcessInfo(rank, world, rank, world)
    return BatchLoader([domain(points(count))], np.arange(count), batch_size, seed, process=process)


def stream(source: BatchLoader, images: int, start: int = 0) -> list[int]:
    """The labels of the next images, epoch after epoch."""
    found: list[int] = []
    source.position = start
    while start + len(found) < images:
        for batch in source.epoch():
            assert len(batch.x) == source.batch_size
            assert batch.x[:, 0].tolist() == batch.y.tolist(), "an image and its label stay together"
            found += batch.y.tolist()
    return found


def test_every_image_once_an_epoch() -> None:
    found = stream(loader(), 40)
    for epoch in range(4):
        assert sorted(found[epoch * 10 : epoch * 10 + 10]) == list(range(10))


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    assert stream(loader(), 40) == stream(loader(), 40)
    assert stream(loader(), 40) != stream(loader(seed=1), 40)
    found = stream(loader(), 20)
    assert found[:10] != found[10:20]
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert stream(loader(), 20) == found
    assert torch.equal(before, torch.get_rng_state()), "shuffling leaves the training's numbers alone"


def test_any_position_continues_where_it_was() -> None:
    whole = stream(loader(), 40)
    for start in range(0, 40, 4):
        assert stream(loader(), 40, start) == whole[start:]


def test_the_batch_size_does_not_change_the_order() -> None:
    assert stream(loader(batch_size=4), 40) == stream(loader(batch_size=5), 40)[:40]


def test_a_set_smaller_than_a_batch() -> None:
    found = stream(loader(count=3, batch_size=8), 24)
    assert sorted(found) == sorted(list(range(3)) * 8)


def test_uint8_becomes_minus_one_to_one() -> None:
    images = torch.tensor([0, 255, 127, 128], dtype=torch.uint8).view(4, 1, 1, 1)
    values = (
        Digits(resolution=1, shape=[1, 1, 1], bounded=True, classes=1, mirror=False).decode(images).flatten()
    )
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, torch.tensor([-1.0, 1.0, -1 / 255, 1 / 255]))


def test_ranks_share_each_batch_without_overlap() -> None:
    whole = [batch.y.tolist() for batch in loader(batch_size=6).epoch()]
    parts = [
        [batch.y.tolist() for batch in loader(batch_size=6, rank=rank, world=3).epoch()] for rank in range(3)
    ]
    for batch, *shares in zip(whole, *parts, strict=True):
        assert [len(share) for share in shares] == [2, 2, 2]
        assert sorted(label for share in shares for label in share) == sorted(batch)


def test_reading_ahead_from_disk_gives_the_same_batches(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(256, size=(50, 1, 4, 4), dtype=np.uint8)
    np.save(tmp_path / "samples.npy", images)
    mapped = np.load(tmp_path / "samples.npy", mmap_mode="r")
    held = BatchLoader([Domain(DeviceMemory(mapped, CPU), 50, unchanged)], np.arange(50), 8, 0)
    streamed = BatchLoader([Domain(MemoryMap(mapped, CPU), 50, unchanged)], np.arange(50), 8, 0)
    for start in (0, 24, 48):
        held.position = streamed.position = start
        one, two = list(held.epoch()), list(streamed.epoch())
        assert len(one) == len(two) > 0
        for a, b in zip(one, two, strict=True):
            assert torch.equal(a.x, b.x) and torch.equal(a.y, b.y)


def test_what_does_not_fit_stays_on_disk(tmp_path: Path) -> None:
    np.save(tmp_path / "samples.npy", np.zeros((4, 1, 2, 2), np.uint8))
    samples = np.load(tmp_path / "samples.npy", mmap_mode="r")
    assert isinstance(store(samples, CPU), DeviceMemory)
    assert isinstance(store(samples, CPU, share=0.0), MemoryMap)
    assert 2**20 < free_memory() < 2**50


def test_mirroring_flips_half_of_the_images_left_to_right() -> None:
    torch.manual_seed(0)
    x = torch.randn(400, 3, 4, 4)
    flipped, beside = mirrored(x, x[:, :1, ::2, ::2])
    same = (flipped == x).flatten(1).all(1)
    turned = (flipped == x.flip(-1)).flatten(1).all(1)
    assert (same ^ turned).all() and 150 < int(same.sum()) < 250
    expected = torch.where(turned.view(-1, 1, 1, 1), x[:, :1, ::2, ::2].flip(-1), x[:, :1, ::2, ::2])
    assert torch.equal(beside, expected), "a source is mirrored like its sample"


def test_pairs_stay_together_and_unpaired_domains_have_orders_of_their_own() -> None:
    for paired in (True, False):
        order = SHARED_ORDER if paired else UNPAIRED_ORDER
        sources = domain(100 + points(10 if paired else 7))._replace(order=order)
        made = BatchLoader([domain(points(10)), sources], np.arange(10), 4, 0)
        found: list[tuple[float, float]] = []
        for _ in range(7):
            for batch in made.epoch():
                assert batch.source is not None
                found += zip(batch.x[:, 0].tolist(), (batch.source[:, 0] - 100).tolist(), strict=True)
        assert sorted({x for x, _ in found}) == list(range(10))
        if paired:
            assert all(x == source for x, source in found)
        else:
            assert any(x != source for x, source in found)
            drawn = [source for _, source in found]
            assert sorted(drawn[:7]) == sorted(drawn[7:14]) == list(range(7)), "each once in its own epoch"


def test_a_position_is_saved() -> None:
    made, other = loader(), loader()
    list(made.epoch())
    other.load_state_dict(made.state_dict())
    assert other.position == 12 and other.epoch_number == 2
    assert [batch.y.tolist() for batch in other.epoch()] == [batch.y.tolist() for batch in made.epoch()]
