"""Configuration: every YAML composes, every mistake is one line that names it, nothing needs torch for that."""

import itertools
import sys
from pathlib import Path

import pytest
from conftest import STYLE_IMAGE, WITHOUT_LOSS, command, composed, verb
from omegaconf import OmegaConf

from ganexp.config.resolvers import overrides_name
from ganexp.config.signatures import constant_of, settings_of
from ganexp.config.start import with_nets_from_run
from ganexp.config.targets import conf_folder
from ganexp.errors import UserError, suggest

GROUPS = ("arch", "data", "degrade", "device", "experiment", "game", "loss", "optim", "penalties", "schedule")
CHOICES = [(group, file.stem) for group in GROUPS for file in sorted((conf_folder() / group).glob("*.yaml"))]


_STYLE = ["loss=none", f"game.image={STYLE_IMAGE}"]

OF_NETWORKS = {
    **{key: ["game=inpaint"] for key in ("context_encoder", "gated", "glcic")},
    **{key: ["game=vae", "loss=none", "data.resolution=32"] for key in ("vae", "vae_mlp", "vanilla_vae")},
    **{key: ["game=vaegan"] for key in ("vaegan", "vaegan_mlp")},
    **{key: ["game=bigan"] for key in ("bigan", "bigan_mlp")},
    **{key: ["game=fanogan", "loss=none", "start_from=null"] for key in ("fanogan", "fanogan_mlp")},
    "ganomaly": ["game=ganomaly"],
    **{key: ["game=pix2pix", "degrade=noise"] for key in ("unet", "rrdb", "srresnet")},
    **{key: ["game=cyclegan", "degrade=edges"] for key in ("cyclegan", "cyclegan_128")},
    "cut": ["game=cut", "degrade=noise"],
    "stargan": ["game=stargan"],
    "style": [*_STYLE, "game=style"],
}
"""The games of networks that game=gan does not fit; the same for their small presets."""

BESIDE = {
    **{("game", name): ["loss=none"] for name in WITHOUT_LOSS},
    **{("game", name): ["degrade=noise"] for name in ("cut", "cyclegan", "fastcut", "pix2pix")},
    **{
        ("degrade", name): ["game=pix2pix", "data=celeba"]
        for group, name in CHOICES
        if group == "degrade" and name != "none"
    },
    ("game", "style"): _STYLE,
    ("game", "fanogan"): ["loss=none", "start_from=null"],
    ("degrade", "classes"): ["game=cyclegan"],
    ("degrade", "identity"): ["game=stargan"],
    ("penalties", "path_length"): ["arch=stylegan2", "data.resolution=32"],
    ("optim", "rmsprop"): ["loss=wgan"],
}
"""What a choice does not compose without."""

BY_DATA = (("degrade", "pairs"), ("degrade", "unpaired"))
"""Choices that a data set chooses."""


def _with_files(group: str, choice: str, folder: Path) -> list[str]:
    """What a choice that reads images from disk needs besides, with an image in each of the folders."""
    from PIL import Image

    if (group, choice) in (("data", "unpaired"), ("experiment", "cut"), ("experiment", "cyclegan")):
        folders = [folder / "trainA", folder / "trainB"]
        settings = ["game=cyclegan"] if choice == "unpaired" else []
    elif choice in ("folder", "pairs"):
        folders, settings = [folder], ["degrade=none"]
    else:
        return []
    for one in folders:
        one.mkdir(exist_ok=True)
        Image.new("RGB", (40, 40)).save(one / "a.png")
    return [f"data.root={folder}", *settings]


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_composes_and_is_checked(group: str, choice: str, tmp_path: Path) -> None:
    if (group, choice) in BY_DATA:
        return
    extra = BESIDE.get((group, choice), []) + _with_files(group, choice, tmp_path)
    if group == "arch":
        extra = OF_NETWORKS.get(choice.removesuffix("_small"), [])
    cfg = composed(*extra, f"{group}={choice}")
    generator = cfg.arch.generator
    assert cfg.seed == 0 and ("source_shape" in generator or generator.shape == cfg.data.shape)


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (["game=srgan"], ["game=srgan", "degrade.factor=2"], "its generator has source_shape [1, 4, 4]"),
        (
            ["game=pix2pix", "degrade=holes"],
            ["game=inpaint", "arch=unet_small"],
            "its discriminator has shape [3, 16, 16], and this run needs [2, 16, 16]",
        ),
    ],
)
def test_networks_of_a_run_with_other_sources_are_refused(
    first: list[str], second: list[str], told: str
) -> None:
    stored, same = composed(*first), composed(*first, "seed=1")
    assert with_nets_from_run(same, stored, []).arch == stored.arch
    with pytest.raises(UserError) as error:
        with_nets_from_run(composed(*second), stored, [])
    assert told in str(error.value)


