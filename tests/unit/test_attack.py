"""Attacks: they succeed outside of what is exactly certified and never inside, on a linear layer and on real digits."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax

from accelerated_smoothing import analysis, attack, cli, config, data, papers, progress
from accelerated_smoothing.attack import pgd
from accelerated_smoothing.attack import target as targets
from accelerated_smoothing.certify.log import read
from accelerated_smoothing.certify.methods import margin
from accelerated_smoothing.errors import InputError

CPU = torch.device("cpu")
SHAPE = (1, 3, 4)
SLACK = 1e-6  # pixels: an attack keeps 12^(1/2) 2^-25 = 1e-7 within its size, and its steps are in float32, too


def run(words: str) -> None:
    assert cli.main(words.split()) == 0, words


def linear(classes: int, count: int) -> SimpleNamespace:
    """A linear classifier, images amid the pixels' range, their classes, and how far the nearest other class is."""
    random = np.random.default_rng(classes)
    weight = random.normal(size=(classes, int(np.prod(SHAPE))))
    images = random.uniform(0.45, 0.55, size=(count, *SHAPE)).astype(np.float32)
    x = images.reshape(count, -1).astype(float)
    bias = -(x @ weight.T).mean(axis=0)
    z = x @ weight.T + bias
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(*weight.T.shape))
    model[1].load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})

    def decide(points: np.ndarray) -> np.ndarray:
        return (points.reshape(count, -1).astype(float) @ weight.T + bias).argmax(axis=1)

    radius = margin.radii(z, np.zeros_like(z), weight)
    assert radius.max() < 0.4  # so that no pixel reaches the end of its range
    return SimpleNamespace(model=model, images=images, classes=z.argmax(axis=1), radius=radius, decide=decide)


def test_of_two_classes_the_attack_finds_the_exact_distance() -> None:
    p = linear(2, 50)
    for slack, changes in ((-SLACK, False), (SLACK, True)):
        points = pgd.pgd(p.model, p.images, p.classes, p.radius + slack, 20, 2, CPU)
        assert ((p.decide(points) != p.classes) == changes).all()


def test_of_many_classes_no_attack_inside_the_margin_succeeds_and_most_of_twice_its_size_do() -> None:
    p = linear(6, 200)
    random = np.random.default_rng(0).normal(size=p.images.shape)
    for start in (None, pgd.within((p.images + random).clip(0, 1).astype(np.float32), p.images, p.radius)):
        inside, outside = (
            pgd.pgd(p.model, p.images, p.classes, reach, 20, 6, CPU, start)
            for reach in (p.radius - SLACK, 2 * p.radius)
        )
        assert (p.decide(inside) == p.classes).all()
        # The steepest rise of the cross-entropy need not lead to the nearest other class.
        assert (p.decide(outside) != p.classes).mean() > 0.9


def test_a_start_elsewhere_is_taken() -> None:
    """One step from a start leads elsewhere than from the image."""
    p = linear(6, 20)
    reach = np.full(20, 0.1)
    away = np.random.default_rng(0).normal(size=p.images.shape).astype(np.float32)
    start = pgd.within((p.images + away).clip(0, 1), p.images, reach)
    here, there = (pgd.pgd(p.model, p.images, p.classes, reach, 1, 6, CPU, at) for at in (None, start))
    assert (np.abs(here - there).reshape(20, -1).max(axis=1) > 1e-3).all()


@pytest.mark.parametrize("epsilon", [0.0, 1e-7, 0.05, 3.0])
def test_no_rounding_takes_an_attack_beyond_its_size_or_the_pixels(epsilon: float) -> None:
    random = np.random.default_rng(0)
    images, points = random.random((2, 300, 3, 8, 8), dtype=np.float32)
    inside = pgd.within(points, images, np.full(300, epsilon))
    norm = pgd.length(inside.astype(float) - images)
    assert inside.dtype == np.float32
    assert (norm <= epsilon).all()
    # Rounding may move a point of 192 pixels by 192^(1/2) 2^-25, and as much is kept in reserve.
    assert (norm >= epsilon - 2 * 192**0.5 * 2**-25).all()
    assert inside.min() >= 0
    assert inside.max() <= 1


