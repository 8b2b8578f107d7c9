"""Evidence that is simulated from published logs."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from accelerated_smoothing import cli, config
from accelerated_smoothing.certify import beliefs, log, simulation, statistics
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.methods import planned
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.data import published
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.workflow.simulations import Simulations

N, ALPHA, SIGMA = 100_000, 0.001, 0.25
PUBLISHED = Path(__file__).parents[3] / "shared/published/cohen-2019"


def made(k: np.ndarray) -> pd.DataFrame:
    """A log as Cohen et al. print it, for counts of the top class, which is right for even images."""
    radius = SIGMA * stats.norm.ppf(statistics.lower_bound(k, N, ALPHA)).clip(0)
    idx = np.arange(len(k))
    predict = np.where(radius > 0, idx % 10, -1)
    label = np.where(idx % 2, (idx + 1) % 10, idx % 10)
    rounded = [float(f"{value:.3}") for value in radius]
    return pd.DataFrame(
        {"idx": idx, "label": label, "predict": predict, "radius": rounded, "correct": (predict == label).astype(int)}
    ).assign(time="0:00:12.5")


def test_radii_give_back_the_counts() -> None:
    k = np.array([50_600, 60_000, 84_000, 97_700, 99_900, 99_990, N])
    found = simulation.successes(made(k)["radius"].to_numpy(), SIGMA, N, ALPHA)
    p, q = k / N, found / N
    # Three digits of the radius are 1e-3 of a logit in the middle. Near N, a radius stands for few counts.
    np.testing.assert_allclose(
        np.log(p + 1e-5) - np.log(1 - p + 1e-5), np.log(q + 1e-5) - np.log(1 - q + 1e-5), atol=0.02
    )


@pytest.fixture(scope="module")
def simulated() -> tuple[pd.DataFrame, simulation.Simulated]:
    k = np.random.default_rng(1).integers(45_000, N + 1, 3000)
    table = made(k)
    settings = {"sigma": SIGMA, "spread": 0.5, "published": (N, ALPHA), "seed": 0}
    return table, simulation.simulate(table, sizes=[100, 1000, 10_000], n0=100, pilots=[20, 50], **settings)


def test_counts_follow_the_log(simulated: tuple[pd.DataFrame, simulation.Simulated]) -> None:
    table, evidence = simulated
    counts = evidence.estimation
    assert (counts.counts.sum(axis=2) == counts.sizes).all()
    certified = (table["predict"] >= 0).to_numpy()
    top = table["predict"].to_numpy()[certified]
    k = counts.at(10_000)[certified, top]
    p = simulation.successes(table["radius"].to_numpy()[certified], SIGMA, N, ALPHA) / N
    z = (k - 10_000 * p) / np.sqrt(10_000 * p * (1 - p) + 1)
    assert abs(z.mean()) < 4 / np.sqrt(len(z))
    assert 0.8 < z.std() < 1.2
    assert len({counts.meta["purpose"], evidence.selection.meta["purpose"], evidence.pilot.meta["purpose"]}) == 3


def test_the_surrogate_has_the_stated_error(simulated: tuple[pd.DataFrame, simulation.Simulated]) -> None:
    table, evidence = simulated
    certified = ((table["predict"] >= 0) & (table["radius"] < 0.5)).to_numpy()  # where p = k / N is not 1
    top = table["predict"].to_numpy()[certified]
    h = evidence.predictions.of(None)[certified, top]
    k = simulation.successes(table["radius"].to_numpy()[certified], SIGMA, N, ALPHA)
    error = np.log(h / (1 - h)) - np.log((k + 0.5) / (N - k + 0.5))
    assert abs(error.mean()) < 4 * 0.5 / np.sqrt(len(error))
    assert error.std() == pytest.approx(0.5, rel=0.1)
    assert evidence.belief.typical_spread() == pytest.approx(0.5)


def test_methods_run_on_it(simulated: tuple[pd.DataFrame, simulation.Simulated]) -> None:
    _, evidence = simulated
    whole = Evidence(ALPHA, 100, **{name: getattr(evidence, name) for name in simulation.Simulated.__annotations__})
    whole.check(planned.NEEDS)
    certificates = planned.certify(whole, planned.Settings(budget=500))
    assert certificates["passes"].mean() == pytest.approx(500, rel=0.05)
    assert set(certificates["arithmetic"]) == {"simulated"}


def test_a_log_that_is_missing_or_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    advice = published.advice(tmp_path, 0.5)
    assert "sigma_0.50.tsv: no such file; copy data/certify/cifar10/resnet110/noise_0.50/test/sigma_0.50" in advice
    assert published.HASHES[0.5] in advice
    path = published.log(tmp_path, 0.5)
    path.write_text("idx\n")
    assert published.advice(tmp_path, 0.5) == ""
    outputs = [f"--{name}={tmp_path}/{name}.npz" for name in simulation.Simulated.__annotations__]
    words = ["simulate", str(path), "--sigma", "0.5", "--spread", "0.5", "--sizes", "100", "--pilots", "20", *outputs]
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert hashlib.sha256(b"idx\n").hexdigest() in error
    assert cli.main([*words, "--like", str(path)]) == 2
    assert "--spread or --like must be set, but not both, got both" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("experiments", "message"),
    [
        (
            {"one": {}, "two": {"published": {}, "sigmas": [0.3]}},
            "papers.other.experiments.two.sigmas must be among [0.12, 0.25, 0.5, 1.0], those of the published logs, "
            "got 0.3",
        ),
        (
            {"two": {"published": {}}},
            "papers.other.select must include an experiment that is not simulated, since two takes its spread from it, "
            "got none",
        ),
        ({"two": {"published": {"spread": 0.5}}}, ""),
    ],
)
def test_simulations_that_cannot_be_made(experiments: dict[str, Any], message: str) -> None:
    main = config.load({"papers": {"other": {"experiments": experiments}}})
    simulations = Simulations(Run("results", main.experiments()))
    if not message:
        simulations.check()
        return
    with pytest.raises(InputError) as caught:
        simulations.check()
    assert str(caught.value) == message


@pytest.mark.skipif(not PUBLISHED.exists(), reason="needs the published logs")
@pytest.mark.parametrize("sigma", published.HASHES)
def test_the_published_logs_are_those_that_we_name(sigma: float, tmp_path: Path) -> None:
    path = published.log(PUBLISHED, sigma)
    published.check(path, sigma)
    outputs = {name: tmp_path / f"{name}.npz" for name in simulation.Simulated.__annotations__}
    words = [
        "simulate",
        str(path),
        "--sigma",
        str(sigma),
        "--spread",
        "0.5",
        "--sizes",
        "100",
        "100000",
        "--pilots",
        "50",
    ]
    assert cli.main([*words, *(f"--{name}={file}" for name, file in outputs.items())]) == 0
    table = log.read(path)
    belief = beliefs.read(outputs["belief"])
    assert len(belief.successes[0]) == len(table) == 500
