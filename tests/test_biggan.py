"""arch=biggan: counts of weights, parts of z, the shared embedding, conditional norms, projection, games."""

from typing import Any, cast

import pytest
import torch
from residual_games import on_meta, tiny_game, two_steps
from torch import Tensor, nn
from torch.nn import functional

from ganexp.errors import UserError
from ganexp.nets.biggan import Discriminator, Generator
from ganexp.nets.conditional_norm import ConditionalNorm, label_layers
from ganexp.nets.heads import ProjectionHead
from ganexp.nets.layers import count_weights


def generator(**changed: Any) -> Generator:
    """Two blocks, so that z has three parts."""
    torch.manual_seed(0)
    settings: dict[str, Any] = {"shape": [3, 16, 16], "latent": 6, "classes": 3, "condition": "norm"}
    settings |= {"width": 8, "max_width": 16, "norm": "batch", "upsample": "nearest", "shared": 5}
    settings |= {"hierarchical": True, "attention": 8, "initialisation": "orthogonal", "spectral": True}
    return Generator(**settings | changed)


def discriminator(**changed: Any) -> Discriminator:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"shape": [3, 16, 16], "classes": 3, "condition": "projection", "outputs": 0}
    settings |= {"width": 8, "max_width": 16, "halvings": 2, "plain": 1, "hidden": "output", "pooling": "sum"}
    settings |= {"attention": 8, "initialisation": "orthogonal", "spectral": True}
    return Discriminator(**settings | changed)


def block_outputs(net: Generator, z: Tensor, *y: Tensor) -> list[Tensor]:
    """Of the linear layer and of each block, in evaluation."""
    found: list[Tensor] = []
    layers = [net.first, *(block for block in net.blocks if hasattr(block, "branch"))]
    hooks = [layer.register_forward_hook(lambda _, __, made: found.append(made.detach())) for layer in layers]
    net.eval()(z, *y)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize(
    ("arch", "side", "classes", "weights"),
    [("biggan", 128, 1000, (70_433_988, 87_982_370)), ("biggan_32", 32, 10, (4_304_387, 4_207_361))],
)
def test_as_many_weights_as_the_authors_program(
    arch: str, side: int, classes: int, weights: tuple[int, int]
) -> None:
    nets = on_meta(arch, side, classes)
    assert (count_weights(nets["generator"]), count_weights(nets["discriminator"])) == weights


@pytest.mark.parametrize("classes", [0, 3])
def test_each_part_of_z_enters_one_level(classes: int) -> None:
    """What a part changes begins at its own block: the first part at the linear layer."""
    net, z, y = generator(classes=classes), torch.randn(2, 6), [torch.tensor([0, 2])] if classes else []
    before = block_outputs(net, z, *y)
    for part in range(3):
        moved = z.clone()
        moved[:, 2 * part : 2 * part + 2] += 1
        after = block_outputs(net, moved, *y)
        same = [torch.equal(one, two) for one, two in zip(before, after, strict=True)]
        assert same == [level < part for level in range(3)]


def test_a_conditional_norm_by_its_definition() -> None:
    """gain = 1 + W_g e and bias = W_b e, with the label's embedding first; its statistics are the batch's."""
    net, z, y = generator(), torch.randn(4, 6), torch.tensor([0, 2, 2, 1])
    norm = next(layer for layer in net.modules() if isinstance(layer, ConditionalNorm))
    seen: list[tuple[Tensor, Tensor]] = []
    norm.register_forward_hook(lambda _, given, made: seen.append((given[0].detach(), made.detach())))
    net(z, y)
    gain, bias = norm.gain.weight.detach(), norm.bias.weight.detach()
    ((x, made),) = seen
    e = torch.cat([cast(nn.Linear, net.embedding).weight.detach().T[y], z[:, 2:4]], 1)
    normed = functional.batch_norm(x, None, None, training=True)
    expected = (1 + e @ gain.T)[:, :, None, None] * normed + (e @ bias.T)[:, :, None, None]
    torch.testing.assert_close(made, expected)


def test_a_batch_of_one_class_has_the_batchs_statistics() -> None:
    net = generator()
    norm = next(layer for layer in net.modules() if isinstance(layer, ConditionalNorm))
    seen: list[Tensor] = []
    norm.norm.register_forward_hook(lambda _, __, made: seen.append(made.detach()))
    net(torch.randn(8, 6), torch.full((8,), 2))
    torch.testing.assert_close(seen[0].mean((0, 2, 3)), torch.zeros(16), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen[0].var((0, 2, 3), correction=0), torch.ones(16), atol=1e-2, rtol=0)


