"""Citing: BibTeX read back by counting braces, LaTeX numbers by the table they tell."""

import re

import pandas as pd
import pytest
import yaml
from kit import claims, git, recorded_checkout, study

from pickllm.__main__ import main
from pickllm.analysis.claims import CLAIMS
from pickllm.errors import InputError
from pickllm.files import root
from pickllm.publish import artifact, citation, latex, manifest, tables, wording
from pickllm.study.runs import study_runs


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    return recorded_checkout(tmp_path, monkeypatch)


def record(folder):
    return manifest.read(folder / "figures" / "manifest.json")


def balanced(text, start):
    """The text within the brace at ``start``, and where it ends.

    Found by counting braces that no backslash escapes.
    """
    depth = 0
    for i in range(start, len(text)):
        if text[i] in "{}" and text[i - 1] != "\\":
            depth += 1 if text[i] == "{" else -1
            if depth == 0:
                return text[start + 1 : i], i + 1
    raise AssertionError("a brace is not closed")


def parsed(text):
    """BibTeX entries by key: (kind, fields)."""
    entries, position = {}, 0
    while match := re.compile(r"@(\w+)").search(text, position):
        body, position = balanced(text, match.end())
        key, _, rest = body.partition(",")
        fields, at = {}, 0
        while field := re.compile(r"(\w+) = ").search(rest, at):
            fields[field[1]], at = balanced(rest, field.end())
        entries[key.strip()] = (match[1], fields)
    return entries


# BibTeX


def test_bibtex_holds_the_paper_the_kit_at_its_commit_and_the_data(recorded):
    entries = parsed(citation.bibtex(study(recorded)))
    cff = yaml.safe_load((root() / "CITATION.cff").read_text("utf-8"))
    assert {key: kind for key, (kind, _) in entries.items()} == {
        "pickllm": "misc",
        "pickllm-kit": "software",
        "pickllm-data": "misc",
    }
    paper, kit, data = (fields for _, fields in entries.values())
    assert paper["eprint"] == "2412.12170"
    assert paper["author"] == "Sikeridis and Ramdass and Pareek"
    assert paper["title"] == "{" + cff["references"][0]["title"] + "}"
    assert kit["version"] == cff["version"]
    assert kit["note"] == f"commit {git(recorded, 'rev-parse', 'HEAD~1')}"
    assert kit["year"] == git(recorded, "log", "-1", "--format=%cs")[:4]
    assert kit["author"] == "{The pickllm-kit authors}"
    assert data["note"].split()[-1] == cff["references"][1]["commit"]
    assert data["url"] == cff["references"][1]["url"]


def test_a_changed_checkout_is_not_cited_as_its_commit(recorded):
    (recorded / "pickllm" / "a.py").write_text("changed")
    assert parsed(citation.bibtex(study(recorded)))["pickllm-kit"][1]["note"].endswith(
        ", with changes since"
    )


def test_special_characters_of_a_field_are_escaped_but_an_address_is_not():
    _, fields = parsed(
        citation.entry(
            "misc",
            "k",
            {
                "title": "50 % of A_b & c # d $ e",
                "url": "https://x.org/a_b#c",
                "note": None,
            },
        )
    )["k"]
    assert fields == {
        "title": r"50 \% of A\_b \& c \# d \$ e",
        "url": "https://x.org/a_b#c",
    }


def test_the_version_is_stated_once_and_the_same_everywhere():
    import tomllib

    import pickllm

    assert (
        citation.citation_file()["version"]
        == pickllm.__version__
        == tomllib.loads((root() / "pyproject.toml").read_text("utf-8"))["project"][
            "version"
        ]
    )


# A claim as a sentence


