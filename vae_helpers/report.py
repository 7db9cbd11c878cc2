"""The report of the mini project: one HTML file with the learner's figures and answers, which opens anywhere."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from matplotlib.figure import Figure

from .files import write_whole

STYLE = (
    "body { font: 16px/1.5 sans-serif; max-width: 46em; margin: 2em auto; padding: 0 1em; color: #222; "
    "background: #fff } img { max-width: 100% } dt { font-weight: bold; margin-top: 1em } "
    "dd { margin: 0; white-space: pre-wrap }"
)


def save_report(
    path: str | Path,
    *,
    title: str,
    answers: Mapping[str, str],
    figures: Mapping[str, Figure],
) -> Path:
    """Write one HTML file: each question with its answer, each figure under its caption. It needs no other file.

    The file is written whole, then put in place, so that an error leaves an older report as it was.

    Raises:
        TypeError: an answer is no string, or a figure no matplotlib Figure.
        OSError: the folder does not exist or cannot be written.
    """
    for question, answer in answers.items():
        if not isinstance(answer, str):
            raise TypeError(f"The answer to {question!r} must be a string, not {answer!r}.")
    parts = [f"<h1>{html.escape(title)}</h1>", f"<p>{date.today().isoformat()}</p>", "<dl>"]
    for question, answer in answers.items():
        shown = html.escape(answer.strip()) or "<i>no answer yet</i>"
        parts.append(f"<dt>{html.escape(question)}</dt><dd>{shown}</dd>")
    parts.append("</dl>")
    for caption, figure in figures.items():
        if not isinstance(figure, Figure):
            raise TypeError(
                f"The figure {caption!r} must be a matplotlib Figure, not {type(figure).__name__}."
            )
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=100, facecolor="white")
        data = base64.b64encode(buffer.getvalue()).decode("ascii")
        text = html.escape(caption)
        parts.append(
            f'<figure><img alt="{html.escape(caption, quote=True)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{text}</figcaption></figure>"
        )
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style><body>{''.join(parts)}</body></html>\n"
    )
    write_whole(path, page)
    return Path(path)