def test_every_combination_of_data_arch_and_loss_composes() -> None:
    losses = [choice for group, choice in CHOICES if group == "loss"]
    for data, arch, loss in itertools.product(
        ("digits", "mnist", "cifar10", "celeba", "medmnist", "stacked_mnist"), ("mlp", "dcgan"), losses
    ):
        composed(
            f"data={data}", f"arch={arch}", f"loss={loss}", "data.root=." if data != "digits" else "seed=0"
        )


MISTAKES = {
    "los=gan": "los: no such setting; did you mean loss?",
    "optim.lrr=1": "optim.lrr: no such setting; did you mean lr?",
    "+foo=1": "foo: no such setting of a run",
    "+optim.foo=1": "optim.foo: no such setting of optim; there are betas,",
    "loss=wgna": "loss=wgna: no such choice of loss; did you mean wgan? (dragan, gan,",
    "experiment=nothing": "experiment=nothing: no such choice of experiment; there are cifar10_quick, ",
    "seed=abc": "seed=abc: should be a valid integer",
    "seed=-1": "seed=-1: should be greater than or equal to 0",
    "epochs=0": "epochs=0: should be greater than or equal to 1",
    "epochs=1.5": "epochs=1.5: should be a valid integer",
    "batch_size=1": "batch_size=1: should be greater than or equal to 2",
    "optim.lr=-1": "optim.lr=-1: should be greater than 0",
    "optim.lr=fast": "optim.lr=fast: should be a valid number",
    "optim.lr=inf": "optim.lr=inf: should be a finite number",
    "optim.betas=[0.5]": "optim.betas=[0.5]: list should have at least 2 items",
    "optim.betas=[0.5,1]": "optim.betas[1]=1: should be less than 1",
    "recipe=none arch.discriminator.norm=bach": "arch.discriminator.norm=bach: should be 'batch', 'layer', ",
    "arch.generator.latent=null": "arch.generator.latent=null: should be a valid integer",
    "ema.rampup=2": "ema.rampup=2: should be less than or equal to 1",
    "name=../away": "name=../away: should have only letters, digits, . _ + and -",
    "data=folder": "data.root is required: set data.root=...",
    "data=pairs degrade=none": "data.root is required: set data.root=...",
    "game=style loss=none": "game.image is required: set game.image=...",
    "data=mnist,digits": "data=mnist,digits names several values: add -m",
    "loss=wgan_gp optim=rmsprop": "optim.betas: no such setting of optim; did you mean",
    "recipe=none +penalties.r1=10": "penalties.r1=10: it is a group of settings",
    "recipe=none +penalties.r1={weight:1}": "penalties.r1 has no _target_: choose it with penalties=r1",
    "recipe=none +penalties.r1={_target_:ganexp.penalties.R9}": "ganexp.penalties defines no R9",
    "+penalties.r1={_target_:nowhere.R1}": "there is no package 'nowhere'",
    "recipe=none +penalties.r1={_target_:ganexp.penalties.R1,weight:1}": "penalties.r1.every is missing",
    "seed=[1": "cannot read 'seed=[1'",
    "resume=nowhere": "nowhere is not a run: it has no config.yaml",
    "seed = 1": "cannot read 'seed': settings are written key=value, without spaces",
    "metrics=fid,kid": "metrics=fid,kid names several values: a list has brackets: metrics=[fid,kid]",
    "features.seed=1": "features.seed: the chosen features have no such setting; features=classifier has seed",
    "loss=null": "null cannot be chosen",
    "data=null": "null cannot be chosen",
    "loss._target_=3": "loss._target_=3: should be a class",
    "recipe=none penalties.r1.weight=3": "this run has no penalty r1; penalties=r1 adds it",
    "resume=": "resume is empty",
    "~optim._target_": "optim has no _target_, which says what class it is built from",
    "~arch.generator._target_": "arch.generator has no _target_",
    "resume=1000": "1000 is not a run: it has no config.yaml",
    "resume=[a,b]": "resume=['a', 'b']: set resume=<folder>",
    "features=[[]]": "the choice of a group, such as data=mnist or metrics=[fid,kid], is a name or a list",
    "batch_size=100000000000": "batch_size=100000000000: should be less than or equal to 1000000",
    "arch.generator.shape=[1,32,32]": "arch.generator.shape=[1, 32, 32]: the data's samples are [1, 16, 16]",
    "game=cgan arch.generator.classes=3": "arch.generator.classes=3: the data has 10 classes",
    "-m --cfg=job seed=1,2": "--cfg shows one run",
    "game.generator=3": "game.generator: no such setting",
    "+game.generator=3": "game.generator: no such setting of game",
    "lr=1e-4": "lr=1e-4: no such setting; did you mean optim.lr=1e-4?",
    "-m lr=1e-4,1e-3": "did you mean optim.lr=1e-4,1e-3?",
    "--epochs 5": "--epochs 5: settings are written key=value, without dashes: epochs=5",
    "loss=dcgan": "loss=dcgan: no such choice of loss; dcgan is a choice of arch: arch=dcgan",
    "-m loss=gan,dcgan": "dcgan is a choice of arch: arch=dcgan",
    "loss=bce": "did you mean loss=gan?",
    "game=colorization": "no such choice of game; did you mean game=pix2pix degrade=gray?",
    "game=esrgan": "did you mean game=srgan arch=rrdb loss=ragan?",
    "degrade=grayscale": "did you mean degrade=gray?",
    "game=conditional": "game=conditional: no such choice of game; did you mean game=cgan?",
    "experiment=mnist": "experiment=mnist: no such choice of experiment; did you mean experiment=mnist_quick?",
    "experiment=celeba": "did you mean experiment=dcgan_celeba?",
    "experiment=digits": "digits is a choice of data: data=digits",
    "+penalties={r1.a:{}}": "should have only letters, digits and _",
    "-m hydra/launcher=submitit_slurm seed=1,2": "pip install -e '.[slurm]'",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_status_2(
    mistake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from ganexp.cli import main

    with pytest.raises(SystemExit) as ended:
        main._report_errors(lambda: verb(monkeypatch, tmp_path, "train", *mistake.split(" ")))
    assert ended.value.code == 2
    told = capfd.readouterr().err.strip().splitlines()
    assert len(told) == 1 and told[0].startswith("ganexp: "), told
    assert MISTAKES[mistake] in told[0]
    assert list(tmp_path.iterdir()) == [], "nothing is made"


@pytest.mark.parametrize(
    ("run", "said"), [("1e3", "1000.0 is not a run"), ("true", "True is not"), ("[1]", "run=[1]")]
)
def test_a_run_is_a_folder(
    run: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from ganexp.cli import main

    with pytest.raises(SystemExit) as ended:
        main._report_errors(lambda: verb(monkeypatch, tmp_path, "sample", f"run={run}"))
    assert ended.value.code == 2 and said in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "film run=x width=64,128",
            "width=64,128 names several values, where one is taken; a text with commas",
        ),
        ("evaluate run=x metrics=fid,kid", "a list has brackets: metrics=[fid,kid]"),
        ("tune space=rates -- loss=gan,wgan", "loss=gan,wgan names several values, where one is taken"),
    ],
)
def test_a_sweep_is_only_proposed_to_train(
    words: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from ganexp.cli import main

    with pytest.raises(SystemExit) as ended:
        main._report_errors(lambda: verb(monkeypatch, tmp_path, *words.split(" ")))
    (line,) = capfd.readouterr().err.splitlines()
    assert ended.value.code == 2 and told in line and "-m" not in line


@pytest.mark.parametrize(
    "words", ["film run=x seconds=2147483648", "neighbours run=x n=2147483648", "neighbours run=x k=100000"]
)
def test_what_a_reader_is_asked_for_has_bounds(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from ganexp.cli import main

    with pytest.raises(SystemExit) as ended:
        main._report_errors(lambda: verb(monkeypatch, tmp_path, *words.split(" ")))
    assert ended.value.code == 2 and "should be less than or equal to" in capfd.readouterr().err


def test_a_home_folder_is_spelled_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ganexp.cli.hydra_app import hydra_arguments

    monkeypatch.setenv("HOME", str(tmp_path))
    assert hydra_arguments("train", ["data.root=~/a b", "loss=gan", "-m"]) == [
        "-m",
        f"data.root='{tmp_path}/a b'",
        "loss=gan",
    ]


def test_every_member_of_a_sweep_is_checked_before_the_first_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        verb(monkeypatch, tmp_path, "train", "-m", "seed=1,2,abc", "max_steps=1")
    assert ended.value.code == 2
    assert "seed=abc: should be a valid integer" in capfd.readouterr().err
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    "arguments", [["--help"], ["train", "seed=abc"], ["train", "--cfg", "job"], ["train", "--help"]]
)
def test_torch_is_not_imported_for_words_alone(tmp_path: Path, arguments: list[str]) -> None:
    seen = command(tmp_path, *arguments, PYTHONPROFILEIMPORTTIME="1").stderr
    imported = {line.rsplit("|", 1)[-1].strip() for line in seen.splitlines() if line.startswith("import time")}
    assert "ganexp.cli.main" in imported
    assert not imported & {"torch", "torchvision", "sklearn", "tensorboard"}
    if arguments == ["--help"]:
        assert not imported & {"hydra", "omegaconf", "numpy", "pydantic"}


def test_a_run_is_named_by_what_was_said() -> None:
    assert overrides_name(["loss=wgan_gp", "seed=1"]) == "loss-wgan_gp+seed-1"
    assert (
        overrides_name(["seed=1", "loss=wgan_gp", "name=x", "epochs=9", "device=cpu"]) == "loss-wgan_gp+seed-1"
    )
    assert overrides_name([]) == "default"
    assert (
        overrides_name(["data.root=../shared/data", "penalties=[r1,r2]"]) == "penalties-r1-r2+root-shared-data"
    )
    both = overrides_name(["arch.generator.norm=none", "arch.discriminator.norm=none"])
    assert both == "arch.discriminator.norm-none+arch.generator.norm-none"
    long = [f"data.root={'x' * 200}/{end}" for end in "ab"]
    first, second = (overrides_name([override]) for override in long)
    assert len(first) == len(second) == 120 and first != second


def test_signatures_are_read_without_importing() -> None:
    settings = settings_of("ganexp.nets.mlp.Generator")
    assert settings is not None
    assert set(settings) == {"shape", "bounded", "latent", "classes", "condition", "widths", "norm", "dropout"}
    inherited = settings_of("ganexp.games.cgan.CGAN")
    assert inherited is not None and set(inherited) == {
        "n_critic",
        "n_generator",
        "noise",
        "reuse_fake",
        "clip",
    }
    fields = settings_of("ganexp.data.mnist.FashionMNIST")
    assert fields is not None and {"root", "split", "resolution", "shape"} <= set(fields)
    for wrong in ("ganexp.losses.Nothing", "ganexp.nothing.X", "nopackage.X"):
        with pytest.raises(LookupError):
            settings_of(wrong)


def test_a_penalty_of_ones_own_is_checked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_for_test.py").write_text(
        "class Own:\n    def __init__(self, anything, depth: int): ...\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    own = "+penalties.mine={_target_:mine_for_test.Own,anything:[1],depth:%s}"
    composed(own % "3")
    with pytest.raises(UserError, match=r"penalties\.mine\.depth=deep: should be a valid integer"):
        composed(own % "deep")


def test_a_base_class_may_be_named_by_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "import ganexp.penalties\nfrom ganexp import penalties as p\nfrom torch import nn\n"
    text += "class One(p.Penalty): ...\nclass Two(ganexp.penalties.Penalty): ...\nclass Net(nn.Module): ...\n"
    (tmp_path / "bases_for_test.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("One", "Two"):
        assert set(settings_of(f"bases_for_test.{name}") or {}) == {"weight", "every"}
        assert constant_of(f"bases_for_test.{name}", "player") == "d"
    assert settings_of("bases_for_test.Net") == {}


@pytest.mark.parametrize(
    "loss", sorted({path.stem for path in Path(conf_folder(), "loss").glob("*.yaml")} - {"none"})
)
def test_a_loss_is_a_whole_recipe_or_says_that_it_is_none(loss: str) -> None:
    text = Path(conf_folder(), "loss", f"{loss}.yaml").read_text()
    comment = " ".join(line[2:] for line in text.splitlines() if line.startswith("# "))
    assert ("objective alone" in comment) != ("\noptim:" in text)


def test_dragan_brings_its_authors_settings() -> None:
    optim = composed("loss=dragan").optim
    assert (optim.lr, optim.betas) == (1e-4, [0.5, 0.9])


def test_the_nearest_name() -> None:
    assert suggest("wgna", ["gan", "wgan"]) == "did you mean wgan? (gan, wgan)"
    assert suggest("zzz", ["wgan", "gan"]) == "there are gan, wgan"
    assert suggest("zzz", ["gan"]) == "there is only gan"
    assert suggest("x", []) == ""


def test_paths_are_absolute_in_a_runs_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert composed("data=mnist", "data.root=here").data.root == str(tmp_path / "here")
    style = ["game=style", "loss=none", "data.resolution=32", "game.image=[a.png,b.png]"]
    assert composed(*style).game.image == [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    assert composed("features=inception", "features.weights='~/w'").features.weights == str(Path.home() / "w")


def test_paths_alone_are_changed() -> None:
    assert composed("optim.betas=[0,0.99]").optim.betas == [0, 0.99]
    assert isinstance(composed("optim.betas=[0,0.99]").optim.betas[0], int)


def test_yaml_defaults_are_the_only_defaults() -> None:
    """A node names every setting of its target: what a run used can be read in its config.yaml."""
    for group, choice in CHOICES:
        node = OmegaConf.to_container(OmegaConf.load(conf_folder() / group / f"{choice}.yaml"))
        assert isinstance(node, dict)
        for target in [node, *node.values()]:
            if isinstance(target, dict) and "_target_" in target:
                settings = settings_of(target["_target_"]) or {}
                assert set(settings) <= set(target), f"{group}/{choice}"
