"""Scores of samples that were asked for by a label, and what was published beside ours."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY, Verb, composed, verb
from omegaconf import OmegaConf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ganexp.metrics.frechet import frechet_distance, moments
from ganexp.metrics.table import score_table
from ganexp.runs.bitwise import differences
from ganexp.training.evaluation import Evaluator
from ganexp.training.setup import build_experiment

CPU = torch.device("cpu")
ASKED = ["metrics=[accuracy,intra_fid,cas]", "data.resolution=8", "arch=mlp", "game=cgan"]


@pytest.fixture(scope="module")
def judge() -> Evaluator:
    cfg = composed(*ASKED)
    experiment = build_experiment(cfg)
    return Evaluator(experiment.data.source, experiment.data.arrays, cfg, CPU)


def test_real_samples_are_what_they_were_asked_to_be(judge: Evaluator) -> None:
    floor = judge.floor()
    assert floor["accuracy_cnn"] > 0.95 and floor["cas"] > 0.9


def test_samples_of_another_class_are_noticed(judge: Evaluator) -> None:
    labels = judge._other.labels
    assert labels is not None
    wrong = judge.score_samples(judge._other.samples, (labels + 1) % 10)
    right = judge.score_samples(judge._other.samples, labels)
    assert wrong["accuracy_cnn"] < 0.05 < 0.95 < right["accuracy_cnn"]
    assert wrong["intra_fid_cnn"] > 20 * right["intra_fid_cnn"]
    assert wrong["cas"] < 0.05 and right == judge.floor()


def test_intra_fid_is_the_mean_over_classes(judge: Evaluator) -> None:
    one, two = judge.real, judge._other
    assert one.labels is not None and two.labels is not None
    each = [
        frechet_distance(moments(one.features[one.labels == k]), moments(two.features[two.labels == k]))
        for k in range(10)
    ]
    assert judge.floor()["intra_fid_cnn"] == pytest.approx(np.mean(each))
    assert judge.warnings()[0].startswith("FID from 89 samples is biased"), "898 samples of 10 classes"


def test_a_game_without_labels_is_told_before_training(train: Verb, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        train("metrics=accuracy", *TINY[:-1], "evaluate.count=100", "epochs=1")
    assert ended.value.code == 2
    assert "metrics=accuracy asks a generator for classes" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["features=random", "metrics=accuracy"], "take features=classifier"),
        (["metrics=intra_fid", "features=random", "evaluate.count=12"], "too few samples of class"),
    ],
)
def test_what_cannot_be_scored(
    train: Verb, overrides: list[str], told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        train(*TINY[:-1], "game=cgan", *overrides, "epochs=1")
    assert ended.value.code == 2 and told in capfd.readouterr().err


def test_a_conditional_run_is_scored_by_the_verb_and_in_tensorboard(
    train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*TINY, "game=cgan", "epochs=1")
    capfd.readouterr()
    arguments = [f"run={folder}", "metrics=[cas,swd]", "features=random", "count=100", "format=json"]
    verb(monkeypatch, Path.cwd(), "evaluate", *arguments)
    found = json.loads(capfd.readouterr().out)
    assert 0 <= found["scores"]["cas"] <= 1
    board = EventAccumulator(str(folder))
    board.Reload()
    (event,) = board.Scalars("evaluate/swd")
    assert event.step == 1856 and event.value == pytest.approx(found["scores"]["swd"])
    assert board.Scalars("d/adversarial"), "what training wrote is still there"


def test_scores_that_train_a_network_never_change_a_run(train: Verb) -> None:
    scored = train(
        *TINY[:-1], "game=cgan", "metrics=[cas]", "features=random", "evaluate.every=1", "epochs=2", name="a"
    )
    blind = train(*TINY, "game=cgan", "epochs=2", name="b")
    unlike = [line for line in differences(scored, blind) if line != "last.pt: /progress/best"]
    assert len(unlike) == 1 and unlike[0].startswith("metrics.jsonl"), "the scores alone"


def test_a_folder_with_the_runs_classes_brings_labels(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*TINY, "epochs=1")
    data = build_experiment(composed(*TINY)).data.arrays
    for row in range(400):
        file = tmp_path / "mine" / data.classes[data.labels[row]] / f"{row}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(data.samples[row, 0]).save(file)
    capfd.readouterr()
    arguments = [f"run={folder}", f"against={tmp_path / 'mine'}", "metrics=accuracy", "features=classifier"]
    verb(monkeypatch, Path.cwd(), "evaluate", *arguments, "count=300", "format=json")
    assert json.loads(capfd.readouterr().out)["scores"]["accuracy_cnn"] > 0.95


def test_published_figures_stand_beside_ours() -> None:
    published = OmegaConf.create(
        {
            "source": "Someone 2018",
            "images": 1000,
            "differs": "everything",
            "scores": {"GAN": {"modes": 6.3}, "Better": {"modes": 7, "kl": 0.05}},
        }
    )
    lines = score_table(
        {"modes": 5.0, "kl": None}, {"real": {"modes": 8.0, "kl": 0.0}}, published, 25
    ).splitlines()
    assert lines[0].split() == ["score", "generated", "real", "GAN", "Better"]
    assert lines[1].split() == ["modes", "5.0000", "8.0000", "6.3", "7"]
    assert lines[2].split() == ["kl", "infinite", "0.0000", "-", "0.05"]
    assert lines[3] == "published: Someone 2018, after 1,000 images; here 25, 2.50% of that"
    assert len({len(line) for line in lines[:3]}) == 1, "columns line up"


@pytest.mark.parametrize("recipe", ["pacgan_ring", "pacgan_grid"])
def test_recipes_of_the_plane_are_the_papers(recipe: str) -> None:
    cfg = composed(f"experiment={recipe}")
    assert (cfg.optim.lr, cfg.optim.betas[0], cfg.batch_size, cfg.epochs) == (1e-4, 0.8, 100, 400)
    assert cfg.evaluate.published.images == cfg.epochs * cfg.data.count
    assert cfg.arch.generator.widths == [400] * 4 and cfg.arch.discriminator.pieces == 5
    assert composed(f"experiment={recipe}", "game=pacgan").arch.discriminator.shape == [4]


@pytest.mark.parametrize(
    ("recipe", "facts"),
    [
        ("pacgan_ring", ["same z", "drawn with replacement", "batch norm over each place", "counts packs"]),
        ("pacgan_grid", ["same z", "drawn with replacement", "batch norm over each place", "counts packs"]),
        (
            "stacked_mnist",
            ["share one z", "same order", "batch norm over each place", "test digits", "in [0, 1]"],
        ),
    ],
)
def test_recipes_say_where_the_authors_program_is_another(recipe: str, facts: list[str]) -> None:
    differs = composed(f"experiment={recipe}").evaluate.published.differs
    assert "\n" not in differs
    for fact in facts:
        assert fact in differs


def test_the_recipe_of_a_run_is_printed_at_its_end(train: Verb, capfd: pytest.CaptureFixture[str]) -> None:
    small: list[Any] = ["data.count=2000", "arch.generator.widths=[8]", "arch.discriminator.widths=[8]"]
    train("experiment=pacgan_ring", *small, "epochs=1", "evaluate.count=200")
    out = capfd.readouterr().out
    assert "PacGAN4" in out and "what differs: their players step at once" in out and "0.01% of that" in out
