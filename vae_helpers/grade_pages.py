"""The pages that grading writes: feedback for one submission, and an overview of the class. Each is one HTML file."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from .checks import HINTS, MARKS, ZOO, code_in_html

if TYPE_CHECKING:
    from .grading import Row

STYLE = """
:root { color-scheme: light dark; --ink: #1f1f1f; --paper: #fff; --soft: #5f5f5f; --line: #d0d0d0; --panel: #f5f5f5 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --paper: #161616; --soft: #ababab; --line: #444; --panel: #222 }
}
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56em; margin: 2em auto; padding: 0 1em;
  color: var(--ink); background: var(--paper); overflow-wrap: anywhere }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 2em }
a { color: inherit } code { background: var(--panel); padding: 0 .2em; border-radius: 3px }
section { border-left: 4px solid var(--mark); padding: .2em 0 .2em 1em; margin: 1em 0 }
section h2 { margin: 0; font-size: 1em } section p { margin: .3em 0 }
.soft { color: var(--soft) } .score { font-size: 1.2em }
table { border-collapse: collapse; width: 100%; overflow-wrap: normal }
td { min-width: 1.5em } td.who { min-width: 8em }
th.name { writing-mode: vertical-rl; vertical-align: bottom; padding: .6em 0 }
th, td { text-align: left; padding: .3em .6em; border-bottom: 1px solid var(--line); vertical-align: top }
.wide { overflow-x: auto } td.number { text-align: right; white-space: nowrap }
.bar { display: flex; width: 14em; height: 1.1em; border: 1px solid var(--line) }
.bar i { display: block; height: 100% }
"""
_T = TypeVar("_T")


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )


def _text(text: str) -> str:
    """Text for a page: nothing in it is markup, and what is no character is shown as its number."""
    return html.escape(text.encode("utf-8", "backslashreplace").decode())


def feedback_page(row: Row) -> str:
    """What one learner gets to read: the words of the notebook, and a hint where a mistake has no name."""
    total = len(row.checks)
    parts = [
        f"<h1>{_text(row.submission)}</h1>",
        f'<p class="score"><b>{row.score} of {total}</b> checks passed</p>',
    ]
    if row.status.startswith("not graded"):
        parts.append(f"<p>{_text(row.status[0].upper() + row.status[1:])}.</p>")
        return _page(row.submission, "".join(parts))
    if row.notebook:
        parts.append(f'<p class="soft">Graded: {_text(row.notebook)}</p>')
    if row.notes:
        parts.append("<ul>" + "".join(f"<li>{_text(note)}</li>" for note in row.notes) + "</ul>")
    for name, verdict in row.checks.items():
        status = verdict.status
        bug = f" · {_text(verdict.diagnosis)}" if verdict.diagnosis else ""
        said = [] if verdict.message == "Right." else [f"<p>{code_in_html(verdict.message)}</p>"]
        if (
            not verdict.passed and not verdict.diagnosis
        ):  # a mistake with a name says what to change
            said.append(f'<p class="soft">A hint: {code_in_html(HINTS[name][0])}</p>')
        parts.append(
            f'<section style="--mark: {MARKS[status][1]}"><h2>{MARKS[status][0]} {name}: {status}{bug}</h2>'
            f"{''.join(said)}</section>"
        )
    return _page(row.submission, "".join(parts))


def class_page(rows: Sequence[Row], checks: Sequence[str]) -> str:
    """What a teacher looks at: how each exercise went, which mistakes were made how often, and every submission."""
    graded = [row for row in rows if not row.status.startswith("not graded")]
    scores = sorted(row.score for row in graded)
    parts = [
        "<h1>The class</h1>",
        f"<p>{len(rows)} submissions, {len(graded)} graded"
        + (f"; the median score is {scores[len(scores) // 2]} of {len(checks)}" if scores else "")
        + ".</p>",
        "<h2>The exercises</h2>",
        _exercises(graded, checks),
        "<h2>The mistakes that were found</h2>",
        _mistakes(graded),
        "<h2>The submissions</h2>",
        _submissions(rows, checks),
    ]
    return _page("The class", "".join(parts))


def _exercises(rows: Sequence[Row], checks: Sequence[str]) -> str:
    lines = []
    for name in checks:
        found = [row.checks[name].status for row in rows]
        counts = {status: found.count(status) for status in MARKS}
        bar = "".join(
            f'<i style="flex: {count}; background: {MARKS[status][1]}"></i>'
            for status, count in counts.items()
            if count
        )
        numbers = "".join(f'<td class="number">{count}</td>' for count in counts.values())
        lines.append(
            f'<tr><th scope="row">{name}</th>{numbers}<td><span class="bar" aria-hidden="true">{bar}</span></td></tr>'
        )
    heads = "".join(f'<th scope="col">{MARKS[status][0]} {status}</th>' for status in MARKS)
    return (
        f'<div class="wide"><table><thead><tr><th scope="col">exercise</th>{heads}'
        f'<th scope="col">share</th></tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
    )


def _link(row: Row) -> str:
    return f'<a href="feedback/{row.page}">{_text(row.submission)}</a>'


def common_mistakes(rows: Sequence[Row]) -> list[tuple[str, list[str], list[Row]]]:
    """Each mistake of the zoo that was found: the exercises, and who made it; the most frequent first."""
    where: dict[str, list[str]] = {}
    who: dict[str, list[Row]] = {}
    for row in rows:
        for name, verdict in row.checks.items():
            if verdict.diagnosis:
                where.setdefault(verdict.diagnosis, []).append(name)
                who.setdefault(verdict.diagnosis, []).append(row)
    found = [(bug, _once(where[bug]), _once(who[bug])) for bug in where]
    return sorted(found, key=lambda mistake: -len(mistake[2]))


def _once(items: Sequence[_T]) -> list[_T]:
    """The items in their order, each once."""
    return [item for number, item in enumerate(items) if item not in items[:number]]


def _mistakes(rows: Sequence[Row]) -> str:
    lines = [
        f'<tr><td class="number">{len(who)}</td>'
        f'<td><b>{bug}</b><br><span class="soft">{code_in_html(ZOO[bug].why)}</span></td>'
        f'<td>{", ".join(where)}</td><td class="who">{", ".join(map(_link, who))}</td></tr>'
        for bug, where, who in common_mistakes(rows)
    ]
    if not lines:
        return "<p>None that has a name.</p>"
    return (
        '<div class="wide"><table><thead><tr><th scope="col">learners</th><th scope="col">mistake</th>'
        '<th scope="col">in</th><th scope="col">who</th></tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _submissions(rows: Sequence[Row], checks: Sequence[str]) -> str:
    heads = "".join(f'<th scope="col" class="name">{name}</th>' for name in checks)
    lines = []
    for row in rows:
        found = [row.checks[name].status for name in checks]
        cells = "".join(f'<td title="{status}">{MARKS[status][0]}</td>' for status in found)
        if row.status.startswith("not graded"):
            cells = "<td>–</td>" * len(checks)
        notes = "; ".join([row.status] * (row.status != "graded") + row.notes + row.for_teacher)
        lines.append(
            f'<tr><th scope="row">{_link(row)}</th><td class="number">{row.score}</td>{cells}'
            f"<td>{_text(notes)}</td></tr>"
        )
    return (
        f'<div class="wide"><table><thead><tr><th scope="col">submission</th><th scope="col">score</th>{heads}'
        f'<th scope="col">notes</th></tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
    )
