"""The process that runs one submitted notebook: it probes the answers, and sends plain arrays to the grader.

Of the notebook it runs what the answers need, and nothing else: the definitions of their names, and the imports,
functions, classes and assignments that these mention. Loops, training and stored outputs are never touched. What
can be said of the notebook without running it is sent first, while no line of it has run.
"""

from __future__ import annotations

import ast
import difflib
import dis
import json
import linecache
import os
import struct
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import CodeType
from typing import Any
from unittest.mock import MagicMock

import numpy as np

from .checks import OURS, Record, holder_of, probe, refused

KEPT_MAGICS = ("time", "timeit", "capture", "prun")  # what they run is Python of this notebook
GLOBAL_READS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
HOLDS_ANSWERS = tuple(f"vae_helpers.{name}" for name in ("answers", "models", "objectives"))
PYTHON = ("python", "ipython", "python3", "")


class UnreadableError(ValueError):
    """A file that is no Python notebook; the message says what it is instead."""


def cells_of(data: bytes) -> list[str]:
    """The sources of the code cells of a notebook file, of format 3 or 4, in any encoding that editors write.

    Raises:
        UnreadableError: the file is empty, no JSON, no notebook, or a notebook in another language.
    """
    if not data.strip():
        raise UnreadableError("the file is empty")
    try:
        notebook = json.loads(_text(data))
    except RecursionError:
        raise UnreadableError("no valid JSON: it is nested too deeply") from None
    except ValueError as error:
        raise UnreadableError(f"no valid JSON: {error}") from None
    if not isinstance(notebook, dict):
        raise UnreadableError("no notebook: it holds no cells")
    holder = notebook
    if isinstance(notebook.get("worksheets"), list) and notebook["worksheets"]:  # format 3
        holder = notebook["worksheets"][0]
    cells = holder.get("cells") if isinstance(holder, dict) else None
    if not isinstance(cells, list):
        raise UnreadableError("no notebook: it holds no cells")
    language = _language(notebook)
    if language.lower() not in PYTHON:
        raise UnreadableError(f"a notebook in another language: {language}")
    code = [cell for cell in cells if isinstance(cell, dict) and cell.get("cell_type") == "code"]
    return [_joined(cell.get("source", cell.get("input", ""))) for cell in code]


def _text(data: bytes) -> str:
    try:
        return data.decode(json.detect_encoding(data)).lstrip("\ufeff")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _language(notebook: dict[str, Any]) -> str:
    metadata = notebook.get("metadata")
    for part, key in (("kernelspec", "language"), ("language_info", "name")):
        named = metadata.get(part) if isinstance(metadata, dict) else None
        if isinstance(named, dict) and isinstance(named.get(key), str):
            return str(named[key])
    return ""


def _joined(source: Any) -> str:
    lines = source if isinstance(source, list) else [source]
    return "".join(line for line in lines if isinstance(line, str))


# --- what of it is run --------------------------------------------------------------------------


class Notebook:
    """The statements of a notebook that can be a definition, and the names that each makes and mentions."""

    def __init__(self, sources: Sequence[str]) -> None:
        self.statements: list[tuple[str, ast.stmt]] = []
        self.unreadable: list[str] = []
        for number, source in enumerate(sources, 1):
            filename = f"cell {number}"
            text = _without_cell_magic(source)
            try:
                ast.parse(text)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                text = _as_python(text)
            linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
            try:
                body = ast.parse(text, filename).body
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
                self.unreadable.append(f"code cell {number}{line}: {getattr(error, 'msg', error)}")
                continue
            self.statements += [(filename, node) for node in _pruned(body) if _makes(node)]
        self.defined = sorted({name for _, node in self.statements for name in _makes(node)})

    def needed(self, *names: str, without: Collection[str] = ()) -> list[tuple[str, ast.stmt]]:
        """The statements that make these names and all that they mention, in the notebook's order.

        Names in `without` are not followed.
        """
        wanted, found = set(names), set[int]()
        while True:
            new = {
                index
                for index, (_, node) in enumerate(self.statements)
                if index not in found and ("*" in _makes(node) or wanted & _makes(node))
            }
            if not new:
                return [self.statements[index] for index in sorted(found)]
            found |= new
            for index in new:
                wanted |= _mentions(self.statements[index][1]).difference(without)

    def borrowed(self, name: str) -> bool:
        """Whether what makes this name takes the course's own answer, as far as its text tells.

        The answers to other exercises that it calls are not looked into.
        """
        statements = self.needed(name, without={*OURS} - {name})
        overwritten = [node for _, node in statements if _makes(node) == {name}][:-1]
        left = [(cell, node) for cell, node in statements if node not in overwritten]
        if not any(name in _mentions(node) for _, node in left):  # nothing has used it meanwhile
            statements = left
        ours = {"vae_helpers"} | {
            alias.asname or alias.name.split(".")[0]
            for _, node in statements
            for alias in _imported_from_course(node)
        }
        return any(_takes_answer(node, ours) for _, node in statements)


