"""The manual builds, its links and paths exist, its commands can be typed, and it names every column of every file."""

import ast
import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from markdown.extensions.toc import slugify

from accelerated_smoothing import analysis, attack, command, config, papers, registry
from accelerated_smoothing.analysis import comparison
from accelerated_smoothing.analysis.items import Table
from accelerated_smoothing.certify import log
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.methods import memory
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.counting import counts
from accelerated_smoothing.data import Images
from accelerated_smoothing.papers.accelerated_smoothing import times
from accelerated_smoothing.papers.fars import attacks
from accelerated_smoothing.provenance import records
from accelerated_smoothing.sigmas import chosen

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src/accelerated_smoothing"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
RULES = {
    "all",
    "tables",
    "figures",
    "notebooks",
    "crate",
    "archive",
    "data_dependent",
    "fars",
    "fast_and_sound",
    "label_budget",
    "survey",
}

spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
assert spec is not None
assert spec.loader is not None
generate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(generate)


def name(path: Path) -> str:
    return path.name


def commands(page: Path, program: str) -> list[list[str]]:
    """Return the words of the commands of a program on a page, in blocks and in the text, from the program on."""
    text = page.read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines += [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]
    heads = [re.split(r"  #|  +#| > |; ", line.strip())[0] for line in lines]
    words = [shlex.split(line) for line in heads if re.search(rf"(^|\s){program}\s+\S", line)]
    return [line[line.index(program) :] for line in words if program in line]


