"""A pool of earlier fakes for a discriminator: Shrivastava et al. 2017, section 2.3, as CycleGAN uses it.

One image after another:

    while the pool is not full     the image is put into it, and returned
    then, with probability 1/2     a random image of the pool is returned, and the new one takes its place
          or else                  the new one is returned

So half of what a discriminator sees comes from generators of earlier steps.
"""

import torch
from torch import Tensor, nn

from ganexp.distributed import collectives


class ImagePool(nn.Module):
    """Fakes [N, *shape] to as many new or earlier ones; ``capacity`` images are kept, 0: none.

    The images and their number are buffers, so that a resumed run has them. All images of a step are placed by
    tensor operations, without a loop and without reading a number, so that a step can be a CUDA graph. With
    several processes the pool is that of one process with the whole batch: each holds all of it.
    """

    images: Tensor
    count: Tensor

    def __init__(self, capacity: int, shape: list[int]) -> None:
        super().__init__()
        self.capacity = capacity
        self.register_buffer("images", torch.zeros(capacity, *shape))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, fakes: Tensor) -> Tensor:
        if not self.capacity:
            return fakes
        new = collectives.all_gather_batches(fakes)
        number = torch.arange(len(new), device=new.device)
        draws = collectives.all_gather_batches(torch.rand(len(fakes), 2, device=fakes.device))
        full = self.count + number >= self.capacity
        drawn = (draws[:, 0] * self.capacity).long().clamp(max=self.capacity - 1)
        place = torch.where(full, drawn, self.count + number)
        kept = ~full | (draws[:, 1] < 0.5)
        before, after = self._at(place, kept, new)
        returned = torch.where((full & kept).view(-1, 1, 1, 1), before, new)
        self.images.index_copy_(0, place, after)  # of a place that occurs twice, both are equal
        self.count.add_(len(new)).clamp_(max=self.capacity)
        return returned[collectives.rank() * len(fakes) :][: len(fakes)]

    def _at(self, place: Tensor, kept: Tensor, new: Tensor) -> tuple[Tensor, Tensor]:
        """What lies at the place [M] of each image [M, ...]: before its turn, and after the turns of all.

        ``kept`` [M]: whether an image is put at its place.
        """
        number = torch.arange(len(new), device=new.device)
        writes = kept & (place == place[:, None])  # [i, j]: image j is put at the place of image i
        stored = self.images.index_select(0, place)

        def latest(written: Tensor) -> Tensor:
            last = (written * (number + 1)).amax(1) - 1  # -1: by no image of this batch
            of_batch = new.index_select(0, last.clamp(min=0))
            return torch.where((last >= 0).view(-1, 1, 1, 1), of_batch, stored)

        return latest(writes & (number < number[:, None])), latest(writes)