def _without_cell_magic(source: str) -> str:
    """A cell without its `%%time` and the like; nothing of one in another language."""
    first, _, rest = source.lstrip().partition("\n")
    if not first.startswith("%%"):
        return source
    return "\n" + rest if first[2:].split(" ")[0].strip() in KEPT_MAGICS else ""


def _as_python(source: str) -> str:
    """A cell as IPython reads it: magics become calls, prompts and a common indent go."""
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        return str(TransformerManager().transform_cell(source))
    except (SyntaxError, ValueError, RecursionError):
        return source


DEFINITIONS = (
    *(ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef),
    *(ast.Assign, ast.AnnAssign, ast.AugAssign),
)
BLOCKS = (ast.If, ast.Try, ast.With)


def _pruned(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Of these statements what defines something; an `if`, `try` or `with` around a definition stays."""
    kept: list[ast.stmt] = []
    for node in body:
        if isinstance(node, ast.With) and "if_written" in ast.dump(node.items[0].context_expr):
            continue  # a step of the lesson that trains or draws
        if isinstance(node, BLOCKS):
            parts = [node, *getattr(node, "handlers", [])]
            for part in parts:
                for name in ("body", "orelse", "finalbody"):
                    inner = getattr(part, name, None)
                    if inner:
                        setattr(part, name, _pruned(inner) or [ast.Pass(**_place(inner[0]))])
            if any(_makes(part) for part in parts):
                kept.append(node)
        elif isinstance(node, (*DEFINITIONS, ast.Raise)):
            kept.append(node)
    return kept


def _place(node: ast.stmt) -> dict[str, int]:
    return {"lineno": node.lineno, "col_offset": node.col_offset}


def _makes(node: ast.AST) -> set[str]:
    """The names that a statement defines; for `VAE.encode = …`, VAE; for `from … import *`, *."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, BLOCKS):
        return set().union(*(_makes(part) for part in ast.iter_child_nodes(node)))
    if isinstance(node, ast.ExceptHandler):
        return set().union(*(_makes(part) for part in node.body))
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return set().union(*map(_roots, targets))
    return set()


def _roots(target: ast.expr) -> set[str]:
    if isinstance(target, ast.Tuple | ast.List):
        return set().union(*map(_roots, target.elts))
    while isinstance(target, ast.Attribute | ast.Subscript | ast.Starred):
        target = target.value
    return {target.id} if isinstance(target, ast.Name) else set()


def _mentions(node: ast.stmt) -> set[str]:
    """The global names that a statement reads, at once or when what it defines is called."""
    try:
        codes = [compile(ast.Module([node], []), "cell", "exec")]
    except (SyntaxError, ValueError, RecursionError):
        return set()
    names = set()
    for code in codes:  # grows on the way
        names |= {step.argval for step in dis.get_instructions(code) if step.opname in GLOBAL_READS}
        codes += [part for part in code.co_consts if isinstance(part, CodeType)]
    return names


def _imported_from_course(node: ast.AST) -> Iterator[ast.alias]:
    for part in ast.walk(node):
        if isinstance(part, ast.Import):
            yield from (alias for alias in part.names if alias.name.startswith("vae_helpers"))
        elif isinstance(part, ast.ImportFrom) and (part.module or "").startswith("vae_helpers"):
            yield from part.names


def _takes_answer(node: ast.AST, course: set[str]) -> bool:
    for part in ast.walk(node):
        if isinstance(part, ast.ImportFrom) and (part.module or "").startswith("vae_helpers"):
            named = {alias.name for alias in part.names}
            everything = "*" in named and part.module in HOLDS_ANSWERS
            if part.module == "vae_helpers.answers" or everything or named & {*OURS, "answers"}:
                return True
        elif isinstance(part, ast.Import):
            if any(alias.name == "vae_helpers.answers" for alias in part.names):
                return True
        elif isinstance(part, ast.Attribute) and part.attr in (*OURS, "answers"):
            if course & _roots(part):
                return True
        elif isinstance(part, ast.Constant) and part.value == "vae_helpers.answers":
            return True
    return False


def run_definitions(statements: Sequence[tuple[str, ast.stmt]], space: dict[str, Any]) -> list[str]:
    """Run statements in their order; what lacks a name waits for the others. Gives back what went wrong.

    One that had to wait does not overwrite what a later one has made meanwhile.
    """
    waiting, errors, made = list(enumerate(statements)), dict[str, str](), dict[str, int]()
    while waiting:
        errors, later = {}, []
        for index, (filename, node) in waiting:
            names = _makes(node)
            if any(made.get(name, -1) > index for name in names):
                continue
            try:
                exec(compile(ast.Module([node], []), filename, "exec"), space)
                made |= dict.fromkeys(names, index)
            except BaseException as error:
                where = f"{filename.replace('cell', 'code cell')}, line {node.lineno}"
                errors[where] = f"{where}: {type(error).__name__}: {error}"[:300]
                later.append((index, (filename, node)))
        if len(later) == len(waiting):
            break
        waiting = later
    return list(errors.values())


# --- what it sends ------------------------------------------------------------------------------


def pack(record: Record) -> bytes:
    """A record as bytes: arrays and strings in the safetensors format, which holds nothing that could run."""
    from safetensors.numpy import save

    arrays = {key: np.asarray(v, order="C") for key, v in record.items() if not isinstance(v, str)}
    strings = {
        key: v.encode("utf-8", "replace").decode()
        for key, v in record.items()
        if isinstance(v, str)
    }
    return bytes(save(arrays, metadata=strings))


def unpack(data: bytes) -> Record:
    """The record again.

    Raises:
        ValueError: these bytes are no record.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(data)
        (length,) = struct.unpack("<Q", data[:8])
        strings = json.loads(data[8 : 8 + length]).get("__metadata__") or {}
    except (SafetensorError, struct.error, ValueError, KeyError, RecursionError) as error:
        raise ValueError(f"not a record: {error}") from None
    return {**arrays, **{str(key): str(value) for key, value in strings.items()}}


class Sender:
    """Writes frames, each with its length before it, to the grader's pipe."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __call__(self, payload: bytes) -> None:
        data = struct.pack("<Q", len(payload)) + payload
        while data:
            data = data[os.write(self.descriptor, data) :]


def main(argument: str) -> None:
    """Probe the notebook as the grader's `argument` (JSON) says, then end this process at once."""
    job = json.loads(argument)
    send = Sender(job["pipe"])
    _limit(job["limits"], job["uid"])
    sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - stays open
    import torch

    torch.set_num_threads(1)
    send(b"ready")
    facts, notebook = _read(Path(job["notebook"]), job["checks"])
    send(json.dumps(facts).encode())
    if notebook is None:
        os._exit(0)
    sys.path.append(str(Path(job["notebook"]).parent))
    # what IPython puts there does nothing here
    space: dict[str, Any] = {
        "__name__": "__main__",
        "display": MagicMock(),
        "get_ipython": MagicMock(),
    }
    wanted = {holder_of(name) for name in job["checks"]}
    errors = run_definitions(notebook.needed(*wanted), space)
    send(json.dumps({"errors": errors}).encode())
    for name in job["checks"]:
        send(pack(_probed(name, space, notebook, job["seed"])))
    os._exit(0)


def _limit(limits: dict[str, int], uid: int | None) -> None:
    import resource

    if uid is not None:  # a user that nobody is, so that the limit on processes counts these alone
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    for name, value in limits.items():
        which = getattr(resource, name, None)
        if which is not None:
            _, hard = resource.getrlimit(which)
            top = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(which, (top, top))


def _read(path: Path, checks: Sequence[str]) -> tuple[dict[str, Any], Notebook | None]:
    try:
        notebook = Notebook(cells_of(path.read_bytes()))
    except UnreadableError as error:
        return {"problem": str(error)}, None
    names = {name: holder_of(name) for name in checks}
    return {
        "unreadable": notebook.unreadable[:20],
        "borrowed": [check for check, name in names.items() if notebook.borrowed(name)],
    }, notebook


def _probed(name: str, space: dict[str, Any], notebook: Notebook, seed: int) -> Record:
    """The record of one check; where there is nothing to call, it says so under `refused` or `missing`."""
    target = holder_of(name)
    if target not in space:
        near = difflib.get_close_matches(target, notebook.defined, n=1)
        broken = target in notebook.defined
        return {"missing": "broken" if broken else near[0] if near else ""}
    answer = space[target]
    if str(getattr(answer, "__module__", "")).startswith("vae_helpers"):
        return {"borrowed": "yes"}
    try:
        verdict = refused(name, answer)
        return {"refused": verdict.message} if verdict else probe(name, answer, seed=seed)
    except BaseException as error:
        return {"refused": f"It raised {type(error).__name__}: {error}"[:600]}
