"""The report: claims first, then each figure with a paragraph, methods, readings, run times, versions.

It computes nothing: every number comes from a run's result, and every sentence with one was written by
the run.
"""

import base64
import importlib.metadata
import json
import os
import platform
import re

import pandas as pd

from .. import experiments
from ..errors import InputError
from ..files import home, root, written
from ..study.provenance import PACKAGES
from ..study.runs import SIZES, all_figures
from . import artifact, receipts, tables

MARKERS = ("<!-- claims: written by `make reproduce` -->", "<!-- end of claims -->")

_TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>PickLLM, reproduced: {{ trace }}</title>
<style>
:root { --ink:#1b1f24; --soft:#59626d; --line:#d9dee4; --ok:#00694d; --part:#8a5a00; --no:#a83c00; }
body { font:16px/1.55 system-ui, sans-serif; color:var(--ink); max-width:62rem; margin:2rem auto; padding:0 1.2rem; }
h1 { font-size:1.7rem; line-height:1.2; margin-bottom:.3rem } h2 { margin-top:2.6rem; border-bottom:1px solid var(--line); padding-bottom:.2rem }
.lead, figcaption, .soft { color:var(--soft) } figure { margin:1.6rem 0 2.2rem } figure img { width:100%; height:auto }
figcaption b { color:var(--ink) } table { border-collapse:collapse; width:100%; font-size:.83rem; font-variant-numeric:tabular-nums }
th, td { text-align:left; padding:.3rem .5rem; border-bottom:1px solid var(--line); vertical-align:top } td.n, th.n { text-align:right; white-space:nowrap }
.scroll { overflow-x:auto } .verdict { font-weight:600; white-space:nowrap } .v-reproduced { color:var(--ok) } .v-partly { color:var(--part) } .v-not-reproduced { color:var(--no) }
.v-not-testable { color:var(--soft) } code { font-size:.9em } nav a { margin-right:1rem } .warn { border-left:4px solid var(--no); padding:.2rem .9rem; background:#fff6f1 }
</style></head><body>
<h1>PickLLM, reproduced on {{ trace }}</h1>
<p class="lead">Context-aware, RL-assisted routing between LLMs (arXiv 2412.12170): both learners, every figure, and a verdict on every claim found.
{{ size }} study, {{ sessions }} sessions of {{ queries }} queries per setting. All intervals are 95 % and over sessions unless a figure says otherwise.</p>
<p class="soft">Only the paper's abstract and summaries of it by others were at hand. Each claim and each choice says which it comes from: <em>abstract</em>, <em>secondary</em> (a summary), or <em>ours</em>.
{{ pool_note }}</p>
<nav><a href="#claims">Claims</a><a href="#figures">Figures</a><a href="#methods">Methods</a><a href="#readings">Readings</a><a href="#artifact">Artifact sheet</a><a href="#runs">Runs and versions</a></nav>
<h2 id="claims">Claims</h2>
<p>{{ tally }}. Verdicts follow rules that stand in <code>pickllm/claims.py</code> and were written before the run; the check with the pool in reverse order was added after a run had shown that Q-learning depends on the order, and can only lower a verdict. Measured at the weights &ldquo;{{ weights }}&rdquo; and learning rate {{ rate }}, as the mean over contexts
(run <code>{{ claims_run }}</code>).</p>
<div class="scroll"><table><thead><tr><th>claim</th><th>source</th><th class="n">stated</th><th class="n">measured</th><th class="n">95 % interval</th><th>verdict</th><th>reason</th></tr></thead><tbody>
{% for c in claims %}<tr id="claim-{{ c.id }}"><td>{{ c.statement }}<br><code class="soft">{{ c.id }}</code></td><td>{{ c.source }}</td><td class="n">{{ c.stated }}</td><td class="n">{{ c.value }}</td><td class="n">{{ c.interval }}</td>
<td class="verdict v-{{ c.verdict|replace(' ', '-') }}">{{ c.verdict }}</td><td>{{ c.reason }}</td></tr>
{% endfor %}</tbody></table></div>
<h2 id="figures">Figures</h2>
{% for f in figures %}<figure id="{{ f.name }}"><img alt="{{ f.title }}: {{ f.text }}" src="{{ f.source }}">
<figcaption><b>{{ f.title }}.</b> {{ f.text }} <span class="soft">(<code>figures/{{ f.name }}.csv</code>{% if f.run %}, run <code>{{ f.run }}</code>{% endif %})</span></figcaption></figure>
{% endfor %}
<h2>Findings, written by the runs</h2>
<ul>{% for n in notes %}<li{% if n.startswith('Warning') %} class="warn"{% endif %}>{{ n }}</li>{% endfor %}</ul>
<h2 id="tables">Tables</h2>
<ul>{% for t in tables %}<li>{{ t.title }}: {% for e in t.files %}<a href="{{ t.name }}.{{ e }}">{{ e }}</a> {% endfor %}<span class="soft">(run <code>{{ t.run }}</code>)</span></li>{% endfor %}
<li>Numbers as LaTeX commands: <a href="numbers.tex">numbers.tex</a></li></ul>
<p class="soft"><code>pickllm why NAME</code> prints what a figure or table was made from; <code>pickllm cite --claim ID</code> a sentence to quote.</p>
<h2 id="methods">Methods</h2>
{{ methods }}
<h2 id="readings">Readings of the paper</h2>
{{ readings }}
<h2 id="artifact">Artifact sheet</h2>
{{ artifact }}
<h2 id="runs">Runs and versions</h2>
<div class="scroll"><table><thead><tr><th>run</th><th>notebook</th><th class="n">seconds</th><th>input</th></tr></thead><tbody>
{% for r in runs %}<tr><td>{{ r.name }}</td><td>{{ r.notebook }}</td><td class="n">{{ r.seconds }}</td><td><code>{{ r.input }}</code></td></tr>{% endfor %}
</tbody></table></div>
<p>Seconds of notebook time in all: {{ total }}. {{ machine }}. {{ versions }}.</p>
</body></html>
"""


def claim_rows(claims):
    """Return the claims as a reader sees them: formatted values beside statement, source, verdict and reason."""
    rows = []
    for c in claims.to_dict("records"):
        share = c["unit"] == "of contexts"
        form = (
            (lambda v: f"{100 * v:.0f} %")
            if share
            else (lambda v: f"{v:+.1f}" if c["unit"] in ("%", "points") else f"{v:.1f}")
        )
        unit = "" if share else " " + {"% of sessions": "%"}.get(c["unit"], c["unit"])
        has = not pd.isna(c["measured"])
        rows.append(
            c
            | {
                "stated": (
                    "" if pd.isna(c["paper_value"]) else f"{c['paper_value']:+g}{unit}"
                ),
                "value": f"{form(c['measured'])}{unit}" if has else "",
                "interval": f"{form(c['low'])} to {form(c['high'])}" if has else "",
            }
        )
    return rows


def claims_markdown(claims):
    """Return the table of claims for the README, from `figures/claims.csv`."""
    lines = [
        "| claim | source | stated | ours | 95 % interval | verdict |",
        "|---|---|---:|---:|---:|---|",
    ]
    lines += [
        f"| {c['statement']} | {c['source']} | {c['stated']} | {c['value']} |"
        f" {c['interval']} | {c['verdict']} |"
        for c in claim_rows(claims)
    ]
    return "\n".join(lines).replace("L_R-I", "L<sub>R-I</sub>")


def update_readme(claims, path=None):
    """Write the table of claims between the README's markers.

    Raises
    ------
    InputError
        The README has no markers.
    """
    path = path or root() / "README.md"
    text = path.read_text("utf-8")
    if not all(m in text for m in MARKERS):
        raise InputError(
            f"{path}: the markers {MARKERS[0]} and {MARKERS[1]} are missing; put both"
            " back, the table goes between them"
        )
    before, rest = text.split(MARKERS[0], 1)
    after = rest.split(MARKERS[1], 1)[1]
    with written(path) as file:
        file.write(
            f"{before}{MARKERS[0]}\n{claims_markdown(claims)}\n{MARKERS[1]}{after}"
        )


def html(markdown):
    """Return the small part of Markdown that the kit's own pages use, as HTML (through nbconvert's mistune)."""
    import mistune

    return mistune.create_markdown(plugins=["table"])(markdown)


def write(folder, trace, size, planned):
    """Write a study's report from its results, and its receipts beside its figures.

    ``<folder>/report/index.html`` is one file that opens from disk; ``tables/``,
    ``numbers.tex`` and ``artifact.md`` stand beside it.

    Parameters
    ----------
    folder : path
        The study's folder.
    trace : Trace
    size : str
    planned : list of dict
        From `study.plan`.

    Returns
    -------
    pathlib.Path
    """
    import jinja2

    folder = root() / folder
    claims = pd.read_csv(folder / "figures" / "claims.csv")
    manifest = receipts.write(folder, tables.write(folder))
    sheet = artifact.sheet(folder, manifest, claims)
    for name, text in (
        ("numbers.tex", tables.macros(claims, manifest)),
        ("artifact.md", f"# Artifact sheet\n\n{sheet}"),
    ):
        with written(folder / "report" / name) as file:
            file.write(text)
    notes, runs = [], []
    for p in planned:
        name = p["run"].name
        stamp = json.loads((folder / "results" / f"{name}.stamp").read_text("utf-8"))
        runs.append(
            {
                "name": name,
                "notebook": stamp["notebook"],
                "seconds": stamp["seconds"],
                "input": stamp["input"][:12],
            }
        )
        notes += json.loads((folder / "results" / f"{name}.json").read_text("utf-8"))[
            "notes"
        ]
    figures = [
        {
            "name": name,
            "title": title,
            "text": text,
            "source": _data_uri(folder / "figures" / f"{name}.svg"),
            "run": manifest["figures"][name]["run"],
        }
        for name, (title, text) in all_figures().items()
        if (folder / "figures" / f"{name}.svg").exists()
    ]
    counts = claims.verdict.value_counts()
    s = SIZES[size]
    environment = jinja2.Environment(autoescape=True)
    readings, methods = (_document(name) for name in ("READINGS.md", "METHODS.md"))
    page = environment.from_string(_TEMPLATE).render(
        trace=trace.name,
        size=size.capitalize(),
        sessions=f"{s['sessions']:,}",
        queries=f"{s['queries']:,}",
        pool_note=_pool_note(trace),
        tally=", ".join(f"{n} {verdict}" for verdict, n in counts.items()).capitalize(),
        weights=experiments.MAIN_WEIGHTS,
        rate=f"{experiments.RATE:g}",
        claims=claim_rows(claims),
        figures=figures,
        claims_run=manifest["figures"]["claims"]["run"],
        tables=[
            {"name": name, "title": tables.TABLES[name.removeprefix("tables/")][0], **t}
            for name, t in manifest["tables"].items()
        ],
        artifact=jinja2.utils.markupsafe.Markup(html(sheet)),
        notes=notes,
        methods=jinja2.utils.markupsafe.Markup(methods),
        readings=jinja2.utils.markupsafe.Markup(readings),
        runs=runs,
        total=f"{sum(r['seconds'] for r in runs):.0f}",
        machine=(
            f"Python {platform.python_version()} on {platform.system()}"
            f" {platform.machine()}, {os.cpu_count()} cores"
        ),
        versions=", ".join(
            f"{name} {importlib.metadata.version(name)}" for name in PACKAGES
        ),
    )
    path = folder / "report" / "index.html"
    with written(path) as file:
        file.write(page)
    return path


def _pool_note(trace):
    from ..core.pool import declared_pools

    name = trace.name.removesuffix("-rows")
    return (
        f"The pool: {declared_pools()[name]['note']}. It is no evidence that routing"
        " pays in general."
        if name in declared_pools()
        else ""
    )


def _document(name):
    path = home(name)
    if not path.exists():
        return ""
    text = re.sub(r"^# .*\n", "", path.read_text("utf-8"), count=1)
    return html(re.sub(r"^#", "##", text, flags=re.MULTILINE))


def _data_uri(path):
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()
