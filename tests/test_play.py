"""``ganexp play``: what a page draws, and the sandbox; ``test_play_guard.py``: who may ask for it."""

import base64
import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY, Verb, tiny, verb
from omegaconf import DictConfig
from PIL import Image
from test_latents import STYLED

from ganexp.cli.composing import composed
from ganexp.cli.play import compose_training, page_of
from ganexp.cli.play_runs import PlayedRun, facts_of, pictures_of
from ganexp.cli.play_translators import PlayedTranslator, translations_of
from ganexp.data.picture import png_bytes
from ganexp.data.plane import Ring
from ganexp.errors import UserError
from ganexp.play import asked as requests
from ganexp.play.asked import Asked
from ganexp.play.html import Shown, curves, figures, told, without_folders
from ganexp.play.sandbox import CURE, Sandbox, Settings
from ganexp.training.load import open_run

# What is shown


def test_messages_have_no_folders() -> None:
    home = Path.home()
    text = f"{home}/runs/a/sefa.json is damaged; {home}: no; see /srv/data sets/x.png, a/b.png, /mnt/z/y.pt"
    shown = without_folders(text)
    assert str(home) not in shown and "/mnt" not in shown and "/srv" not in shown
    assert "runs/a/sefa.json is damaged" in shown and "a/b.png" in shown and "y.pt" in shown
    assert "<b>" not in told("<b>") and "&lt;b&gt;" in told("<b>")


def test_figures_hold_the_png_and_escape() -> None:
    picture = Image.new("RGB", (3, 2), (1, 2, 3))
    found = figures([Shown(picture, 'a<"b', 'c"d.png'), "<i>"])
    assert decoded(found) == [png_bytes(picture)]
    assert "<i>" not in found and 'a<"b' not in found and 'c"d' not in found and "3 x 2" in found


def test_curves() -> None:
    assert "after a few steps" in curves([(1, 1.0, 2.0)])
    found = curves([(10, 1.0, None), (20, 3.0, 2.0), (30, 2.0, 2.0)])
    first, second = re.findall(r'points="([^"]*)"', found)
    assert first == "0.0,150.0 240.0,0.0 480.0,75.0" and second == "240.0,75.0 480.0,75.0"
    assert "1 to 3, steps 10 to 30" in found


def decoded(html: str) -> list[bytes]:
    """The PNG of each picture in a page."""
    return [base64.b64decode(text) for text in re.findall(r'<img src="data:image/png;base64,([^"]*)"', html)]


# Runs


def settings(*overrides: str) -> DictConfig:
    pytest.importorskip("gradio")  # the settings are refused without
    return composed("play", ["device=cpu", *overrides])[0]


def played(folder: Path, *overrides: str) -> PlayedRun:
    cfg = settings(f"run={folder}", *overrides)
    cfg.run = str(folder)
    run = open_run(cfg)
    return PlayedRun(cfg, run, run.generator(cfg.checkpoint))


def pixels(picture: Image.Image) -> bytes:
    return png_bytes(picture)