def test_a_claims_sentence_has_value_interval_n_verdict_and_run(recorded, capsys):
    assert main(["cite", "--claim", "cost-60-lri-most-expensive"]) == 0
    commit = git(recorded, "rev-parse", "HEAD~1")[:12]
    assert capsys.readouterr().out == (
        'Claim "session cost -60 %, against the most expensive LLM (L_R-I)" (secondary:'
        " a page, stated -60 %): measured -63.2 % (95 % interval -64.8 to -61.7,"
        " for queries like these -70.3 to -56.1; n = 1,000 sessions of 500 queries in"
        " each of 2 contexts), verdict: reproduced"
        f" [pickllm 0.1.0, commit {commit}, run {'2' * 12}, claim"
        " cost-60-lri-most-expensive].\n"
    )


def test_a_share_of_contexts_counts_contexts_and_an_untestable_claim_claims_no_number(
    recorded,
):
    assert (
        "measured 100 % (95 % interval 68 % to 100 %; n = 2 contexts of 1,000 sessions"
        " per learning rate), verdict: partly"
        in citation.sentence("speed-lri", study(recorded))
    )
    assert (
        citation.sentence("reward-ratio", study(recorded))
        .split("): ")[1]
        .startswith("verdict: not testable [")
    )


def test_an_unknown_claim_names_the_nearest_and_exits_2(recorded, capsys):
    assert main(["cite", "--claim", "speed-lr"]) == 2
    assert capsys.readouterr().err.startswith(
        "pickllm: unknown claim 'speed-lr'; did you mean 'speed-lri'? (known: "
    )


def test_every_claim_of_the_record_can_be_cited_with_its_own_numbers():
    table = pd.read_csv(root() / "figures" / "claims.csv")
    for row in table.to_dict("records"):
        text = citation.sentence(row["id"])
        assert f"verdict: {row['verdict']} [" in text
        assert text.count(row["id"]) == 1
        if row["unit"] in ("%", "points") and not pd.isna(row["measured"]):
            value, low, high = (
                float(v)
                for v in re.search(
                    r"measured ([+-][\d.]+).*?interval ([+-][\d.]+) to ([+-][\d.]+)",
                    text,
                ).groups()
            )
            assert (value, low, high) == pytest.approx(
                (row["measured"], row["low"], row["high"]), abs=0.0500001
            )


# Numbers as LaTeX commands


def commands(text):
    """name -> value, read as TeX would: a comment ends a line."""
    found = {}
    for line in text.splitlines():
        if line.startswith("%"):
            continue
        match = re.match(r"\\newcommand\{\\([A-Za-z]+)\}", line)
        assert match, line
        value, end = balanced(line, match.end())
        assert line[end:].startswith((" % figures/", " % results/")), "its source"
        assert match[1] not in found, "twice"
        found[match[1]] = value
    return found


def number(value):
    return float(re.match(r"\$([+-]?[\d.]+)\$", value)[1])


def test_each_command_holds_the_tables_number(recorded):
    commit = git(recorded, "rev-parse", "HEAD~1")
    found = commands(latex.macros(claims(), record(recorded), commit))
    assert number(found["pickllmCostSixZeroLriMostExpensive"]) == -63.2
    assert number(found["pickllmCostSixZeroLriMostExpensiveLow"]) == -64.8
    assert number(found["pickllmCostSixZeroLriMostExpensiveHighQueries"]) == -56.1
    assert number(found["pickllmCostSixZeroLriMostExpensiveStated"]) == -60
    assert found["pickllmCostSixZeroLriMostExpensiveVerdict"] == "reproduced"
    assert found["pickllmSpeedLri"] == r"$100$\,\%"
    assert "pickllmSpeedLriStated" not in found
    assert "pickllmSpeedLriLowQueries" not in found
    assert "pickllmRewardRatio" not in found
    assert found["pickllmRewardRatioVerdict"] == "not testable"
    assert (
        found["pickllmCountClaims"],
        found["pickllmCountReproduced"],
        found["pickllmSessions"],
        found["pickllmContexts"],
    ) == ("3", "1", "1000", "8")
    assert found["pickllmCommit"] == commit[:12]


