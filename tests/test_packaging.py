"""One list of versions, light imports, and nothing that ties the tree to a machine."""

import ast
import json
import pathlib
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import pickllm as pk
from pickllm.files import root

PROJECT = tomllib.loads((root() / "pyproject.toml").read_text("utf-8"))["project"]
#: What a package is called on conda-forge where the name differs.
CONDA = {"huggingface-hub": "huggingface_hub"}


def declared(*extras):
    """Requirements of pyproject.toml with some extras: name -> specifier."""
    texts = list(PROJECT["dependencies"])
    for extra in extras:
        texts += PROJECT["optional-dependencies"][extra]
    found = {}
    for requirement in map(Requirement, texts):
        specifier = found.setdefault(requirement.name, requirement.specifier)
        assert specifier == requirement.specifier, f"{requirement.name}: two specifiers"
    return found


def everything():
    return declared(*PROJECT["optional-dependencies"])


def conda():
    """Requirements of environment.yml: name -> specifier, and the lines themselves."""
    text = (root() / "environment.yml").read_text("utf-8")
    lines = yaml.safe_load(text)["dependencies"]
    texts = [line for line in lines if isinstance(line, str)]
    for line in lines:
        if isinstance(line, dict):
            texts += line["pip"]
    requirements = [Requirement(text) for text in texts]
    tools = ("python", "pip", "make")
    return {r.name: r.specifier for r in requirements if r.name not in tools}, lines


def locked():
    text = (root() / "requirements.lock").read_text("utf-8")
    versions = {}  # a package may be there twice, for different versions of Python
    for name, version in re.findall(r"^([a-z0-9_.-]+)==([^\s;\\]+)", text, re.M):
        versions.setdefault(name, set()).add(Version(version))
    return versions, text


def test_the_conda_environment_asks_for_what_pyproject_asks_for():
    names = {CONDA.get(name, name): wanted for name, wanted in everything().items()}
    found, lines = conda()
    assert found == names
    assert f"python{PROJECT['requires-python']}" in lines


def test_the_lock_holds_every_requirement_at_an_allowed_version_with_hashes():
    versions, text = locked()
    for name, specifier in everything().items():
        assert name in versions, f"{name} is not locked; run `make lock`"
        assert all(map(specifier.contains, versions[name])), (
            f"{name}: locked {versions[name]}, declared {specifier}; run `make lock`"
        )
    blocks = re.split(r"^(?=[a-z0-9_.-]+==)", text, flags=re.M)[1:]
    assert all("--hash=sha256:" in block for block in blocks)


def test_this_environment_is_the_locks():
    """Where the lock made it; elsewhere (conda) the ranges hold."""
    versions, _ = locked()
    by_conda = (pathlib.Path(sys.prefix) / "conda-meta").exists()
    for name, specifier in declared("cluster", "test", "bench").items():
        here = Version(metadata.version(name))
        assert here in (specifier if by_conda else versions[name]), name


def imported():
    """Packages that the kit's own code imports, with a file that does."""
    found = {}
    for path in (root() / "pickllm").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            else:
                continue
            found |= {name.partition(".")[0]: path.name for name in names}
    ours = {"pickllm", "benchmarks"}
    return {k: v for k, v in found.items() if k not in sys.stdlib_module_names | ours}


def test_whatever_is_imported_is_declared():
    packages = metadata.packages_distributions()
    names = declared("cluster")
    for module, path in imported().items():
        owners = {owner.lower().replace("_", "-") for owner in packages[module]}
        assert owners & set(names), f"{path} imports {module}, which is not declared"


def test_the_hooks_take_the_locks_versions():
    text = (root() / ".pre-commit-config.yaml").read_text("utf-8")
    pinned = re.findall(r'"ruff==([^"]+)"', text)
    assert pinned
    assert {Version(version) for version in pinned} == locked()[0]["ruff"]


def test_make_help_has_a_line_for_every_rule():
    makefile = (root() / "Makefile").read_text("utf-8")
    rules = " ".join(re.findall(r"^\.PHONY: (.+)$", makefile, re.M)).split()
    shown = subprocess.run(
        ["make", "help"], cwd=root(), capture_output=True, text=True, check=True
    ).stdout
    lines = re.findall(r"^make (\w+) +\S", shown, re.M)
    assert sorted(lines) == sorted(rules)