def test_an_attack_sees_the_mean_softmax_of_noisy_copies() -> None:
    random = np.random.default_rng(0)
    weight, x, noise = random.normal(size=(5, 4)), random.normal(size=(3, 4)), random.normal(size=(3, 7, 4))
    model = pgd.Mean(lambda x: 2 * x, lambda z: z @ torch.from_numpy(weight).T)
    model.noise = torch.from_numpy(noise)
    probabilities = softmax(model(torch.from_numpy(x)).numpy(), axis=1)
    expected = np.array([[softmax(weight @ (2 * x[i] + noise[i, j])) for j in range(7)] for i in range(3)]).mean(axis=1)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-12)


@pytest.fixture(scope="module")
def fars(digits: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small backbone trained on real digits, embeddings, and heads on them: one linear, one trained under noise."""
    folder = tmp_path_factory.mktemp("fars")
    images = f"--train {digits.train} --test {digits.test}"
    run(
        f"train-base margin {images} --sigma 0 --arch sll8-1 --optimizer adamw --lr 0.01 --epochs 4 --batch-size 64 "
        f"--crop 0 --no-flip --epsilon 0.3 --threads 1 --output {folder}/backbone.safetensors"
    )
    run(f"embed --base {folder}/backbone.safetensors {images} --threads 1 --output {folder}")
    for arch, sigma in (("linear", 0), ("mlp-32", 0.12)):
        run(
            f"train-base gaussian --train {folder}/train.npz --test {folder}/test.npz --sigma {sigma} --arch {arch} "
            f"--optimizer adamw --lr 0.01 --epochs 4 --batch-size 64 --crop 0 --no-flip "
            f"--threads 1 --output {folder}/{arch}.safetensors"
        )
    return folder


def heads(fars: Path, arch: str, images: data.Images, sigma: float) -> targets.Target:
    return targets.build(
        fars / f"{arch}.safetensors",
        None if arch == "backbone" else fars / "backbone.safetensors",
        images,
        sigma=sigma,
        distribution="gaussian",
        n=200,
        seed=0,
        alpha=0.001,
        passes=config.Passes(),
        device=CPU,
    )


def certificates(fars: Path, method: str) -> pd.DataFrame:
    run(
        f"certify {method} --base {fars}/linear.safetensors --images {fars}/test.npz --alpha 0.001 "
        f"--output {fars}/{method}.tsv"
    )
    return read(fars / f"{method}.tsv")


@pytest.mark.slow
def test_on_digits_no_attack_inside_a_margin_succeeds_and_some_outside_do(fars: Path, digits: SimpleNamespace) -> None:
    images = data.read(digits.test)
    exact, claimed = (certificates(fars, method) for method in ("margin", "top-logit"))
    classes = exact["predict"].to_numpy()
    assert (classes >= 0).all()
    target = heads(fars, "linear", images, 0)
    radii = np.stack([0.999 * exact["radius"], 1.5 * exact["radius"], 0.999 * claimed["radius"]], axis=1)
    predict, sure, norm = pgd.attack(target, images, classes, radii, config.Attack(steps=20), seed=0)
    assert sure.all()
    assert (norm <= radii).all()
    natural, _ = target.decide(images.pixels(), images.idx)
    np.testing.assert_array_equal(natural, classes)
    changed = predict != classes[:, None]
    assert not changed[:, 0].any()
    assert changed[:, 1].mean() > 0.05
    assert changed[:, 2].any()  # the paper's own certificate claims too much, and the same attack shows it


@pytest.mark.parametrize("head", ["backbone", "linear"])
def test_a_network_without_noise_is_judged_without_cudnn(
    fars: Path, digits: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    """As the certificates that the attack checks are made: with or without a backbone in front."""
    convolve, enabled = torch.nn.functional.conv2d, []

    def noting(*arguments: Any, **options: Any) -> torch.Tensor:
        enabled.append(torch.backends.cudnn.enabled)
        return convolve(*arguments, **options)

    images = data.read(digits.test, ":4")
    target = heads(fars, head, images, 0)
    monkeypatch.setattr(torch.nn.functional, "conv2d", noting)
    target.decide(images.pixels(), images.idx)
    assert enabled
    assert not any(enabled)


def test_a_sampled_head_is_attacked_and_judged_by_its_majority(fars: Path, digits: SimpleNamespace) -> None:
    images = data.read(digits.test, ":40")
    target = heads(fars, "mlp-32", images, 0.12)
    classes, sure = target.decide(images.pixels(), images.idx)
    assert sure.mean() > 0.8
    radii = np.tile([0.0, 0.1, 1.5], (40, 1))
    settings = config.Attack(steps=10, samples=4, restarts=2)
    predict, _, norm = pgd.attack(target, images, classes, radii, settings, seed=0)
    np.testing.assert_array_equal(predict[:, 0], classes)
    assert (norm[:, 0] == 0).all()
    assert (predict != classes[:, None]).mean(axis=0)[2] > 0.9
    # One restart less never finds more, since its tries are among those of more.
    fewer, _, _ = pgd.attack(target, images, classes, radii, config.Attack(steps=10, samples=4), seed=0)
    assert ((fewer != classes[:, None]) <= (predict != classes[:, None])).all()


def verb(fars: Path, digits: SimpleNamespace, output: Path, **changes: str) -> list[str]:
    flags = {
        "base": f"{fars}/mlp-32.safetensors",
        "backbone": f"{fars}/backbone.safetensors",
        "images": str(digits.test),
        "slice": ":30",
        "sigma": "0.12",
        "epsilons": "0.3 0.1",
        "steps": "5",
        "samples": "2",
        "n": "100",
        "threads": "1",
        **changes,
    }
    words = [word for name, value in flags.items() if value for word in f"--{name} {value}".split()]
    return ["attack", *words, "--output", str(output)]


def test_the_log_has_a_row_for_each_image_and_size(fars: Path, digits: SimpleNamespace, tmp_path: Path) -> None:
    assert cli.main(verb(fars, digits, tmp_path / "log.tsv")) == 0
    log = pd.read_csv(tmp_path / "log.tsv", sep="\t")
    assert list(log)[:6] == ["idx", "label", "epsilon", "edge", "predict", "sure"]
    np.testing.assert_array_equal(log["idx"], np.repeat(np.arange(30), 3))
    np.testing.assert_array_equal(log["epsilon"], np.tile([0, 0.1, 0.3], 30))
    np.testing.assert_array_equal(log["label"].iloc[::3], data.read(digits.test, ":30").labels)
    assert (log["norm"] <= log["epsilon"]).all()
    assert set(log["n"]) == {100}
    assert set(log["sigma"]) == {0.12}


def certified(fars: Path, digits: SimpleNamespace, folder: Path) -> Path:
    """Certificates of the head that is sampled."""
    words = f"--base {fars}/mlp-32.safetensors --images {fars}/test.npz --slice :200 --sigma 0.12 --threads 1"
    for purpose, sizes in (("selection", 100), ("estimation", 1000)):
        run(f"count {words} --purpose {purpose} --sizes {sizes} --output {folder}/{purpose}.npz")
    run(
        f"certify embedded --n 1000 --selection {folder}/selection.npz --estimation {folder}/estimation.npz "
        f"--images {fars}/test.npz --slice :200 --alpha 0.001 --output {folder}/embedded.tsv"
    )
    return folder / "embedded.tsv"


@pytest.mark.slow
def test_no_attack_at_the_edge_of_a_sampled_certificate_succeeds_and_some_beyond_do(
    fars: Path, digits: SimpleNamespace, tmp_path: Path
) -> None:
    path, attacks = certified(fars, digits, tmp_path), {}
    claimed = read(path)
    for share in (1, 2):
        log = tmp_path / f"{share}.tsv"
        claimed.assign(radius=share * claimed["radius"]).to_csv(log, sep="\t", index=False)
        changes = {"slice": ":200", "epsilons": "0.1", "n": "1000", "steps": "20", "certificates": str(log)}
        assert cli.main(verb(fars, digits, tmp_path / f"attacks{share}.tsv", **changes)) == 0
        attacks[share] = pd.read_csv(tmp_path / f"attacks{share}.tsv", sep="\t").query("edge == 1")
        np.testing.assert_array_equal(attacks[share]["idx"], claimed["idx"])
        np.testing.assert_allclose(attacks[share]["epsilon"], 0.999 * share * claimed["radius"], rtol=1e-12)
    some = (claimed["radius"] > 0).to_numpy()
    assert some.mean() > 0.8
    other = {share: (log["predict"].to_numpy() != claimed["predict"]) & (log["sure"] == 1).to_numpy() & some
             for share, log in attacks.items()}  # fmt: skip
    assert not other[1].any()
    assert other[2].mean() > 0.05


def test_certificates_of_other_images_are_refused(
    fars: Path, digits: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = certificates(fars, "margin")
    log.to_csv(tmp_path / "margin.tsv", sep="\t", index=False)
    assert cli.main(verb(fars, digits, tmp_path / "log.tsv", certificates=f"{tmp_path}/margin.tsv")) == 2
    assert "margin.tsv must be of the images that are attacked" in capsys.readouterr().err
    assert not (tmp_path / "log.tsv").exists()


def test_a_stopped_run_goes_on(
    fars: Path, digits: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attack.engines, "batch", lambda *_, **__: 15)  # five images at once
    assert cli.main(verb(fars, digits, tmp_path / "whole.tsv", n="20")) == 0
    count = progress.Progress.update

    def update(self: progress.Progress, amount: int) -> None:
        count(self, amount)
        if self.what == "attacking" and self.done == 10:
            self.asked = 15

    with monkeypatch.context() as patch:
        patch.setattr(progress.Progress, "update", update)
        assert cli.main(verb(fars, digits, tmp_path / "parts.tsv", n="20")) == cli.TRY_AGAIN
    assert not (tmp_path / "parts.tsv").exists()
    assert cli.main(verb(fars, digits, tmp_path / "parts.tsv", n="20")) == 0
    assert (tmp_path / "parts.tsv").read_text() == (tmp_path / "whole.tsv").read_text()
    assert not list(tmp_path.glob("*.partial.npz"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "{fars}/other.safetensors"}, "name the backbone behind which it was trained"),
        ({"backbone": "{fars}/mlp-32.safetensors"}, "must be made for dataset digits"),
        ({"backbone": ""}, "must be made for dataset digits"),
        ({"images": "{fars}/test.npz"}, "--images must be the images themselves, got embeddings"),
        ({"base": "{fars}/backbone.safetensors"}, "the embeddings by"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    fars: Path, digits: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict, message: str
) -> None:
    from accelerated_smoothing import models

    model, description = models.load(fars / "backbone.safetensors", "base")
    model[1].fc.bias.data += 1  # of which nothing is used, but it is another file
    models.save(fars / "other.safetensors", model, description)
    flags = {name: value.format(fars=fars) for name, value in changes.items()}
    assert cli.main(verb(fars, digits, tmp_path / "log.tsv", **flags)) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_whole_network_is_attacked_under_noise_on_images(fars: Path, digits: SimpleNamespace, tmp_path: Path) -> None:
    changes = {"base": f"{fars}/backbone.safetensors", "backbone": "", "slice": ":4"}
    assert cli.main(verb(fars, digits, tmp_path / "log.tsv", **changes)) == 0
    assert len(pd.read_csv(tmp_path / "log.tsv", sep="\t")) == 12


table2 = papers.table("fars/table2")


def write_attacks(
    path: Path, predict: list[list[int]], sure: list[list[int]], label: list[int], own: Sequence[float] = ()
) -> None:
    """`own`: the size of one further attack on each image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "experiment": "fars/original",
            "idx": i,
            "label": label[i],
            "epsilon": e,
            "edge": int(k == 3),
            "predict": predict[i][k],
            "sure": sure[i][k],
            "norm": e,
            "sigma": 0.0,
        }
        for i in range(len(label))
        for k, e in enumerate([0, 0.1, 0.2, *own[i : i + 1]])
    ]
    pd.DataFrame(rows).to_csv(path, sep="\t", index=False)