def test_the_picture_of_ganexp_sample(train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = train(*TINY, "max_steps=2", "game=cgan")
    one = played(folder)
    for asked, overrides in (
        (Asked(n=20, seed=3), ["n=20", "seed=3"]),
        (Asked(n=9, seed=1, label=4), ["n=9", "seed=1", "label=4"]),
        (Asked(n=9, seed=1, label=4, truncation=0.5), ["n=9", "seed=1", "label=4", "truncation=0.5"]),
    ):
        verb(monkeypatch, tmp_path, "sample", f"run={folder}", "device=cpu", "out=made.png", *overrides)
        state = torch.get_rng_state()
        assert pixels(one.picture(asked)) == (tmp_path / "made.png").read_bytes(), asked
        assert torch.equal(state, torch.get_rng_state())


def test_sliders_and_ways(train: Verb) -> None:
    one = played(train(*TINY, "max_steps=2", "game=cgan"))
    still = Asked(n=4, seed=0, label=4)
    plain = pixels(one.picture(still))
    seen = {plain}
    for change in (
        {"moves": (1.0,)},
        {"moves": (-1.0,)},
        {"moves": (0.0, 0.0, 1.0)},
        {"seed": 2},
        {"label": 5},
        {"share": 0.5},
        {"share": 0.5, "other_seed": 7},
        {"truncation": 0.2},
        {"truncation": 0.2, "share": 0.5},
    ):
        seen.add(pixels(one.picture(still._replace(**change))))
    assert len(seen) == 10, "each change is seen"
    assert pixels(one.picture(still)) == plain
    at_the_end = one.picture(still._replace(share=1.0, other_seed=2))
    assert pixels(at_the_end) == pixels(one.picture(still._replace(seed=2)))
    moved = one._moved(torch.zeros(2, one.space.size), (0.0, 2.0))
    assert moved[:, 1].tolist() == [2.0, 2.0] and moved.count_nonzero() == 2


def test_uniform_noise_moves_by_its_own_deviation(train: Verb) -> None:
    one = played(train(*TINY, "max_steps=2", "game.noise=uniform"))
    assert one._moved(torch.zeros(1, one.space.size), (3.0,))[0, 0] == pytest.approx(3**0.5)


def test_kept_directions(train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = train(*TINY, "max_steps=2")
    verb(monkeypatch, tmp_path, "directions", f"run={folder}", "device=cpu", "method.count=3")
    one = played(folder, "directions=sefa")
    assert (
        one.sliders == ("direction 0", "direction 1", "direction 2")
        and facts_of([one], 2).sliders[-1] == "direction 1"
    )
    assert one._directions is not None
    points = torch.randn(2, one.space.size)
    wanted = points + 1.5 * one._directions.deviations[2] * one._directions.vectors[2]
    assert torch.allclose(one._moved(points.clone(), (0.0, 0.0, 1.5)), wanted)
    with pytest.raises(UserError, match="ganspace"):
        played(folder, "directions=ganspace")


def test_codes(train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = train(*TINY, "max_steps=2", "game=infogan", "arch.generator.latent=20")
    one = played(folder)
    facts = facts_of([one], 64)
    assert facts.codes == one.game.code_kinds and len(facts.sliders) == one.space.noise_size
    verb(
        monkeypatch,
        tmp_path,
        "sample",
        f"run={folder}",
        "device=cpu",
        "out=made.png",
        "n=4",
        "code.0=3",
        "code.1=0.5",
    )
    asked = Asked(n=4, seed=0, codes={0: 3, 1: 0.5})
    assert pixels(one.picture(asked)) == (tmp_path / "made.png").read_bytes()
    assert pixels(one.picture(asked)) != pixels(one.picture(asked._replace(codes={0: 3, 1: -0.5})))
    assert pixels(one.picture(asked._replace(share=0.5))) != pixels(one.picture(asked))


def test_styles_are_truncated_and_released(train: Verb) -> None:
    one = played(train(*STYLED, "max_steps=2"))
    asked = Asked(n=2, seed=0)
    plain = pixels(one.picture(asked))
    assert pixels(one.picture(asked._replace(truncation=0.0))) != plain
    assert pixels(one.picture(asked)) == plain and one.truncates and one.space.name == "w"
    assert pixels(one.picture(asked._replace(moves=(2.0,)))) != plain
    almost = one.picture(asked._replace(share=1e-6))
    assert np.abs(np.asarray(almost, float) - np.asarray(one.picture(asked), float)).max() <= 1


def test_runs_side_by_side_and_what_is_wrong_with_one(train: Verb) -> None:
    plain, conditional = (
        train(*TINY, "max_steps=2", name="plain"),
        train(*TINY, "max_steps=2", "game=cgan", name="conditional"),
    )
    runs = [played(plain), played(conditional)]
    facts = facts_of(runs, 3)
    assert facts.sliders == ("z 0", "z 1", "z 2") and len(facts.labels) == 10 and not facts.several
    assert facts.names[0].startswith("plain/") and facts.names[1].startswith("conditional/")
    one, two = pictures_of(runs)(Asked(n=4, seed=0, label=2))
    assert isinstance(one, Shown) and isinstance(two, Shown) and pixels(one.picture) != pixels(two.picture)
    assert one.caption == facts.names[0]
    first, second = pictures_of(runs)(Asked(n=4, seed=0, label=99))
    assert isinstance(first, Shown) and isinstance(second, str) and "0 to 9" in second


def test_translators(train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = train(*tiny("pix2pix"), "max_steps=2")
    cfg = settings(f"run={folder}")
    cfg.run = str(folder)
    run = open_run(cfg)
    one = PlayedTranslator(cfg, run, run.generator("last"))
    stream = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8), np.uint8)).save(stream, "PNG")
    (tmp_path / "in.png").write_bytes(stream.getvalue())
    common = [
        f"run={folder}",
        "device=cpu",
        "checkpoint=last",
        "input=in.png",
        "output=out",
        "degrade_input=true",
    ]
    verb(monkeypatch, tmp_path, "translate", *common)
    image = requests.Image("in.png", stream.getvalue(), None, None, degrades=True)
    source, output = translations_of([one])(image)
    assert isinstance(source, Shown) and isinstance(output, Shown)
    with Image.open(tmp_path / "out/in.png") as made:
        assert np.array_equal(np.asarray(made), np.asarray(output.picture))
    assert not np.array_equal(np.asarray(source.picture), np.asarray(output.picture))
    (problem,) = translations_of([one])(image._replace(content=b"no image"))
    assert isinstance(problem, str) and "in.png is no readable image" in problem


def test_only_uploaded_files_are_translated(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gradio")
    from ganexp.play.translate_page import uploaded

    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"a")
    (tmp_path / "b.png").write_bytes(b"b")
    (folder / "link.png").symlink_to(tmp_path / "b.png")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    assert uploaded(str(folder / "a.png")) == b"a"
    for path in (tmp_path / "b.png", folder / "../b.png", folder / "link.png", Path("/etc/passwd")):
        with pytest.raises(PermissionError):
            uploaded(str(path))
    page_of(settings(f"run={train(*tiny('stargan'), 'max_steps=1')}"))()


def test_a_generator_of_the_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    cfg = settings("run=zoo:digits")
    page_of(cfg)()
    assert list(cfg.run) == ["outputs/zoo/digits"]


def test_without_gradio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganexp.config.validate_readers.find_spec", lambda name: None)
    with pytest.raises(UserError, match=re.escape("pip install 'gradio>=6.31'")):
        composed("play", ["data=ring"])


def test_what_is_refused(train: Verb) -> None:
    with pytest.raises(UserError, match="give one of them"):
        settings()
    folder = train(*TINY, "max_steps=1")
    with pytest.raises(UserError, match="give one of them"):
        settings(f"run={folder}", "data=ring")
    with pytest.raises(UserError, match="not a run"):
        settings("run=nowhere")
    with pytest.raises(UserError, match="data=ring or data=grid"):
        page_of(settings("data=digits"))
    other = train(*tiny("pix2pix"), "max_steps=1", name="pix2pix")
    with pytest.raises(UserError, match="one of these kinds"):
        page_of(settings(f"run=[{folder},{other}]"))


# The sandbox


@pytest.fixture(scope="module")
def ring() -> Ring:
    return Ring(modes=8, radius=1.0, sigma=0.05, count=2000, mirror=False, shape=[2], bounded=False, classes=8)


def sandbox(source: Ring, settings: Settings | None = None) -> Sandbox:
    device = compose_training(["data=ring", "device=cpu"]).device
    return Sandbox(source, device, compose_training, 0, settings or Settings())


def test_a_step_changes_samples_and_reset_restores(ring: Ring) -> None:
    state = torch.get_rng_state()
    one = sandbox(ring)
    before = one.samples()
    one.train(3)
    after = one.samples()
    assert one.step == 3 and not np.array_equal(before, after) and np.array_equal(after, one.samples())
    assert one.losses[0][0] == 3 and all(value is not None for value in one.losses[0])
    one.picture(), one.modes()
    one.train(2)
    end = one.samples()
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one.reset()
    assert one.step == 0 and not one.losses and np.array_equal(before, one.samples())
    one.train(3)
    assert np.array_equal(after, one.samples()), "looking changes nothing"
    one.train(2)
    assert np.array_equal(end, one.samples())
    one.reset()
    one.train(5)
    assert np.array_equal(end, one.samples()), "as many steps at once"
    assert torch.equal(state, torch.get_rng_state()), "nor do global states change"


@pytest.mark.parametrize(
    "change",
    [
        {"loss": "wgan_gp"},
        {"penalty": "r1"},
        {"n_critic": 3},
        {"generator_rate": 3e-3},
        {"critic_rate": 3e-3},
        {"packing": 2},
    ],
    ids=str,
)
def test_changes_act_while_it_trains(ring: Ring, change: dict[str, Any]) -> None:
    one, other = sandbox(ring), sandbox(ring)
    one.train(2)
    other.train(2)
    before = other.samples()
    other.apply(replace(other.settings, **change))
    assert np.array_equal(before, other.samples()) and other.step == 2, "the generator goes on"
    one.train(6)
    other.train(6)
    assert not np.array_equal(one.samples(), other.samples())


def test_what_a_change_sets(ring: Ring) -> None:
    one = sandbox(ring)
    one.train(2)
    moments = one._nets.optimisers["g"].state_dict()["state"]
    one.apply(Settings(loss="hinge", penalty="r1", generator_rate=1e-4, critic_rate=4e-4, n_critic=3))
    rates = {name: optimiser.param_groups[0]["lr"] for name, optimiser in one._nets.optimisers.items()}
    assert rates == pytest.approx({"g": 1e-4, "d": 4e-4})
    kept = one._nets.optimisers["g"].state_dict()["state"]
    assert torch.equal(kept[0]["exp_avg"], moments[0]["exp_avg"]) and kept[0]["exp_avg"].any()
    assert [*one.game.parts.penalties] == ["r1"] and one.game.players["g"].every == 3
    assert type(one.game.parts.loss).__name__ == "Hinge"
    critic = {name: part.clone() for name, part in one.game.parts.nets["discriminator"].state_dict().items()}
    one.apply(replace(one.settings, packing=4))
    assert (
        one.game.parts.nets["discriminator"].state_dict()[next(iter(critic))].shape
        != critic[next(iter(critic))].shape
    )
    one.train(3)
    one.picture()


def test_settings_that_do_not_fit_are_refused_and_change_nothing(ring: Ring) -> None:
    one = sandbox(ring)
    one.train(1)
    before, samples = one.settings, one.samples()
    with pytest.raises(UserError):
        one.apply(replace(before, loss="dragan", penalty="gradient"))
    assert one.settings == before and np.array_equal(samples, one.samples())
    one.train(1)


def test_a_loss_that_is_not_finite_ends_it(ring: Ring) -> None:
    one = sandbox(ring)
    with torch.no_grad():
        next(one.game.generator.parameters()).fill_(float("nan"))
    one.train(1)
    assert one.failed and not one.losses
    one.train(5)
    assert one.step == 1
    one.reset(CURE)
    assert not one.failed and one.settings == CURE
    one.train(1)


# The page


def test_a_page_that_is_closed_is_forgotten(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gradio")
    from ganexp.play import plane_page
    from ganexp.play.plane_page import Pages

    monkeypatch.setattr(plane_page, "_MAX_PAGES", 2)
    pages = Pages(lambda settings: sandbox(ring, settings))
    picture, _, status = pages.change("a", lambda one: one.train(2))
    assert len(decoded(picture)) == 1 and "step 2: " in status and "of 8 modes" in status
    assert "step 3" in pages.change("a", lambda one: one.train(1))[2]
    assert "step 1" in pages.change("b", lambda one: one.train(1))[2], "each page has a sandbox of its own"

    def fails(one: Sandbox) -> None:
        raise UserError(f"{Path.home()}/a.yaml: no")

    assert "a.yaml: no" in pages.change("b", fails)[2] and str(Path.home()) not in pages.change("b", fails)[2]
    pages.close("b")
    pages.close("never there")
    assert len(pages) == 1
    for number in range(2):
        pages.change(str(number), lambda one: None)
    assert len(pages) == 2 and "step 0" in pages.change("a", lambda one: None)[2]


def test_controls_make_a_request() -> None:
    pytest.importorskip("gradio")
    import gradio as gr

    from ganexp.play.run_page import _Controls

    facts = requests.Facts(("a",), ("z 0", "z 1"), ("cat", "dog"), False, (3, 0), True)
    with gr.Blocks(analytics_enabled=False):
        controls = _Controls(facts, 9, 4)
    values = [control.value for control in controls.all]
    assert controls.asked(values) == Asked(n=9, seed=4, moves=(0, 0), other_seed=5)
    # seed, samples, share, other seed, class, codes, truncate, psi, sliders
    given = [1, 2, 0.5, 3, 1, 2, -0.5, True, 0.3, 0.25, -1]
    wanted = Asked(2, 1, 1, {0: 2, 1: -0.5}, 0.3, (0.25, -1.0), 3, 0.5)
    assert len(given) == len(values) and controls.asked(given) == wanted
    emptied = controls.asked([None, None, None, None, -1, -1, None, False, None, None, None])
    assert emptied == Asked(n=1, seed=0, moves=(0, 0), other_seed=0)
    facts = facts._replace(several=True, codes=(), truncates=False, sliders=())
    with gr.Blocks(analytics_enabled=False):
        controls = _Controls(facts, 9, 4)
    assert controls.asked([0, 1, 0, 1, False, [1]]).label is None
    assert controls.asked([0, 1, 0, 1, True, [1]]).label == {0: 0, 1: 1}
