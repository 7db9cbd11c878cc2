"""Write vae_helpers/README.md: every public name, with the first paragraph of its docstring.

python tools/list_names.py
"""

from __future__ import annotations

import inspect
from pathlib import Path

import vae_helpers

PAGE = Path(vae_helpers.__file__).with_name("README.md")


def page() -> str:
    """The page's text: the package's public names by module."""
    lines = [
        "# What `vae_helpers` offers",
        "",
        "`from vae_helpers import …` any of these; `help(…)` of a name says shapes, units, errors and sources. Strings "
        "and molecules, lessons 09 and 10, have modules of their own: `from vae_helpers.sequences import …`, `from "
        "vae_helpers.molecules import …`. Everything else in this folder may change without notice.",
        "",
        "| from | name | what it is |",
        "|---|---|---|",
    ]
    for module, names in vae_helpers._HOME.items():
        for name in sorted(names, key=str.lower):
            said = inspect.getdoc(getattr(vae_helpers, name)) or ""
            sentence = " ".join(said.split("\n\n")[0].split()).replace("|", "\\|")
            lines.append(f"| `{module}` | `{name}` | {sentence} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE}")