def test_the_site_builds_and_no_link_is_broken(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    built = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    html = "".join(page.read_text(encoding="utf-8") for page in tmp_path.glob("*.html"))
    loaded = re.findall(
        r'<(?:script|img)[^>]* src="(https?:[^"]*)|<link[^>]*stylesheet[^>]* href="(https?:[^"]*)', html
    )
    assert not loaded  # it can be read offline


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_resolve_in_the_repository_too(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.is_file(), link
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
            assert not anchor or anchor in [slugify(heading, "-") for heading in headings], link


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_verbs_can_be_parsed(page: Path) -> None:
    for words in commands(page, "accelerated-smoothing"):
        assert words[1] in [*registry.names("verbs"), "VERB"], words
        if words[2:] and words[-1] != "--help":
            command.parse(words[1:])


@pytest.mark.parametrize("verb", registry.names("verbs"))
def test_the_examples_of_verbs_can_be_parsed(verb: str) -> None:
    words = shlex.split(command.verb(verb).module.EXAMPLE.partition(" > ")[0])
    assert command.parse([verb, *words]) is not None


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem != "extending"], ids=name)
def test_the_targets_exist(page: Path) -> None:
    for words in commands(page, "snakemake"):
        files = [words[place + 1] for place, word in enumerate(words) if word == "--configfile"]
        run_config = config.read([ROOT / "config.yaml", *(ROOT / file for file in files)])
        run = Run(run_config.results, run_config.experiments())
        named = [word for word in words[1:] if word.startswith("results/") or word in RULES]
        assert named or set(words) & {"TARGET", "--unlock", "--profile", "-n"}, words
        for target in set(named) - RULES:
            item = target.removeprefix(f"{run.results}/")
            assert item != target, f"{words}: {target} is not in {run.results}"
            stem = item.rpartition(".")[0]
            items = [path for paper in papers.papers() for path in papers.items(paper)]
            bases = [f"base/sigma{sigma}" for sigma in run_config.sigmas]
            notebooks = [f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")]
            assert stem in [*items, *bases, *notebooks, "report", "data/test"], words


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_paths_exist(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for path in re.findall(r"`([\w.*/-]+(?:\.(?:py|yaml|yml|md|json|sh|txt|cff|toml|smk)|/))`", text):
        if not re.match(r"results/|site/|fars/|ro-crate|.*[A-Z]{4}.*/|FILE", path):
            assert any(ROOT.glob(path)) or any(PACKAGE.glob(path)), path


def test_the_recipes_belong_where_they_say() -> None:
    recipes = re.findall(
        r'```(python|diff) title="([^"]+)"\n(.*?)```', (ROOT / "docs/extending.md").read_text(), re.DOTALL
    )
    assert len(recipes) == 6
    for language, path, content in recipes:
        assert (ROOT / path).exists() == (language == "diff"), path
        assert (ROOT / path).parent.is_dir()
        if language == "python":
            ast.parse(content)


def test_the_configuration_page_has_every_key() -> None:
    page = generate.configuration()
    assert "|  |\n" not in page + generate.verbs()  # each has a description
    for key, field in config.Config.model_fields.items():
        assert f"| `{key}` |" in page
        if isinstance(field.annotation, type) and issubclass(field.annotation, config.Section):
            assert all(f"| `{key}.{name}` |" in page for name in field.annotation.model_fields)
    for room in generate.ROOMS:
        for plugin in registry.names(room):
            settings = registry.load(room, plugin).Settings.model_fields.keys() - config.Base.model_fields.keys()
            section = page.partition(f"{room.replace('.', '-')}-{plugin} }}")[2].partition("\n#")[0]
            assert all(f"| `{key}` |" in section for key in settings), plugin


def test_the_page_of_verbs_has_every_flag() -> None:
    page = generate.verbs()
    for verb in registry.names("verbs"):
        section = page.partition(f"\n## `{verb}`\n")[2].partition("\n## ")[0]
        for field in command.verb(verb).module.Arguments.model_fields:
            flag = field.removeprefix("as_").replace("_", "-")
            assert f"`--{flag}`" in section or f"`{field.upper()}`" in section, (verb, field)


def described(heading: str) -> set[str]:
    """Return the words in backticks in one section of the page of formats."""
    page = (ROOT / "docs/formats.md").read_text(encoding="utf-8")
    assert f"\n## {heading}\n" in page
    return set(re.findall(r"`([^`]+)`", page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]))


def certificates() -> pd.DataFrame:
    """Return certificates with all columns that any method makes."""
    numbers = np.arange(3)
    meta = {"sigma": 0.5, "noise": "gaussian", "choice": "ascent2", "dataset": "digits", "arithmetic": "cpu"}
    counted = np.array([[[90, 10]], [[80, 20]], [[70, 30]]])
    draws = counts.Counts(numbers, numbers % 2, np.array([100]), counted, np.ones((3, 1)), meta)
    images = Images(numbers, np.zeros((3, 1, 8, 8), np.uint8), numbers % 2, {"white": 16, "dataset": "digits"})
    evidence = Evidence(alpha=0.001, n0=100, selection=draws, estimation=draws, images=images)
    return memory.certify(evidence, memory.Settings(n=100, choice="ascent", at=2))


def test_the_page_of_formats_has_every_column_of_logs() -> None:
    assert {*log.COLUMNS, *log.IDENTITY, *certificates()} <= described("Certificates")
    assert set(times.COLUMNS) <= described("Timing")
    source = ast.parse(Path(attack.__file__).read_text(encoding="utf-8"))
    frames = [
        node for node in ast.walk(source) if isinstance(node, ast.Call) and ast.unparse(node).startswith("pd.Data")
    ]
    written = {key.value for node in frames for key in ast.walk(node) if isinstance(getattr(key, "value", 0), str)}
    written |= {word.arg for node in frames for word in node.keywords if word.arg}
    assert {"idx", "edge", "steps"} <= written
    assert {*attacks.COLUMNS, *written} <= described("Attacks")


def test_the_page_of_formats_has_every_array() -> None:
    assert set(counts.ARRAYS) <= described("Counts")
    assert set(chosen.ARRAYS) <= described("Sigmas")


def test_the_page_of_formats_has_every_key_of_a_record() -> None:
    fields = records.Record.model_fields
    assert {field.alias or key for key, field in fields.items()} <= described("Records")


def test_the_page_of_formats_has_every_table_and_the_comparison() -> None:
    named = described("Tables")
    for paper in papers.papers():
        for item in papers.items(paper):
            definition = papers.find(item)
            if isinstance(definition, Table):
                assert {*definition.keys, *(share for share in definition.shares if "_" not in share)} <= named, item
    table = pd.DataFrame({"sigma": [0.5, 1.0], "ACR": [0.1, 0.2]})
    item = Table(
        title="", inputs=lambda run: [], load=lambda paths: None, caption=lambda run: "", keys=["sigma"],
        make=lambda data, settings: table, resample=lambda data, random: data, comparable=lambda run: False,
    )  # fmt: skip
    beside = comparison.compare(item, None, analysis.Settings(), table, config.Comparison(), False, "")
    assert set(beside) - {"sigma"} <= described("Comparison with the paper")


def test_the_files_for_other_tools_are_valid() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    steps = [step.get("run") for step in workflow["jobs"]["test"]["steps"]]
    assert "make test" in steps
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["preferred-citation"]["identifiers"][0]["value"] == "arXiv:2402.07498"
    catalog = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert {"mandatory-flags", "software-stack-deployment", "report"} <= catalog.keys()
    for hook in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]:
        assert hook["repo"] == "local"
