"""One list of versions, light imports, and nothing in the tree that ties it to a machine."""

import json
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import pickllm as pk
from pickllm.files import root

PROJECT = tomllib.loads((root() / "pyproject.toml").read_text("utf-8"))["project"]
#: What a package is called on conda-forge where the name differs.
CONDA = {"huggingface-hub": "huggingface_hub"}


def declared():
    """Every requirement of pyproject.toml, extras included: name -> specifier."""
    texts = [
        *PROJECT["dependencies"],
        *(
            text
            for extra in PROJECT["optional-dependencies"].values()
            for text in extra
        ),
    ]
    found = {}
    for text in texts:
        requirement = Requirement(text)
        assert (
            found.setdefault(requirement.name, requirement.specifier)
            == requirement.specifier
        ), f"{requirement.name} has two specifiers"
    return found


def conda():
    listed = yaml.safe_load((root() / "environment.yml").read_text("utf-8"))[
        "dependencies"
    ]
    pip = [text for entry in listed if isinstance(entry, dict) for text in entry["pip"]]
    requirements = [
        Requirement(text) for text in [*pip, *(e for e in listed if isinstance(e, str))]
    ]
    return {
        r.name: r.specifier
        for r in requirements
        if r.name not in ("python", "pip", "make")
    }, listed


def locked():
    text = (root() / "requirements.lock").read_text("utf-8")
    versions = {}  # a package may be there twice, for different versions of Python
    for name, version in re.findall(r"^([a-z0-9_.-]+)==([^\s;\\]+)", text, re.M):
        versions.setdefault(name, set()).add(Version(version))
    return versions, text


def test_the_conda_environment_asks_for_what_pyproject_asks_for():
    names = {CONDA.get(name, name): specifier for name, specifier in declared().items()}
    assert conda()[0] == names
    assert f"python{PROJECT['requires-python']}" in conda()[1]


def test_the_lock_holds_every_requirement_at_an_allowed_version_with_hashes():
    versions, text = locked()
    for name, specifier in declared().items():
        assert name in versions, f"{name} is not locked; run `make lock`"
        assert all(map(specifier.contains, versions[name])), (
            f"{name}: locked {versions[name]}, declared {specifier}; run `make lock`"
        )
    blocks = re.split(r"^(?=[a-z0-9_.-]+==)", text, flags=re.M)[1:]
    assert all("--hash=sha256:" in block for block in blocks)


def test_this_environment_is_the_locks():
    """Only where the lock made it: elsewhere (conda) the ranges hold, and are tested."""
    from importlib import metadata

    versions, _ = locked()
    here = {name: Version(metadata.version(name)) for name in declared()}
    by_conda = (pathlib.Path(sys.prefix) / "conda-meta").exists()
    for name, version in here.items():
        assert (
            declared()[name].contains(version)
            if by_conda
            else version in versions[name]
        ), name


def test_one_version_is_stated_everywhere():
    citation = yaml.safe_load((root() / "CITATION.cff").read_text("utf-8"))
    assert PROJECT["version"] == pk.__version__ == str(citation["version"])


@pytest.mark.parametrize(
    "heavy",
    [
        "numpy",
        "pandas",
        "scipy",
        "matplotlib",
        "numba",
        "evaluate",
        "huggingface_hub",
        "papermill",
        "distributed",
        "pyarrow",
    ],
)
def test_import_loads_nothing_heavy(heavy):
    code = f"import sys, pickllm; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_core_runs_without_plots_kernels_or_hubs():
    code = (
        "import sys, pickllm as pk; t ="
        " pk.load_trace('bfcl-2024-08-11').select(context='rest');pk.replay(t,"
        " pk.Reward(), pk.QLearning(), sessions=2, queries=5).table();sys.exit(',"
        " '.join({'matplotlib', 'evaluate', 'huggingface_hub', 'papermill',"
        " 'distributed', 'IPython'} & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_are_there_and_documented():
    for name in pk.__all__:
        thing = getattr(pk, name)
        assert name == "__version__" or thing.__doc__, name
    assert set(pk.__all__) <= set(dir(pk))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        pk.nonsense


def tracked():
    """Text files under version control."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root(), capture_output=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in filter(None, listed.stdout.decode().split("\0")):
        if not name.endswith((".png", ".pdf", ".svg")) and (root() / name).exists():
            yield name, (root() / name).read_text("utf-8")


def test_no_file_names_a_registry_or_a_machines_paths():
    hosts = [
        "pypi" + ".org",
        "pythonhosted" + ".org",
        "conda.anaconda" + ".org",
        "registry." + "npmjs",
    ]
    places = [
        re.escape(p)
        for p in ("/home" + "/", "/root" + "/", "/Users" + "/", "/mnt" + "/")
    ]
    for name, text in tracked():
        for pattern in [*map(re.escape, hosts), *places]:
            found = re.search(pattern, text)
            assert not found, f"{name}: {found[0]!r}"


def test_the_readme_names_rooms_that_exist_and_each_room_once():
    text = (root() / "README.md").read_text("utf-8")
    table = text[text.index("## Where things stand") :]
    table = table[: table.index("\n## ", 5)]
    named = [
        n
        for row in table.splitlines()
        if row.startswith("| `")
        for n in re.findall(r"`([\w./-]+)`", row.split("|")[1])
    ]
    rooms = {
        f"pickllm/{p.parent.name}/" for p in (root() / "pickllm").glob("*/__init__.py")
    }
    rooms |= {
        f"pickllm/{p.name}"
        for p in (root() / "pickllm").glob("*.py")
        if p.name != "__init__.py"
    }
    assert rooms <= set(named), (
        f"not in the README's table: {sorted(rooms - set(named))}"
    )
    assert all((root() / n).exists() for n in named)
    assert len(named) == len(set(named))


def test_every_dependency_earns_a_line_of_the_readme():
    text = (root() / "README.md").read_text("utf-8")
    table = text[text.index("## Dependencies") :]
    runtime = {Requirement(d).name for d in PROJECT["dependencies"]} | {
        Requirement(d).name for d in PROJECT["optional-dependencies"]["cluster"]
    }
    missing = [name for name in runtime if name not in table]
    assert not missing


def test_shipped_data_hold_statistics_and_no_row():
    """No query's identifier and no text: the longest list in a summary is one of quantiles."""
    for path in (root() / "data").glob("*.summary.json"):
        summary = json.loads(path.read_text("utf-8"))

        def longest(value):
            if isinstance(value, dict):
                return max(map(longest, value.values()), default=0)
            if isinstance(value, list):
                return max(len(value), *map(longest, value)) if value else 0
            return 0

        n = sum(c["n_queries"] for c in summary["contexts"].values())
        assert longest(summary["contexts"]) < n / 2
        assert "query_id" not in path.read_text("utf-8")
