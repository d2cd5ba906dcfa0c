"""The report: what stands in its page, held against the tables it was made from."""

import ast
import base64
import graphlib
import html.parser
import re
import zipfile

import pandas as pd
import pytest
from kit import RUNS, claims, recorded_checkout, study

import pickllm as pk
from pickllm.files import PACKAGE, root
from pickllm.publish import report, tables
from pickllm.study.runs import Run


class Page(html.parser.HTMLParser):
    """The text of a page by the id of the element before it, and its pictures."""

    def __init__(self):
        super().__init__()
        self.texts = {}
        self.pictures = []
        self.last = None

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.last = attributes.get("id", self.last)
        if tag == "img":
            self.pictures.append(attributes["src"])

    def handle_data(self, data):
        self.texts[self.last] = self.texts.get(self.last, "") + data


@pytest.fixture
def written(tmp_path, monkeypatch):
    """The text of a small study's page, and the study."""
    here = study(recorded_checkout(tmp_path, monkeypatch))
    (here.root / "METHODS.md").write_text("# Methods\n\nFirst <u>this</u>.\n\n## How\n")
    (here.results / "claims.json").write_text('{"notes": ["Found 1 < 2."]}')
    planned = [{"run": Run(name, name), "done": True} for name in RUNS]
    path = report.write(here, pk.load_trace("bfcl-2024-08-11"), "full", planned)
    return path.read_text("utf-8"), here


def test_each_claim_stands_in_the_page_with_its_own_number_and_verdict(written):
    page = Page()
    page.feed(written[0])
    for row in claims().to_dict("records"):
        text = page.texts[f"claim-{row['id']}"]
        assert row["statement"] in text
        assert row["verdict"] in text
    assert "-63.2 %" in page.texts["claim-cost-60-lri-most-expensive"]
    assert "-64.8 to -61.7" in page.texts["claim-cost-60-lri-most-expensive"]


def test_what_a_study_says_is_text_and_no_markup(written):
    text, _ = written
    assert "reward = w_a a &amp; 50 % of {x}" in text
    assert "<li>Found 1 &lt; 2.</li>" in text


def test_the_kits_own_documents_are_markup_a_level_lower(written):
    text, _ = written
    assert re.search(r"<h3>How</h3>", text)
    assert "<h1>Methods</h1>" not in text


def test_the_page_holds_its_pictures(written):
    text, here = written
    page = Page()
    page.feed(text)
    (picture,) = page.pictures
    content = base64.b64decode(picture.partition("base64,")[2])
    assert content == (here.figures / "claims.svg").read_bytes()


def test_what_a_variant_gains_is_shown_in_the_unit_of_its_measure():
    frame = pd.DataFrame(
        [
            ("UCB1", "qlearning", "regret", -2.5, -3.0, -2.0, 1e-9),
            ("UCB1", "qlearning", "cents", 0.25, 0.1, 0.4, 0.03),
            ("UCB1", "automaton", "cents", None, None, None, None),
        ],
        columns=["learner", "paper", "measure", "change", "low", "high", "p_holm"],
    )
    shown = tables.TABLES["variants-gains"].shown(frame)
    assert shown.change.tolist() == [
        "-2.5000 (-3.0000 to -2.0000)",
        "+25.0 % (+10.0 % to +40.0 %)",
        "",
    ]
    assert shown["p (Holm)"].tolist() == ["< 0.0001", "0.0300", ""]


def test_a_scenario_is_shown_by_its_halves_and_a_bound_without_an_interval():
    phases = pd.DataFrame(
        {
            "scenario": "fails",
            "learner": "automaton",
            "phase": [0, 1],
            "measure": "regret",
            "value": [0.125, 0.5],
            "low": [0.1, 0.4],
            "high": [0.2, 0.6],
        }
    )
    shown = tables.TABLES["scenarios"].shown(phases)
    assert shown.half.tolist() == ["first", "second"]
    assert shown.iloc[1, -1] == "0.5 (0.4 to 0.6)"
    bound = phases.iloc[:1].assign(context="rest", low=None, high=None)
    assert tables.TABLES["variants"].shown(bound).iloc[0, -1] == "0.125"


def test_every_template_is_in_the_wheel(tmp_path):
    builder = pytest.importorskip("hatchling.builders.wheel").WheelBuilder(str(root()))
    (path,) = builder.build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(path) as wheel:
        held = set(wheel.namelist())
    templates = [p.relative_to(PACKAGE.parent) for p in PACKAGE.rglob("*.j2")]
    assert len(templates) >= 2
    assert {path.as_posix() for path in templates} <= held


def test_no_module_of_this_room_imports_in_a_circle():
    """Imports within functions count too: they hide a circle, they do not open it."""
    folder = PACKAGE / "publish"
    modules = {path.stem for path in folder.glob("*.py")}
    imported = {module: set() for module in modules}
    for module, names in imported.items():
        for node in ast.walk(ast.parse((folder / f"{module}.py").read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                found = [node.module] if node.module else [a.name for a in node.names]
                names.update(modules & set(found))
    assert imported["report"] >= {"tables", "wording"}
    order = list(graphlib.TopologicalSorter(imported).static_order())
    assert set(order) == modules