def write_certificates(path: Path, predict: list[int], radius: list[float], label: list[int], guarantee: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = pd.DataFrame({"idx": range(len(label)), "label": label, "predict": predict, "radius": radius})
    rows["correct"] = (rows["predict"] == rows["label"]).astype(int)
    rows = rows.assign(time=0.0, experiment="fars/original", method=path.stem, guarantee=guarantee, passes=1)
    rows.assign(n=0, alpha=0.0, sigma=0.0, sigma0=0.0).to_csv(path, sep="\t", index=False)


@pytest.fixture
def logs(tmp_path: Path) -> list[Path]:
    """Five images: one never changed, two changed by the larger attack, one of these not surely, two wrong at first."""
    home, label = tmp_path / "original", [0, 1, 2, 3, 4]
    predict = [[0, 0, 0], [1, 1, 0], [2, 2, 0], [1, 3, 1], [0, 0, 1]]
    sure = [[1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 1, 1], [1, 1, 1]]
    write_attacks(home / "attacks/sigma0.0.tsv", predict, sure, label)
    folder = home / "certificates/sigma0.0"
    write_certificates(folder / "margin.tsv", [0, 1, 2, 1, 0], [0.5, 0.19, 0.2, 0.05, 0.1], label, "deterministic")
    write_certificates(folder / "top-logit.tsv", [0, 1, 2, 1, -1], [0.5, 0.2, 0.3, 0.1, 0], label, "estimated")
    return [home / "attacks/sigma0.0.tsv", folder / "margin.tsv", folder / "top-logit.tsv"]


def test_table2_counts_attacks_inside_certificates(logs: list[Path]) -> None:
    settings, loaded = analysis.Settings(radii=[0.1, 0.2]), table2.load(logs)
    table = table2.make(loaded, settings).set_index("certificate")
    assert list(table["inside"]) == [0, 2]  # image 1 at its radius, 3 at the smaller size; 2 is unsure, 4 abstains
    assert list(table["guarantee"]) == ["deterministic", "estimated"]
    assert set(table["natural"]) == {0.6}
    assert set(table["r=0.1"]) == {0.6}  # image 3 becomes correct, but was not
    assert set(table["r=0.2"]) == {0.2}
    assert list(table["r=0.2 certified"]) == [0.4, 0.6]
    for row in table.reset_index().to_dict("records"):
        for column in ("natural", "r=0.1", "r=0.2", "r=0.1 certified", "r=0.2 certified"):
            assert table2.behind
            assert table2.behind(loaded, settings, pd.Series(row), column).mean() == row[column]
    row = table.reset_index().iloc[1]
    np.testing.assert_array_equal(table2.behind(loaded, settings, row, "inside"), [False, True, False, True, False])


def test_table2_counts_an_attack_of_each_images_own_size(logs: list[Path]) -> None:
    """One that is larger than some of the others, for an image whose radius is not refuted by those."""
    predict = [[0, 0, 0, 1], [1, 1, 0, 1], [2, 2, 0, 2], [1, 3, 1, 1], [0, 0, 1, 0]]
    write_attacks(logs[0], predict, [[1] * 4] * 5, [0, 1, 2, 3, 4], own=[0.4995, 0.19, 0.1, 0.05, 0.0])
    settings, loaded = analysis.Settings(radii=[0.1, 0.2]), table2.load(logs)
    assert list(table2.make(loaded, settings)["inside"]) == [2, 4]  # images 0 and 2; and 0, 1, 2 and 3
    assert set(table2.make(loaded, settings)["r=0.2"]) == {0.2}
    sample = table2.resample(loaded, np.random.default_rng(0))
    assert {tuple(row) for row in sample.attacks["fars/original", 0.0].epsilon} < {
        (0, 0.1, 0.2, own) for own in (0.4995, 0.19, 0.1, 0.05, 0.0)
    }


def test_table2_beside_the_papers(logs: list[Path], tmp_path: Path) -> None:
    files = " ".join(map(str, logs))
    reported = Path(__file__).parents[2] / "resources/reported/fars/table2.csv"
    run(f"table fars/2 {files} --radii 0.1 0.2 --reported {reported} --output {tmp_path}/table2.csv")
    beside = pd.read_csv(tmp_path / "table2_vs_paper.csv")
    assert list(beside["certificate"].unique()) == ["top-logit"]
    assert list(beside["column"]) == ["natural", "r=0.1", "r=0.2"]
    assert "60.0%" in (tmp_path / "table2.md").read_text()


def test_table2_refuses_what_does_not_fit(logs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must include the attacks on fars/original at sigma 0"):
        table2.load(logs[1:])
    with pytest.raises(InputError, match="must include certificates"):
        table2.load(logs[:1])
    with pytest.raises(InputError, match=r"sizes of the attacks, 0, 0\.1, 0\.2"):
        table2.make(table2.load(logs), analysis.Settings(radii=[0.3]))
    other = shutil.copy(logs[1], tmp_path / "margin.tsv")  # logs may lie anywhere
    assert len(table2.load([logs[0], other]).logs) == 5
    lines = logs[0].read_text().splitlines(keepends=True)
    logs[0].write_text("".join(lines[:-1]))
    with pytest.raises(InputError, match="each certified image at every size"):
        table2.load(logs)