def test_an_embedding_of_zeros_leaves_the_plain_norm() -> None:
    """And attributes add their embeddings up."""
    net, z = generator(hierarchical=False), torch.randn(3, 6)
    plain = generator(hierarchical=False, classes=0)
    own = net.state_dict()
    shared = {key.replace(".norm.", "."): value for key, value in own.items()}
    missing = plain.load_state_dict(shared, strict=False).missing_keys
    assert all(key.startswith("blocks") and key.endswith(("weight", "bias")) for key in missing)
    embedding = cast(nn.Linear, net.embedding).weight
    rows = embedding.detach().clone()
    embedding.data.zero_()
    net.eval()
    torch.testing.assert_close(net(z, torch.arange(3)), plain.eval()(z))
    embedding.data.copy_(rows)
    both = net(z, torch.tensor([[1, 1, 0]] * 3))
    embedding.data[:, 2] = rows[:, 0] + rows[:, 1]
    torch.testing.assert_close(net(z, torch.tensor([2, 2, 2])), both)


def test_a_joined_label_reaches_the_linear_layer_alone() -> None:
    net = generator(condition="joined")
    assert net.first.in_features == 2 + 5
    assert all(cast(nn.Linear, layer).in_features == 2 for layer in label_layers(net))
    z = torch.randn(1, 6).expand(2, -1)
    first = block_outputs(net, z, torch.tensor([0, 1]))[0]
    assert not torch.allclose(first[0], first[1])


def test_without_labels_there_is_no_embedding() -> None:
    net = generator(classes=0)
    assert count_weights(net.embedding) == 0 and net(torch.randn(2, 6)).shape == (2, 3, 16, 16)


def test_spectral_norms_spare_the_embedding() -> None:
    net, y = generator(), torch.tensor([0, 1])
    for _ in range(80):
        net(torch.randn(2, 6), y)
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(layers) == 1 + 1 + 2 * (3 + 4) + 4 + 1
    for layer in layers:
        largest = torch.linalg.svdvals(layer.weight.detach().flatten(1))[0]
        assert (largest == pytest.approx(1, abs=0.03)) and hasattr(layer, "parametrizations") == (
            layer is not net.embedding
        )
    rows = label_layers(generator(shared=0, hierarchical=False))
    assert len(rows) == 8 and not any(hasattr(layer, "parametrizations") for layer in rows)


def test_initial_weights_are_orthogonal() -> None:
    for net in (generator(spectral=False), discriminator(spectral=False)):
        layers = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
        for layer in layers:
            values = torch.linalg.svdvals(layer.weight.detach().flatten(1))
            torch.testing.assert_close(values, torch.ones_like(values), atol=1e-4, rtol=0)
            assert layer.bias is None or not layer.bias.detach().any()


def test_the_projection_critic() -> None:
    """Of two labels' logits; and a permutation of the classes with the rows of V changes nothing."""
    net, x = discriminator().eval(), torch.randn(2, 3, 16, 16)
    y, other, order = torch.tensor([0, 2]), torch.tensor([1, 1]), torch.tensor([2, 0, 1])
    embedding = cast(ProjectionHead, net.head).embedding
    rows, features, logits = embedding.weight.T, net.features(x), net(x, y)
    torch.testing.assert_close(logits - net(x, other), ((rows[y] - rows[other]) * features).sum(1))
    stored = cast(Any, embedding).parametrizations.weight
    with torch.no_grad():
        stored.original.copy_(stored.original[:, order.argsort()])
        stored[0]._v.copy_(stored[0]._v[order.argsort()])
    torch.testing.assert_close(net(x, order[y]), logits)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"latent": 7}, "latent=7: hierarchical=true cuts z into 3 equal parts.*a multiple of 3, such as 6"),
        ({"norm": "none"}, "norm=none: z or labels enter by the norms; choose norm=batch"),
        ({"shape": [3, 24, 24]}, "arch=biggan makes powers of two"),
    ],
)
def test_what_it_refuses(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        generator(**changed)


@pytest.mark.parametrize("arch", ["biggan_small", "biggan_32"])
@pytest.mark.parametrize("game", ["gan", "cgan", "acgan"])
def test_two_steps(game: str, arch: str) -> None:
    two_steps(tiny_game(arch, f"game={game}"))
