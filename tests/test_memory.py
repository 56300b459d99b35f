"""What is too large for memory is refused in one line, before it is made; what fits is made as ever."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY, Verb, command, composed

from ganexp.config.messages import explain
from ganexp.errors import UserError
from ganexp.system.tensor_file import read, write
from ganexp.training import memory
from ganexp.training.build import build_game
from ganexp.training.memory import within_memory
from ganexp.training.state import load_averaged

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "overrides",
    [
        ["arch=mlp", "arch.generator.latent=100000000000"],
        ["arch=mlp", "arch.generator.widths=[30000000]"],
        ["arch=mlp", "arch.discriminator.widths=[30000000,30000000]"],
        ["arch=mlp", f"arch.generator.widths=[{2**62}]"],
        ["recipe=none", "arch.generator.width=100000000", "arch.generator.max_width=100000000"],
    ],
)
def test_networks_that_no_memory_holds_are_refused(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 1e9)
    cfg = composed(*overrides)
    with pytest.raises(
        UserError, match=r"^the networks are too large: they take [\d,.]+ GB to train .* 1.0 GB are"
    ):
        within_memory(lambda: build_game(cfg), cfg, CPU, training=True)


def test_what_fits_is_made_with_the_same_random_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it was counted twice: plain SGD needs less than is feared."""
    cfg = composed(*TINY, "optim=sgd", "optim.momentum=0")
    torch.manual_seed(0)
    plain = build_game(cfg)
    size = sum(weight.nbytes for weight in (*plain.parameters(), *plain.buffers()))
    for free, fits in ((1e9, True), (3 * size, True), (2 * size, False)):
        monkeypatch.setattr(memory, "free_memory", lambda free=free: free)
        torch.manual_seed(0)
        if not fits:
            with pytest.raises(UserError, match="too large"):
                within_memory(lambda: build_game(cfg), cfg, CPU, training=True)
            continue
        game = within_memory(lambda: build_game(cfg), cfg, CPU, training=True)
        assert all(torch.equal(a, b) for a, b in zip(game.parameters(), plain.parameters(), strict=True))
    within_memory(lambda: build_game(cfg), cfg, CPU, training=False)


def test_other_memory_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    for ask in (lambda: np.empty(10**15), lambda: torch.empty(10**15), lambda: torch.empty(2**61, 2**61)):
        with pytest.raises((MemoryError, RuntimeError)) as raised:
            ask()
        line, status = explain(raised.value)
        assert status == 2 and line is not None and line.startswith("there is not enough memory")
    done = command(tmp_path, "train", "data=ring", "arch=mlp", "data.count=100000000000")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1


def test_weights_that_are_no_numbers_are_not_used(train: Verb, capfd: pytest.CaptureFixture[str]) -> None:
    folder = train(*TINY, "max_steps=2")
    file = folder / "checkpoints/last.pt"
    content = read(file)
    content["ema"]["out.weight"].fill_(float("nan"))
    write(content, file)
    with pytest.raises(UserError, match=r"unusable: out\.weight has values that are not finite"):
        load_averaged(build_game(composed(*TINY)).generator, read(file))
    with pytest.raises(SystemExit) as ended:
        train(f"resume='{folder}'", "max_steps=3")
    assert ended.value.code == 2 and "not finite" in capfd.readouterr().err
    with pytest.raises(UserError, match="does not fit"):
        load_averaged(build_game(composed(*TINY)).generator, {"ema": [1]})
