"""The report of the mini project: one HTML file with the learner's figures and answers, which opens anywhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from jinja2 import Template
from matplotlib.figure import Figure

from vae_helpers.files import write_whole

PAGE = Template(
    """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{{ title }}</title>
<style>
body { font: 16px/1.5 sans-serif; max-width: 46em; margin: 2em auto; padding: 0 1em; color: #222; background: #fff }
img { max-width: 100% } dt { font-weight: bold; margin-top: 1em } dd { margin: 0; white-space: pre-wrap }
</style>
<body>
<h1>{{ title }}</h1>
<p>{{ date }}</p>
<dl>
{% for question, answer in answers.items() %}
<dt>{{ question }}</dt><dd>{% if answer.strip() %}{{ answer.strip() }}{% else %}<i>no answer yet</i>{% endif %}</dd>
{% endfor %}
</dl>
{% for caption, png in figures.items() %}
<figure><img alt="{{ caption }}" src="data:image/png;base64,{{ png }}"><figcaption>{{ caption }}</figcaption></figure>
{% endfor %}
</body>
</html>
""",
    autoescape=True,
    trim_blocks=True,
)


def save_report(
    path: str | Path,
    *,
    title: str,
    answers: Mapping[str, str],
    figures: Mapping[str, Figure],
) -> Path:
    """Write one HTML file: each question with its answer, each figure under its caption. It needs no other file.

    The file is written atomically: an error leaves an older report as it was.

    Raises:
        TypeError: an answer is no string, or a figure no matplotlib Figure.
        OSError: the folder does not exist or cannot be written.
    """
    for question, answer in answers.items():
        if not isinstance(answer, str):
            raise TypeError(f"The answer to {question!r} must be a string, not {answer!r}.")
    pictures = {caption: _png(caption, figure) for caption, figure in figures.items()}
    today = date.today().isoformat()
    write_whole(path, PAGE.render(title=title, date=today, answers=answers, figures=pictures))
    return Path(path)


def _png(caption: str, figure: Figure) -> str:
    """A figure as a PNG in base64."""
    if not isinstance(figure, Figure):
        raise TypeError(
            f"The figure {caption!r} must be a matplotlib Figure, not {type(figure).__name__}."
        )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, facecolor="white")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
