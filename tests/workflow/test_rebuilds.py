"""What is built again after a change: whatever it matters for, and nothing else. By the job lists of dry runs."""

import re
from pathlib import Path

import pytest

TINY = ("--configfile", "presets/tiny.yaml")
pytestmark = pytest.mark.usefixtures("built")
AFTER_COUNTS = {"surrogate", "certificates", "table", "figure", "notebook", "timing", "report"}


@pytest.fixture(scope="module")
def built(tiny: Path, clone: Path) -> Path:
    return clone


def rerun(snakemake, *words: str) -> dict[str, int]:
    """Jobs by rule that a dry run of everything would do."""
    done = snakemake("all", *TINY, "-n", *words)
    assert done.returncode == 0, done.stderr
    if "Nothing to be done" in done.stdout + done.stderr:
        return {}
    stats = (done.stdout + done.stderr).split("Job stats:")[1].split("total")[0]
    return {rule: int(jobs) for rule, jobs in re.findall(r"^(\w+) +(\d+)$", stats, re.MULTILINE) if rule != "all"}


def test_nothing_changed(built: Path, snakemake) -> None:
    assert rerun(snakemake) == {}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("counting/sampling.py", "def count(", "# a comment\ndef count("),
        ("noise/__init__.py", '"""', '"""In other words: '),
        ("cli.py", "def main(", "def another() -> None:\n    pass\n\n\ndef main("),
        ("models/families/sll.py", "SMALLEST =", "ANOTHER = 1\nSMALLEST ="),  # no ResNet is one
        ("papers/fars/attacks.py", "KEYS =", "ANOTHER = 1\nKEYS ="),  # another paper's
    ],
)
def test_comments_and_what_decides_no_number_rebuild_nothing(
    built: Path, snakemake, edit, file: str, old: str, new: str
) -> None:
    if file == "noise/__init__.py":  # its first docstring alone
        text = (built / "src/accelerated_smoothing/noise/__init__.py").read_text().splitlines()[0]
        old, new = text, text.replace('"""', '"""In other words: ', 1)
    edit(file, old, new)
    assert rerun(snakemake) == {}


def test_an_edit_of_a_plotting_module_draws_that_figure(snakemake, edit) -> None:
    edit("papers/accelerated_smoothing/curves.py", "def draw(", "ANOTHER = 1\n\n\ndef draw(")
    assert rerun(snakemake) == {"figure": 1, "notebook": 1, "report": 1}  # one notebook draws it, too


def test_an_edit_of_the_pages_template_makes_the_page(snakemake, edit) -> None:
    edit("report/page.html.j2", "<h1>", "<h1>On ")
    assert rerun(snakemake) == {"report": 1}


def test_an_edit_of_the_surrogates_training_reruns_no_counting(snakemake, edit) -> None:
    edit("training/surrogate.py", "def train(", "ANOTHER = 1\n\n\ndef train(")
    jobs = rerun(snakemake)
    assert jobs["surrogate"] == 2
    assert not jobs.keys() & {"data", "base", "shard", "counts"}


def test_an_edit_of_the_noise_counts_again(snakemake, edit) -> None:
    edit("noise/__init__.py", "LIMIT =", "ANOTHER = 1\nLIMIT =")
    jobs = rerun(snakemake)
    assert jobs["shard"] > 8
    assert jobs.keys() >= {"counts", *AFTER_COUNTS}
    assert not jobs.keys() & {"data"}


def test_another_learning_rate_of_the_surrogate(snakemake) -> None:
    jobs = rerun(snakemake, "--config", "surrogate={lr: 0.002}")
    assert jobs["surrogate"] == 2
    assert jobs["certificates"] == 2  # Cohen et al.'s and the baseline's stand
    assert not jobs.keys() & {"data", "base", "shard", "counts"}
    assert "params" in snakemake("all", *TINY, "-n", "--config", "surrogate={lr: 0.002}").stdout.lower()  # it says why


def test_other_images_are_counted_anew(snakemake) -> None:
    jobs = rerun(snakemake, "--config", "dataset={test: ':39'}")
    assert jobs["shard"] == 2 * 3  # of the test images; the training images' stand
    assert not jobs.keys() & {"data", "base", "surrogate"}
