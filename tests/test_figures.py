"""Figures: what `save` writes, and pictures as a journal and a reader need them."""

import ast
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from pickllm import experiments, figures
from pickllm.errors import InputError
from pickllm.figures import captions, saving, style
from pickllm.files import root

NAMES = list(captions.FIGURES)
SVG = "{http://www.w3.org/2000/svg}"
ENDINGS = ("svg", "pdf", "png", "csv")


def drawn():
    """A small figure of the kit's own style, with its numbers."""
    frame = pd.DataFrame(
        {
            "form": "ratio",
            "answer": ["right"] * 3 + ["wrong"] * 3,
            "latency_ms": [200.0, 900.0, 9000.0] * 2,
            "raw": [1.2, 1.0, 0.7, -0.1, -0.2, -0.3],
        }
    )
    return figures.reward_shape(frame), frame


def committed(name, ending):
    return root() / "figures" / f"{name}.{ending}"


def fonts_are_truetype(pdf):
    return b"/FontFile2" in pdf and b"/CIDFontType2" in pdf and b"/Type3" not in pdf


# Saving


def test_save_writes_three_pictures_and_the_numbers_they_show(tmp_path):
    figure, frame = drawn()
    figures.save(figure, "shape", frame, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        f"shape.{e}" for e in ENDINGS
    )
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "shape.csv"), frame, check_dtype=False
    )
    starts = {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG", "csv": b"form,answer"}
    assert all(
        (tmp_path / f"shape.{e}").read_bytes().startswith(b) for e, b in starts.items()
    )


def test_save_names_its_files_from_the_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(saving, "root", lambda: tmp_path)
    assert figures.save(drawn()[0], "shape", drawn()[1], "some/figures") == [
        f"some/figures/shape.{e}" for e in ENDINGS
    ]
    assert (tmp_path / "some" / "figures" / "shape.svg").exists()


def test_the_same_figure_gives_the_same_bytes_whatever_the_callers_style(tmp_path):
    import matplotlib as mpl

    figures.save(drawn()[0], "shape", drawn()[1], tmp_path / "one", run="abc")
    with mpl.rc_context(
        {"font.size": 20, "svg.fonttype": "path", "pdf.fonttype": 3, "savefig.dpi": 50}
    ):
        figures.save(drawn()[0], "shape", drawn()[1], tmp_path / "two", run="abc")
    for ending in ENDINGS:
        assert (tmp_path / "one" / f"shape.{ending}").read_bytes() == (
            tmp_path / "two" / f"shape.{ending}"
        ).read_bytes(), ending


def test_a_saved_svg_holds_text_and_a_pdf_truetype_fonts_and_no_date(tmp_path):
    figures.save(drawn()[0], "shape", drawn()[1], tmp_path, run="0123abc")
    words = " ".join(
        t
        for e in ElementTree.parse(tmp_path / "shape.svg").iter(f"{SVG}text")
        for t in e.itertext()
    )
    assert "raw reward" in words
    assert "latency (s)" in words
    pdf = (tmp_path / "shape.pdf").read_bytes()
    assert fonts_are_truetype(pdf)
    assert b"/CreationDate" not in pdf
    assert b"0123abc" in (tmp_path / "shape.svg").read_bytes()
    assert b"0123abc" in (tmp_path / "shape.png").read_bytes()


def test_numbers_have_six_significant_digits_and_plain_line_ends(tmp_path):
    figures.save(
        drawn()[0],
        "shape",
        pd.DataFrame({"x": [1 / 3, 123456789.0], "n": [10_000_001, 2]}),
        tmp_path,
    )
    assert (
        tmp_path / "shape.csv"
    ).read_bytes() == b"x,n\n0.333333,10000001\n1.23457e+08,2\n"


class Unwritable(Figure):
    """A figure that fails half-way through its PDF."""

    def savefig(self, file, *, format, **options):
        file.write(b"half")
        if format == "pdf":
            raise RuntimeError("no ink")


def test_nothing_half_written_is_left_when_saving_fails(tmp_path):
    (tmp_path / "shape.pdf").write_bytes(b"an older one")
    with pytest.raises(RuntimeError, match="no ink"):
        figures.save(Unwritable(), "shape", drawn()[1], tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["shape.pdf", "shape.svg"]
    assert (tmp_path / "shape.pdf").read_bytes() == b"an older one"


def test_a_table_that_cannot_be_written_leaves_no_csv(tmp_path):
    class Wrong(pd.DataFrame):
        def to_csv(self, file, **options):
            file.write("x,")
            raise OSError(28, "No space left on device")

    with pytest.raises(
        InputError, match=r"cannot write .*shape\.csv: No space left on device"
    ):
        figures.save(drawn()[0], "shape", Wrong(), tmp_path)
    assert not [p.name for p in tmp_path.iterdir() if "csv" in p.name]


def test_a_folder_that_is_a_file_is_one_clear_error(tmp_path):
    (tmp_path / "figures").write_text("not a folder")
    with pytest.raises(InputError, match=r"cannot write .*choose a folder"):
        figures.save(drawn()[0], "shape", drawn()[1], tmp_path / "figures")


# The record


@pytest.mark.parametrize("name", NAMES)
def test_each_figure_of_the_list_stands_in_the_record(name):
    for ending in ENDINGS:
        assert committed(name, ending).stat().st_size > 0
    assert len(pd.read_csv(committed(name, "csv"))) > 0


def test_the_record_holds_nothing_that_the_list_does_not():
    assert {p.name for p in (root() / "figures").iterdir()} - {"manifest.json"} == {
        f"{n}.{e}" for n in NAMES for e in ENDINGS
    }


def test_the_figures_that_a_reader_was_promised_are_in_the_list():
    promised = {
        "overview",
        "convergence-automaton",
        "convergence-qlearning",
        "locking",
        "speed-accuracy",
        "session-cost",
        "session-latency",
        "session-accuracy",
        "weights",
        "readings",
    }
    assert promised <= set(NAMES)
    assert all(
        title and text.endswith(".") for title, text in captions.FIGURES.values()
    )


@pytest.mark.parametrize("name", NAMES)
def test_each_picture_has_a_journals_width_at_300_dpi(name):
    from PIL import Image

    with Image.open(committed(name, "png")) as image:
        png = image.width / 300 * 25.4
        assert [round(float(v)) for v in image.info["dpi"]] == [300, 300]
    svg = (
        float(
            ElementTree.parse(committed(name, "svg"))
            .getroot()
            .get("width")
            .removesuffix("pt")
        )
        / 72
        * 25.4
    )
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+)", committed(name, "pdf").read_bytes())
    for width in (png, svg, float(box[1]) / 72 * 25.4):
        assert min(abs(width - w) for w in (89, 183)) <= 1, (
            f"{name} is {width:.1f} mm wide"
        )


@pytest.mark.parametrize("name", NAMES)
def test_each_pictures_text_is_text(name):
    tree = ElementTree.parse(committed(name, "svg"))
    assert len(list(tree.iter(f"{SVG}text"))) > 3
    assert not [
        e for e in tree.iter(f"{SVG}path") if str(e.get("id", "")).startswith("DejaVu")
    ], "glyphs drawn as paths"
    assert fonts_are_truetype(committed(name, "pdf").read_bytes())


def intervals(frame):
    """Every (low, value, high) triple of columns in a table."""
    for low in [c for c in frame if c == "low" or c.endswith("_low")]:
        high = low.replace("low", "high")
        stem = low.removesuffix("low").removesuffix("_")
        values = (
            [stem]
            if stem
            else [
                c
                for c in (
                    "value",
                    "probability",
                    "locked",
                    "measured",
                    "share",
                    "change",
                    "total",
                )
                if c in frame
            ]
        )
        yield low, values[0], high


@pytest.mark.parametrize("name", NAMES)
def test_every_interval_of_the_record_holds_its_estimate(name):
    frame = pd.read_csv(committed(name, "csv"))
    for low, value, high in intervals(frame):
        rows = frame[[low, value, high]].dropna()
        assert (rows[low] <= rows[value]).all(), value
        assert (rows[value] <= rows[high]).all(), value


def test_estimates_from_sessions_have_intervals_in_the_record():
    expected = {
        "pool-outcomes": {"value"},
        "rows-and-summary": {"rows", "sample"},
        "convergence-automaton": {"probability"},
        "convergence-qlearning": {"probability"},
        "locking": {"locked", "on_best"},
        "speed-accuracy": {"median", "on_best"},
        "exploration": {"value"},
        "session-cost": {"value"},
        "session-latency": {"value"},
        "session-accuracy": {"value"},
        "readings": {"on_best", "median"},
        "claims": {"measured"},
    }
    for name, values in expected.items():
        frame = pd.read_csv(committed(name, "csv"))
        found = {
            value
            for low, value, high in intervals(frame)
            if frame[[low, high]].notna().all(axis=1).any()
        }
        assert values <= found, name


def test_shares_of_the_record_lie_between_0_and_1():
    columns = {
        "locking": ["locked", "low", "high", "on_best", "on_best_low", "on_best_high"],
        "readings": ["on_best", "on_best_low", "on_best_high"],
        "weights": ["certain"],
        "convergence-automaton": ["probability", "low", "high"],
        "convergence-qlearning": ["probability", "low", "high"],
        "latency-tail": ["slower"],
    }
    for name, names in columns.items():
        values = pd.read_csv(committed(name, "csv"))[names].to_numpy()
        assert np.nanmin(values) >= 0, name
        assert np.nanmax(values) <= 1, name


# A pool and contexts of one's own, whatever they are called


def boxes_of_text(figure):
    """The extent in pixels of every visible text as printed, and of the figure."""
    import matplotlib as mpl
    from matplotlib.text import Text

    with mpl.rc_context(style.STYLE):
        saving.lay_out(figure)
    figure.set_dpi(300)
    renderer = (
        figure.canvas.get_renderer()
        if hasattr(figure.canvas, "get_renderer")
        else figure._get_renderer()
    )
    texts = [
        t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()
    ]
    return {t.get_text(): t.get_window_extent(renderer) for t in texts}, figure.bbox


def inside(figure):
    texts, whole = boxes_of_text(figure)
    return [
        text
        for text, b in texts.items()
        if b.x0 < whole.x0 - 1
        or b.x1 > whole.x1 + 1
        or b.y0 < whole.y0 - 1
        or b.y1 > whole.y1 + 1
    ] == []


def outcomes_of(models, contexts, cost=1.0, latency=1.0):
    rows = [
        (
            c,
            m,
            measure,
            value * (1 + 0.1 * j),
            0.9 * value * (1 + 0.1 * j),
            1.1 * value * (1 + 0.1 * j),
            20,
        )
        for c in contexts
        for j, m in enumerate(models)
        for measure, value in (
            ("accuracy", 0.5),
            ("cost_cents", cost * j),
            ("latency_s", latency),
            ("latency_p95_s", 2 * latency),
        )
    ]
    return pd.DataFrame(
        rows, columns=["context", "model", "measure", "value", "low", "high", "n"]
    )


AWKWARD = [
    "_hidden",
    "costs $5 or $6",
    "a|b, c/d",
    "Gröẞe",
    "x" * 80,
    "y" * 40 + "1",
    "y" * 40 + "2",
    "gpt-4-0613",
    "gpt-4-1106-preview",
    " lead",
    "two\nlines",
]


def test_names_are_told_apart_and_drawn_as_they_are():
    for names in (
        style.short_names(AWKWARD),
        style.context_names([*AWKWARD, "a_b", "a b"]),
    ):
        shown = list(names.values())
        assert len(set(shown)) == len(shown)
        assert not any(n.startswith("_") or "\n" in n or len(n) > 36 for n in shown)
    assert style.short_names(["gpt-4o-2024-05-13", "gpt-4-0613"]) == {
        "gpt-4o-2024-05-13": "gpt-4o",
        "gpt-4-0613": "gpt-4",
    }
    assert style.short_names(AWKWARD)["gpt-4-0613"] == "gpt-4-0613"


@pytest.mark.parametrize(
    ("models", "latency"),
    [(AWKWARD, 1.0), (["one", "two"], 0.02), ([f"model {i}" for i in range(7)], 90.0)],
    ids=["awkward", "two", "seven"],
)
def test_a_pool_of_any_size_stays_inside_its_picture(models, latency):
    frame = outcomes_of(
        models,
        ["all", "_a", "mean of $"],
        cost=0.0 if latency > 1 else 0.01,
        latency=latency,
    )
    for name, figure in (
        ("overview", figures.overview(models)),
        ("pool", figures.pool_outcomes(frame)),
    ):
        assert inside(figure), name
    shown = style.short_names(models).values()
    assert [t.get_text() for t in figure.legends[0].get_texts()] == list(
        shown
    )  # none is left out


def test_boxes_of_the_overview_do_not_overlap():
    for n in (1, 2, 4, 7, 12):
        boxes = [
            p.get_bbox()
            for p in figures.overview([f"m{i}" for i in range(n)]).axes[0].patches
            if hasattr(p, "get_boxstyle")
        ]
        for i, a in enumerate(boxes):
            for b in boxes[i + 1 :]:
                assert a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 or b.y1 <= a.y0, n


def test_more_llms_than_colours_still_look_different():
    looks = style.model_looks([f"m{i}" for i in range(40)])
    assert len(set(looks.values())) == 40


def test_a_latency_axis_ends_with_its_data():
    for latency in (0.02, 90.0):
        figure = figures.pool_outcomes(
            outcomes_of(["a", "b"], ["law"], latency=latency)
        )
        low, high = figure.axes[2].get_xlim()
        assert latency / 4 < low < latency
        assert 2 * latency < high < 8 * latency
        assert len([t for t in figure.axes[2].get_xticks() if low <= t <= high]) >= 2


def session_means(value):
    rows = [
        (w, c, k, value * i, 0.9 * value * i, 1.1 * value * i)
        for w in experiments.WEIGHTS
        for c in ("law", "art")
        for i, k in enumerate(figures.STRATEGIES)
    ]
    return pd.DataFrame(
        rows, columns=["weights", "context", "learner", "value", "low", "high"]
    )


def test_a_cost_of_nothing_is_drawn_and_its_axis_says_so():
    for value, scale in (
        (0.0, "linear"),
        (1.0, "linear"),
    ):  # the first strategy costs nothing
        figure = figures.session_measure(
            session_means(value), "cost (US cents; 95 % interval)", log=True
        )
        assert figure.axes[0].get_xscale() == scale
        assert figure.axes[0].get_xlim()[0] > -0.5
        assert "log" not in figure._supxlabel.get_text()
    dear = session_means(1.0).assign(value=2.0, low=1.0, high=3.0)
    figure = figures.session_measure(dear, "cost (US cents; 95 % interval)", log=True)
    assert figure.axes[0].get_xscale() == "log"
    assert "log scale" in figure._supxlabel.get_text()


def test_the_longest_label_of_a_claim_is_inside_the_picture():
    assert inside(figures.claims(pd.read_csv(committed("claims", "csv"))))


def test_panels_without_a_censored_median_keep_their_place():
    rows = [
        (f"c{i}", k, 0.1 * r, 50.0 * r, 40.0, 300.0, 0.5, 0.4, 0.6, 0.3, 250)
        for i in range(6)
        for k in experiments.ROUTERS
        for r in (1, 3)
    ]
    names = [
        "context",
        "learner",
        "learning_rate",
        "median",
        "median_low",
        "median_high",
        "on_best",
        "on_best_low",
        "on_best_high",
        "chance",
        "queries",
    ]
    figure = figures.speed_accuracy(pd.DataFrame(rows, columns=names))
    assert inside(figure)  # and no warning of axes that collapsed
    assert all(
        axis.get_position().height > 0.2 for axis in figure.axes if axis.get_visible()
    )


def test_many_contexts_are_counted_in_the_legend_and_few_are_named():
    for n, named in ((3, True), (30, False)):
        rows = [
            ("automaton", f"c{i}", r, 0.5, 0.4, 0.6)
            for i in range(n)
            for r in (0.1, 0.3)
        ] + [("automaton", "mean", r, 0.5, 0.4, 0.6) for r in (0.1, 0.3)]
        fates = pd.DataFrame(
            rows,
            columns=[
                "learner",
                "context",
                "learning_rate",
                "on_best",
                "on_best_low",
                "on_best_high",
            ],
        )
        curves = pd.DataFrame(
            [
                ("automaton", r, q, 0.5, 0.4, 0.6)
                for r in (0.1, 0.3)
                for q in (1, 10, 100)
            ],
            columns=["learner", "learning_rate", "query", "locked", "low", "high"],
        )
        shown = [
            t.get_text()
            for t in figures.locking(curves, fates).axes[1].get_legend().get_texts()
        ]
        assert shown == (
            ["c0", "c1", "c2", "mean of contexts"]
            if named
            else ["mean of 30 contexts\n(thin: each)"]
        )


def test_an_llm_that_wins_has_the_colour_and_the_name_that_it_has_in_its_pool():
    pool = ["gpt-4-0613", "gpt-4-1106-preview", "other"]
    frame = pd.DataFrame(
        [("ratio", "law", 0.01, 1.0, pool[1], 1, 1.0)],
        columns=["form", "context", "w_cost", "w_cost_to", "model", "order", "certain"],
    )
    figure = figures.weights(frame, {}, pool)
    assert [t.get_text() for t in figure.legends[0].get_texts()] == [
        "B  gpt-4-1106-preview"
    ]
    assert figure.legends[0].get_patches()[0].get_facecolor() == pytest.approx(
        figure.axes[0].patches[0].get_facecolor()
    )


def test_every_llm_of_a_live_session_is_told_by_a_marker_in_the_legend():
    """Colours alone are one grey in print."""
    table = pd.DataFrame(
        {
            "query": [1, 2],
            "model": ["a", "b"],
            "latency_ms": [500.0, 20.0],
            "router_us": [30.0, 40.0],
            "p a": [0.6, 0.7],
            "p b": [0.4, 0.3],
        }
    )
    lines = figures.live(table).legends[0].get_lines()
    assert len({line.get_marker() for line in lines}) == 3
    assert "None" not in {line.get_marker() for line in lines}


def test_the_four_answers_of_the_reward_are_told_apart_without_colour():
    four = ["right, cheap", "right, dear", "wrong, cheap", "wrong, dear"]
    frame = pd.DataFrame(
        [("ratio", answer, latency, 1.0) for answer in four for latency in (200, 900)],
        columns=["form", "answer", "latency_ms", "raw"],
    )
    lines = figures.reward_shape(frame).legends[0].get_lines()
    assert len({str(line._dash_pattern) for line in lines}) == 4


def test_times_to_lock_are_written_as_numbers():
    frame = pd.DataFrame(
        {
            "context": "law",
            "learner": ["automaton", "mine"],
            "family": ["paper", "own"],
            "time": [210.0, 340.0],
            "time_low": [200.0, 330.0],
            "time_high": [220.0, 350.0],
            "bound": [20.0, 30.0],
            "bound_low": [10.0, 20.0],
            "bound_high": [40.0, 60.0],
        }
    )
    figure = figures.lock_times(frame, 400)
    figure.draw_without_rendering()
    axis = figure.axes[0].yaxis
    ticks = [*axis.get_ticklabels(), *axis.get_ticklabels(minor=True)]
    words = [tick.get_text() for tick in ticks if tick.get_text()]
    assert len(words) >= 2
    assert all(word.replace(",", "").isdigit() for word in words)
    reaching_below = frame.assign(time_low=[-20.0, 330.0])
    low, _ = figures.lock_times(reaching_below, 400).axes[0].get_ylim()
    assert 0 < low < 1


def test_each_drawing_of_the_room_is_a_public_name_of_it():
    folder = root() / "pickllm" / "figures"
    drawn = {
        node.name
        for path in folder.glob("*.py")
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef)
        and "styled" in {ast.unparse(d) for d in node.decorator_list}
    }
    assert len(drawn) > 15
    assert drawn <= set(figures.__all__)