def test_the_records_commands_are_distinct_and_agree_with_its_table():
    table = pd.read_csv(root() / "figures" / "claims.csv")
    found = commands(latex.macros(table, record(root()), None))
    for row in table.dropna(subset="measured").to_dict("records"):
        scale = 100 if row["unit"] == "of contexts" else 1
        for column, ending in (("measured", ""), ("low", "Low"), ("high", "High")):
            assert number(found[latex.macro_name(row["id"]) + ending]) == pytest.approx(
                scale * row[column], abs=0.5 if scale == 100 else 0.0500001
            ), row["id"]


def test_no_two_claims_share_a_command():
    assert len({latex.macro_name(c.id) for c in CLAIMS}) == len(CLAIMS)
    assert all(re.fullmatch("[A-Za-z]+", latex.macro_name(c.id)) for c in CLAIMS)


# Tables


def test_escaping_agrees_with_pandas_own():
    text = "50 % of {a_b} & c#d $1 ~ ^ \\ end"
    theirs = pd.DataFrame({"x": [text]}).to_latex(index=False, escape=True)

    def squeeze(text):
        return re.sub(r"\s+", " ", text.replace("{} ", " ").replace(r"\space", ""))

    assert squeeze(latex.escape(text)) in squeeze(theirs)


def test_the_three_forms_of_a_table_hold_the_same_rows(recorded):
    place = recorded / "build" / "report" / "tables"
    frame = pd.read_csv(place / "claims.csv")
    pd.testing.assert_frame_equal(frame, claims(), check_dtype=False)
    md = [
        line
        for line in (place / "claims.md").read_text().splitlines()
        if line.startswith("| ")
    ]
    tex = (place / "claims.tex").read_text()
    body = [
        line
        for line in tex.splitlines()
        if line.endswith(r"\\") and line.split(" & ")[0] in set(frame.id)
    ]
    assert len(md) - 1 == len(body) == len(frame)
    cells = [
        [c.strip() for c in re.split(r"(?<!\\)&", line.removesuffix(r"\\"))]
        for line in body
    ]
    assert all(len(row) == 8 for row in cells)
    assert cells[0][4:] == [
        r"-63.2 \%",
        "-64.8 to -61.7",
        "-70.3 to -56.1",
        "reproduced",
    ]
    assert all(rule in tex for rule in (r"\toprule", r"\midrule", r"\bottomrule"))
    assert r"\hline" not in tex
    assert tex.count("{") - tex.count(r"\{") == tex.count("}") - tex.count(r"\}")


def test_a_number_without_an_interval_and_one_that_is_missing():
    nothing = float("nan")
    assert wording.with_interval(1.0, 0.5, 2.0, "{:g}".format) == "1 (0.5 to 2)"
    assert wording.with_interval(1.0, nothing, nothing, "{:g}".format) == "1"
    assert wording.with_interval(nothing, 1, 2, "{:g}".format) == ""


def test_each_table_names_a_run_of_the_study():
    from pickllm.traces.sources import load_trace

    names = {r.name for r in study_runs(load_trace("bfcl-2024-08-11"))}
    assert {table.run for table in tables.TABLES.values()} <= names


# The artifact sheet


def test_the_sheet_counts_what_the_files_hold(recorded):
    text = artifact.sheet(study(recorded), record(recorded), claims())
    assert "2 runs of 2 notebooks" in text
    assert "1 figures and 1 tables, 1 of 1 figures traced" in text
    assert (
        "of 3 claims: 1 reproduced, 1 partly, 0 inconclusive, 0 not informative,"
        " 0 not reproduced, 1 not testable" in text
    )
    assert "3 statements: 2 from summaries by others, 1 from the abstract" in text
    assert "1,000 sessions of 500 queries per setting" in text
    assert "3 s of notebook time in all, the longest run 2 s" in text
    for badge in ("available", "functional", "reusable", "reproduced"):
        assert badge in text
    assert artifact.ranges(record(recorded)["runs"])["context"] == "simple, rest"


def test_a_missing_citation_file_is_one_clear_error(recorded):
    (recorded / "CITATION.cff").unlink()
    with pytest.raises(InputError, match=r"no CITATION\.cff in .*checkout"):
        citation.bibtex(study(recorded))
