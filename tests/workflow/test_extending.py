"""The recipes of docs/extending.md, each in a throw-away clone: its file, its command, and nothing else."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")


class Recipe(NamedTuple):
    language: str
    path: str
    content: str
    command: list[str]


def recipe(heading: str) -> Recipe:
    """Return the file and the command of a section, with the tiny preset in place of the demo."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    language, path, content = re.findall(r'```(python|diff) title="([^"]+)"\n(.*?)```', section, re.DOTALL)[0]
    command = re.findall(r"```sh\n(snakemake .*?)\n```", section, re.DOTALL)[0]
    return Recipe(language, path, content, shlex.split(command.replace("demo", "tiny"))[1:])


CERTIFICATES = "certificates/sigma0.25/cohen.tsv"


@pytest.fixture(scope="module")
def folder(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of its own, with a commit of all files."""
    copy = tmp_path_factory.mktemp("extending") / "clone"
    shutil.copytree(clone, copy, ignore=shutil.ignore_patterns("results", ".snakemake", "__pycache__"))
    shutil.copy(ROOT / ".gitignore", copy)
    git(copy, "init", "--quiet")
    commit(copy)
    return copy


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    return subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True, check=True).stdout


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "state")


def follow(snakemake, folder: Path, heading: str, target: str = "table1.csv") -> None:
    """Do what a section says, and check that it touches the one file that it names.

    Args:
        target: what to build in place of Table I, to save time.
    """
    steps = recipe(heading)
    file = folder / steps.path
    if steps.language == "python":
        assert not file.exists()
        file.write_text(steps.content)
    else:
        file.write_text(patched(file.read_text(), steps.content))
    changed = git(folder, "status", "--porcelain", "--untracked-files=all").splitlines()
    assert [line[3:] for line in changed] == [steps.path]
    done = snakemake(*(word.replace("table1.csv", target) for word in steps.command), folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert git(folder, "status", "--porcelain", "--untracked-files=all").splitlines() == changed
    commit(folder)


def patched(text: str, diff: str) -> str:
    """Return a text after a diff of lines, each of which must occur once."""
    for removed, added in re.findall(r"((?:^-.*\n)+)((?:^\+.*\n)+)", diff, re.MULTILINE):
        before, after = ("".join(line[1:] for line in part.splitlines(True)) for part in (removed, added))
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    return text


def logs(folder: Path, results: str, method: str) -> pd.DataFrame:
    files = sorted((folder / f"results/{results}/certificates").glob(f"*/{method}.tsv"))
    assert files
    return pd.concat([pd.read_csv(file, sep="\t") for file in files])


def test_new_settings_need_no_file(snakemake, folder: Path) -> None:
    """README's first recipe."""
    words = ["results/table1.csv", "--config", "methods={mine: {certifier: cohen, n: 1000}}", "rows=[cohen, mine]"]
    assert shlex.join(["snakemake", "-n", *words]) in (ROOT / "README.md").read_text()
    done = snakemake("-n", *words, folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_certification_method(snakemake, folder: Path) -> None:
    follow(snakemake, folder, "A certification method")
    table = pd.read_csv(folder / "results/tiny/table1.csv")
    assert table["method"].tolist() == ["cohen", "hoeffding", "baseline"] * 2
    assert set(table["guarantee"]) == {"sound"}
    loose, exact = logs(folder, "tiny", "hoeffding"), logs(folder, "tiny", "cohen")
    assert (loose["radius"].to_numpy() <= exact["radius"].to_numpy()).all()
    tail = binom.sf(loose["count"] - 1, loose["n"], loose["p_lower"])  # of counts as large, if p were the bound
    assert (tail <= loose["alpha"] * (1 + 1e-9)).all()


def test_a_way_of_training(snakemake, folder: Path) -> None:
    follow(snakemake, folder, "A way of training", "base/sigma0.25.safetensors")
    record = (folder / "results/smoothed/base/sigma0.25.safetensors.record.json").read_text()
    assert '"training.ways.label_smoothing"' in record
    assert '"smoothing": 0.2' in record


def test_a_table(snakemake, folder: Path) -> None:
    follow(snakemake, folder, "A table")
    table = pd.read_csv(folder / "results/tiny/fars/table5.csv").set_index("certificate")
    assert table.index.tolist() == ["margin", "sparsemax", "top-logit", "top-sparsemax"]
    assert table.loc["sparsemax", "median"] <= table.loc["margin", "median"]
    assert "%" in (folder / "results/tiny/fars/table5.md").read_text()
    assert pd.read_csv(folder / "results/tiny/fars/table5_vs_paper.csv").empty


def test_a_data_set(snakemake, folder: Path) -> None:
    follow(snakemake, folder, "A data set", CERTIFICATES)
    assert set(logs(folder, "parity", "cohen")["label"]) == {0, 1}


def test_a_noise_distribution(snakemake, folder: Path) -> None:
    follow(snakemake, folder, "A noise distribution", CERTIFICATES)
    log = logs(folder, "logistic", "cohen")
    assert set(log["noise"]) == {"logistic"}
    certified = log[log["predict"] >= 0]
    expected = -certified["sigma"] * np.log(2 * (1 - certified["p_lower"]))
    np.testing.assert_allclose(certified["radius"], expected, rtol=1e-12)


NOISE = """
import numpy as np
from scipy import stats
from accelerated_smoothing import noise
from accelerated_smoothing.noise import philox
out = np.empty((100, 4000), np.float32)
image = np.zeros((1, 4000), np.float32)
one = np.ones(1, np.float32)
philox.perturb(out, image, np.arange(1), 100, 0, np.zeros(1, np.int64), one, noise.key(0, "test"), "logistic")
print(stats.kstest(out.ravel(), "logistic").pvalue)
"""


def test_the_noise_of_the_recipe_is_what_it_says(folder: Path) -> None:
    """In a process of its own, since this one has the repository's package."""
    file = folder / recipe("A noise distribution").path
    file.write_text(recipe("A noise distribution").content)
    commit(folder)
    environment = {**os.environ, "PYTHONPATH": str(folder / "src")}
    done = subprocess.run([sys.executable, "-c", NOISE], env=environment, capture_output=True, text=True, check=True)
    assert float(done.stdout) > 0.001


def test_a_column(snakemake, folder: Path) -> None:
    follow(snakemake, folder, "A column")
    table = pd.read_csv(folder / "results/tiny/table1.csv")
    cohen = table[table["method"] == "cohen"]
    assert cohen["abstains"].tolist() == [
        (pd.read_csv(file, sep="\t")["predict"] == -1).mean()
        for file in sorted((folder / "results/tiny/certificates").glob("*/cohen.tsv"))
    ]
    assert "abstains" in (folder / "results/tiny/table1.md").read_text()
