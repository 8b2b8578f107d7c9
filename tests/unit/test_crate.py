"""The crate of a small chain of real files: what its profiles require, one by one, on the metadata itself."""

import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pandas as pd
import pytest
from rocrate.vocabs import RO_CRATE

from accelerated_smoothing import cli
from accelerated_smoothing.files import sha256
from accelerated_smoothing.provenance import code, records, release, runs

CRATE = ["crate", "results/counts.npz", "--output", "results/ro-crate-metadata.json"]
ARCHIVE = ["archive", "results/ro-crate-metadata.json", "--output", "results/crate.zip"]
Entity = dict[str, Any]


@pytest.fixture(scope="module")
def built(base: Path, digits: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with results that go back to two files without a record, and files that are no part of the crate."""
    folder = tmp_path_factory.mktemp("crate")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        workflow = {"snakemake": "9.99", "configfiles": [], "config": []}
        patch.setenv(records.WORKFLOW, json.dumps(workflow))
        patch.setattr(records, "commit", lambda: {"id": "0" * 40, "clean": True})  # whatever this tree is
        for source, name in ((base, "base.safetensors"), (digits.test, "test images.npz")):
            shutil.copy(source, name)
        count = ["count", "--base", "base.safetensors", "--images", "test images.npz", "--slice", ":4"]
        for shard in range(2):
            words = f"--shard {shard}/2 --sigma 0.5 --sizes 10 --output results/shards/{shard}.npz"
            assert cli.main([*count, *words.split()]) == 0
        gather = ["gather", "results/shards/0.npz", "results/shards/1.npz", "--output"]
        assert cli.main([*gather, "results/counts.npz"]) == 0
        assert cli.main([*gather, "results/unasked.npz"]) == 0
        Path("results/other").mkdir()
        Path("results/other/x.record.json").write_text("{}")
        assert cli.main(CRATE) == 0
        assert cli.main(ARCHIVE) == 0
    return folder


@pytest.fixture
def copy(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "copy"
    shutil.copytree(built, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def graph(built: Path) -> dict[str, Entity]:
    """Entities by their `@id`."""
    return entities(built / "results/ro-crate-metadata.json")


def entities(metadata: Path) -> dict[str, Entity]:
    """The entities of a crate by their `@id`."""
    several = json.loads(metadata.read_text())["@graph"]
    graph = {entity["@id"]: entity for entity in several}
    assert len(graph) == len(several)
    return graph


def many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def typed(graph: dict[str, Entity], kind: str) -> list[Entity]:
    return [entity for entity in graph.values() if kind in many(entity["@type"])]


def linked(graph: dict[str, Entity], entity: Entity, term: str) -> list[Entity]:
    """The entities that a property refers to; at least one."""
    others = [graph[value["@id"]] for value in many(entity.get(term, []))]
    assert others, (entity["@id"], term)
    return others


def kinds(entities: list[Entity]) -> set[str]:
    return {kind for entity in entities for kind in many(entity["@type"])}


def test_ro_crate_the_descriptor_is_about_the_root_and_names_its_version(graph: dict[str, Entity]) -> None:
    descriptor = graph["ro-crate-metadata.json"]
    assert descriptor["@type"] == "CreativeWork"
    assert descriptor["about"] == {"@id": "./"}
    assert {"@id": "https://w3id.org/ro/crate/1.1"} in descriptor["conformsTo"]


def test_ro_crate_the_root_has_type_name_description_licence_and_date(graph: dict[str, Entity]) -> None:
    root = graph["./"]
    assert root["@type"] == "Dataset"
    assert "digits" in root["name"]
    assert root["description"].startswith("Everything behind counts.npz, made by 3 executions")
    assert "digits" in root["description"]
    assert linked(graph, root, "license")[0]["@id"] == "https://spdx.org/licenses/MIT"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", root["datePublished"])
    assert kinds(linked(graph, root, "author")) <= {"Person", "Organization"}


def test_ro_crate_every_file_is_there_is_part_of_the_root_and_has_a_relative_id(
    graph: dict[str, Entity], built: Path
) -> None:
    parts = {part["@id"] for part in graph["./"]["hasPart"]}
    files = typed(graph, "File")
    assert parts == {file["@id"] for file in files}
    for file in files:
        path = built / "results" / unquote(file["@id"])
        assert file["sha256"] == sha256(path)
        assert file["contentSize"] == str(path.stat().st_size)
        assert "/" in file["encodingFormat"]
        assert file["name"] != file["@id"]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        assert value.keys() == {"@id"}, "nested, where JSON-LD of a crate is flat"
        yield value["@id"]
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def test_ro_crate_entities_are_flat_and_no_reference_dangles(graph: dict[str, Entity]) -> None:
    for entity in graph.values():
        for value in entity.values():
            for name in references(value):
                assert name in graph or name.startswith("https://"), name


def test_ro_crate_every_term_is_in_the_contexts(graph: dict[str, Entity], built: Path) -> None:
    context = json.loads((built / "results/ro-crate-metadata.json").read_text())["@context"]
    assert context == ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]
    terms = {term for entity in graph.values() for term in entity} | kinds(list(graph.values()))
    assert terms - RO_CRATE["@context"].keys() == {"@id", "@type"}  # sha256 is in both


def test_workflow_ro_crate_the_main_entity_is_a_workflow_with_a_language(graph: dict[str, Entity]) -> None:
    (workflow,) = linked(graph, graph["./"], "mainEntity")
    assert workflow["@id"] == "workflow/Snakefile"
    assert kinds([workflow]) == {"File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"}
    (language,) = linked(graph, workflow, "programmingLanguage")
    assert (language["@type"], language["name"]) == ("ComputerLanguage", "Snakemake")
    assert language["version"] == "9.99"


def test_every_profile_the_root_conforms_to_all_four(graph: dict[str, Entity]) -> None:
    profiles = linked(graph, graph["./"], "conformsTo")
    assert kinds(profiles) == {"CreativeWork"}
    assert {profile["@id"] for profile in profiles} == {
        "https://w3id.org/ro/wfrun/process/0.5",
        "https://w3id.org/ro/wfrun/workflow/0.5",
        "https://w3id.org/ro/wfrun/provenance/0.5",
        "https://w3id.org/workflowhub/workflow-ro-crate/1.0",
    }


def test_process_run_crate_every_action_has_an_instrument_that_is_software(graph: dict[str, Entity]) -> None:
    actions = typed(graph, "CreateAction")
    assert len(actions) == 4  # two counts, one gather, the workflow
    for action in actions:
        assert kinds(linked(graph, action, "instrument")) & {"SoftwareApplication", "ComputationalWorkflow"}
        assert kinds(linked(graph, action, "object")) <= {"File", "CreativeWork", "PropertyValue"}
        assert kinds(linked(graph, action, "result")) == {"File"}
        assert action["startTime"] <= action["endTime"]
        assert action in linked(graph, graph["./"], "mentions")


def test_workflow_run_crate_an_action_has_the_workflow_as_instrument(graph: dict[str, Entity]) -> None:
    (run,) = [a for a in typed(graph, "CreateAction") if a["instrument"] == {"@id": "workflow/Snakefile"}]
    assert {part["@id"] for part in many(run["result"])} == {"counts.npz"}
    assert "#workflow/sigma=0.5" in {part["@id"] for part in run["object"]}


def test_workflow_run_crate_inputs_and_outputs_are_parameters_with_a_type(graph: dict[str, Entity]) -> None:
    for owner in [*typed(graph, "ComputationalWorkflow"), *(graph[name] for name in ("#count", "#gather"))]:
        for term in ("input", "output"):
            assert kinds(linked(graph, owner, term)) == {"FormalParameter"}
    for parameter in typed(graph, "FormalParameter"):
        assert parameter["additionalType"] in ("File", "Text", "Integer", "Float", "Boolean")
        for example in linked(graph, parameter, "workExample"):
            assert parameter in linked(graph, example, "exampleOfWork")


def test_provenance_run_crate_the_workflow_has_its_tools_as_parts(graph: dict[str, Entity]) -> None:
    tools = linked(graph, graph["workflow/Snakefile"], "hasPart")
    assert {tool["@id"] for tool in tools} == {"#count", "#gather"}
    assert kinds(tools) == {"SoftwareApplication"}


def test_provenance_run_crate_every_tool_is_the_instrument_of_an_action(graph: dict[str, Entity]) -> None:
    used = {action["instrument"]["@id"] for action in typed(graph, "CreateAction")}
    assert used == {"#count", "#gather", "workflow/Snakefile"}


def test_provenance_run_crate_steps_are_the_workflows_and_have_a_tool_and_a_place(graph: dict[str, Entity]) -> None:
    steps = linked(graph, graph["workflow/Snakefile"], "step")
    assert steps == typed(graph, "HowToStep")
    assert [linked(graph, step, "workExample")[0]["@id"] for step in steps] == ["#count", "#gather"]
    assert [step["position"] for step in steps] == [1, 2]  # a step comes after those whose outputs it needs


def test_provenance_run_crate_controls_have_a_step_and_an_action(graph: dict[str, Entity]) -> None:
    controls = typed(graph, "ControlAction")
    assert len(controls) == 3
    for control in controls:
        (step,) = linked(graph, control, "instrument")
        (action,) = linked(graph, control, "object")
        assert (step["@type"], action["@type"]) == ("HowToStep", "CreateAction")
        assert step["workExample"] == action["instrument"]


def test_provenance_run_crate_the_engine_made_the_run_by_the_controls(graph: dict[str, Entity]) -> None:
    (organize,) = typed(graph, "OrganizeAction")
    assert linked(graph, organize, "instrument")[0]["name"] == "Snakemake"
    assert linked(graph, organize, "result") == [graph["#run"]]
    assert linked(graph, organize, "object") == typed(graph, "ControlAction")


def test_an_action_says_what_its_record_says(graph: dict[str, Entity], built: Path) -> None:
    record = records.read(built / "results/shards/1.npz")
    (action,) = [a for a in typed(graph, "CreateAction") if a["result"] == {"@id": "shards/1.npz"}]
    assert "--shard 1/2" in action["description"]
    assert action["startTime"] == record.started.isoformat()
    assert record.machine["host"] in action["location"]
    objects = {part["@id"]: part for part in linked(graph, action, "object")}
    assert objects["#count/sigma=0.5"]["value"] == "0.5"
    outside = objects["#file/test%20images.npz"]  # neither built nor of the workflow
    assert (outside["@type"], outside["sha256"]) == ("CreativeWork", record.inputs["test images.npz"].sha256)
    assert f"https://pypi.org/project/numba/{record.packages['numba']}/" in {
        package["@id"] for package in linked(graph, graph["#count"], "softwareRequirements")
    }


def test_it_holds_what_the_targets_go_back_to_and_the_workflow(graph: dict[str, Entity], built: Path) -> None:
    files = {unquote(file["@id"]) for file in typed(graph, "File")}
    built_files = ("counts.npz", "shards/0.npz", "shards/1.npz")
    results = {name + suffix for name in built_files for suffix in ("", ".record.json")}
    assert {name for name in files if not name.startswith("workflow/")} == results
    workflow = {f"workflow/{path.relative_to(code.ROOT).as_posix()}" for path in release.parts()}
    assert files - results == workflow
    assert workflow >= {"workflow/LICENSE", "workflow/rules/report.smk", "workflow/presets/demo.yaml"}
    assert not [name for name in files if "__pycache__" in name or "/." in name]
    with zipfile.ZipFile(built / "results/crate.zip") as packed:
        own = {"ro-crate-metadata.json", "ro-crate-metadata.json.record.json"}
        assert set(packed.namelist()) == files | own | {"README.md"}
        readme = packed.read("README.md").decode()
        assert "- `counts.npz`\n" in readme
        assert "accelerated-smoothing audit ../counts.npz\n    snakemake ../counts.npz --config results=.." in readme
        assert packed.testzip() is None
        order = [name for name in packed.namelist()[1:] if not name.startswith("workflow/")]
        assert order[0].startswith("shards/0.npz")
        assert order[-2:] == ["ro-crate-metadata.json", "ro-crate-metadata.json.record.json"]
        assert packed.namelist()[1].startswith("workflow/")


def test_the_same_records_give_the_same_bytes(copy: Path) -> None:
    names = ("results/ro-crate-metadata.json", "results/crate.zip")
    before = [sha256(Path(name)) for name in names]
    assert cli.main(ARCHIVE) == 0
    assert sha256(Path(names[1])) == before[1]
    assert cli.main(CRATE) == 0
    assert sha256(Path(names[0])) == before[0]
    assert not list(Path("results").glob(".*"))


def test_the_crate_has_a_record_and_its_module_is_its_code(copy: Path) -> None:
    record = records.read(Path("results/ro-crate-metadata.json"))
    assert record.inputs.keys() == {"results/counts.npz"}
    assert {"provenance.crate", "provenance.release", "provenance.runs"} <= record.code.keys()
    assert "provenance.audit" not in record.code
    assert records.read(Path("results/crate.zip")).inputs.keys() == {"results/ro-crate-metadata.json"}


def test_what_does_not_hold_makes_no_crate(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sha256(Path("results/ro-crate-metadata.json"))
    content = Path("results/shards/0.npz").read_bytes()
    Path("results/shards/0.npz").write_bytes(content + b"x")
    assert cli.main(CRATE) == 2
    assert "results/shards/0.npz: changed since it was made" in capsys.readouterr().err
    assert cli.main(ARCHIVE) == 2
    assert "results/shards/0.npz must have the hash in results/ro-crate-metadata.json" in capsys.readouterr().err
    Path("results/shards/0.npz").unlink()
    assert cli.main(CRATE) == 2
    assert "its input results/shards/0.npz must exist" in capsys.readouterr().err
    Path("results/shards/0.npz").write_bytes(content)
    Path("base.safetensors").write_bytes(b"another")
    assert cli.main(CRATE) == 2
    assert "made from a base.safetensors that has changed since" in capsys.readouterr().err
    assert sha256(Path("results/ro-crate-metadata.json")) == before


def test_what_lies_outside_of_the_folder_makes_no_crate(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["crate", "results/counts.npz", "--output", "results/other/ro-crate-metadata.json"]) == 2
    assert "must be in results/other" in capsys.readouterr().err
    assert not Path("results/other/workflow").exists()


def test_a_table_of_a_sister_paper_makes_a_crate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    workflow = {"snakemake": "9.99", "configfiles": ["presets/demo.yaml"], "config": []}
    monkeypatch.setenv(records.WORKFLOW, json.dumps(workflow))
    log = pd.DataFrame({"image": [0, 1], "repeat": 0, "seconds": [0.2, 0.4], "n": 1000, "arithmetic": "cpu"})
    timing = pd.concat([log.assign(method=method, guarantee="sound") for method in ("cohen", "embedded")])
    Path("results/fars").mkdir(parents=True)
    timing.to_csv("results/fars/timing.tsv", sep="\t", index=False)
    table, crate = "results/fars/table4.csv", "results/ro-crate-metadata.json"
    assert cli.main(["table", "fars/4", "results/fars/timing.tsv", "--caption", "by hand", "--output", table]) == 0
    assert cli.main(["crate", table, "--output", crate]) == 0
    assert cli.main(["archive", crate, "--output", "results/crate.zip"]) == 0
    graph = entities(Path(crate))
    assert graph["./"]["description"].startswith("Everything behind fars/table4.csv, made by 1 execution:")
    assert graph["fars/table4.csv"]["name"] == "Table: fars/table4.csv"
    (action,) = [action for action in typed(graph, "CreateAction") if action["instrument"] == {"@id": "#table"}]
    objects = {part["@id"]: part for part in linked(graph, action, "object")}
    assert objects["#table/number=fars%2F4"]["value"] == "fars/4"
    assert objects["fars/timing.tsv"]["@type"] == "File"
    with zipfile.ZipFile("results/crate.zip") as packed:
        readme = packed.read("README.md").decode()
    assert (
        "audit ../fars/table4.csv\n    snakemake ../fars/table4.csv --configfile presets/demo.yaml --config" in readme
    )


def test_steps_that_need_one_another_have_an_order() -> None:
    """In FaRS a classifier reads embeddings, which another classifier made."""
    needs = {"embed": [{"data", "train-base"}], "train-base": [{"embed"}, {"data"}], "data": [set()]}
    assert runs.layers({**needs, "count": [{"train-base"}]}) == [["data"], ["train-base"], ["count", "embed"]]
    assert runs.layers({"table": [{"count"}, {"lost"}], "count": [{"count"}]}) == [["count"], ["table"]]