def test_the_wheel_holds_the_package_and_what_its_report_reads(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel"]
    subprocess.run(
        [*command, "-d", str(tmp_path)], cwd=root(), capture_output=True, check=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    beside = {"CITATION.cff", "METHODS.md", "READINGS.md", "py.typed"}
    assert {f"pickllm/{name}" for name in beside} <= inside
    shipped = [name for name, _ in tracked() if name.startswith("pickllm/")]
    assert set(shipped) <= inside
    for folder in ("data", "notebooks"):
        here = {p.name for p in (root() / folder).iterdir() if p.is_file()}
        assert {f"pickllm/{folder}/{name}" for name in here} <= inside


def test_files_that_contributing_names_are_there():
    text = (root() / "CONTRIBUTING.md").read_text("utf-8")
    names = re.findall(r"`([\w./-]+(?:\.\w+|/))`", text)
    assert len(names) > 20
    for name in names:
        places = (root() / name, root() / "pickllm" / name)
        assert any(place.exists() for place in places), name
    table = text[text.index("## Where is ...") :]
    assert len(re.findall(r"^\| [^|]+ \| `", table, re.M)) >= 10


def test_data_has_a_line_for_every_file():
    text = (root() / "data" / "README.md").read_text("utf-8")
    named = set(re.findall(r"^\| `([^`]+)` \|", text, re.M))
    files = {p.name for p in (root() / "data").iterdir() if p.is_file()}
    assert named == files - {"README.md"}


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
    code = """
import sys
import pickllm as pk

trace = pk.load_trace("bfcl-2024-08-11").select(context="rest")
pk.replay(trace, pk.Reward(), pk.QLearning(), sessions=2, queries=5).table()
heavy = {"matplotlib", "evaluate", "huggingface_hub", "papermill", "distributed"}
sys.exit(", ".join({*heavy, "IPython"} & set(sys.modules)) or 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_are_there_and_documented():
    for name in pk.__all__:
        thing = getattr(pk, name)
        assert name == "__version__" or thing.__doc__, name
    assert set(pk.__all__) <= set(dir(pk))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        getattr(pk, "nonsense")  # noqa: B009, a bare attribute would be no statement


#: Endings of files that hold no text, or a figure's.
BINARY = (".png", ".pdf", ".svg", ".parquet")


def tracked():
    """Text files under version control."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root(), capture_output=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in filter(None, listed.stdout.decode().split("\0")):
        if not name.endswith(BINARY) and (root() / name).exists():
            yield name, (root() / name).read_text("utf-8")


def test_no_file_names_a_registry_or_a_machines_paths():
    hosts = ("pypi.", "pythonhosted.", "conda.anaconda.")
    folders = ("home", "root", "Users", "mnt")
    forbidden = [f"{host}org" for host in hosts]
    forbidden += ["registry." + "npmjs"]
    forbidden += [f"/{folder}/" for folder in folders]
    for name, text in tracked():
        for part in forbidden:
            assert part not in text, f"{name}: {part!r}"


def test_the_readme_names_rooms_that_exist_and_each_room_once():
    text = (root() / "README.md").read_text("utf-8")
    table = text[text.index("## Where things stand") :]
    table = table[: table.index("\n## ", 5)]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    named = re.findall(r"`([\w./-]+)`", "\n".join(rows))
    package = root() / "pickllm"
    rooms = {f"pickllm/{p.parent.name}/" for p in package.glob("*/__init__.py")}
    rooms |= {f"pickllm/{p.name}" for p in package.glob("*.py")}
    rooms.remove("pickllm/__init__.py")
    assert rooms <= set(named), (
        f"not in the README's table: {sorted(rooms - set(named))}"
    )
    assert all((root() / n).exists() for n in named)
    assert len(named) == len(set(named))


def test_every_dependency_earns_a_line_of_the_readme():
    text = (root() / "README.md").read_text("utf-8")
    table = text[text.index("## Dependencies") :]
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", table, re.M)[1:]
    listed = re.findall(r"[a-z][\w-]+", re.sub(r"\(extra `\w+`\)", "", " ".join(rows)))
    assert sorted(listed) == sorted(set(listed))
    assert set(listed) == set(everything())


def longest(value):
    """The length of the longest list in plain data."""
    if isinstance(value, dict):
        return max(map(longest, value.values()), default=0)
    if isinstance(value, list):
        return max(len(value), *map(longest, value)) if value else 0
    return 0


def test_shipped_data_hold_statistics_and_no_row():
    """No query's id, no text: the longest list in a summary is one of quantiles."""
    for path in (root() / "data").glob("*.summary.json"):
        text = path.read_text("utf-8")
        contexts = json.loads(text)["contexts"]
        n_queries = sum(context["n_queries"] for context in contexts.values())
        assert longest(contexts) < n_queries / 2
        assert "query_id" not in text
