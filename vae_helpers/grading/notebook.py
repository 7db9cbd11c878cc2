"""Reads a submitted notebook, and finds and runs what the answers in it need.

That is the definitions of their names, the imports, functions, classes and assignments that these mention, and the
statements that change one of these names: a call of its method, `setattr`, a loop that fills it. A loop that trains is
never run, nor are stored outputs looked at. The file is read as JSON: nbformat would refuse much that learners hand
in, such as cells without outputs or metadata, and older notebooks without a version.
"""

from __future__ import annotations
import __future__

import ast
import copy
import dis
import functools
import json
import linecache
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any

from vae_helpers.checks import OURS

PYTHON_MAGICS = ("time", "timeit", "capture", "prun")  # what they run is Python of this notebook
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


@dataclass(frozen=True)
class Statement:
    """A statement of a notebook, where it stands, and the flags of the `from __future__` imports up to there."""

    cell: str
    node: ast.stmt
    flags: int = 0


class Notebook:
    """The statements of a notebook that can make or change what an answer needs."""

    def __init__(self, sources: Sequence[str]) -> None:
        found: list[Statement] = []
        self.unreadable: list[str] = []
        flags = 0
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
            flags |= _future_flags(body)
            found += [Statement(filename, node, flags) for node in _pruned(body)]
        self.defined = sorted({name for found_one in found for name in _makes(found_one.node)})
        own = {name for one in found if not _imports(one.node) for name in _makes(one.node)}
        # what a name's own object may be a part of: `group`, the parser of `group = parser.add_argument_group()`
        self._holders = {name: {name} for name in own}
        for one in found:
            if isinstance(one.node, ast.Assign) and (root := _part_of(one.node.value)) in own:
                for name in _makes(one.node):
                    self._holders[name] |= self._holders[root]
        trainers = self._trainers(found)
        self.statements = [
            Statement(one.cell, node, one.flags)
            for one in found
            if (node := _without_training(one.node, trainers)) and self._touches(node)
        ]

    def _trainers(self, found: Sequence[Statement]) -> set[str]:
        """The names of functions and classes that train, or that call one that does."""
        made = [
            (_makes(one.node), _mentions(one.node), _trains(one.node))
            for one in found
            if isinstance(one.node, FUNCTIONS)
        ]
        trainers, size = {"training_step"}, 0
        while len(trainers) > size:
            size = len(trainers)
            for names, mentioned, trains in made:
                if trains or mentioned & trainers:
                    trainers |= names
        return trainers

    def _touches(self, node: ast.AST) -> set[str]:
        """The names that a statement makes or changes; what is imported is not changed by a call of it."""
        return _makes(node).union(*(self._holders.get(name, ()) for name in _changes(node)))

    def needed(self, *names: str, without: Collection[str] = ()) -> list[Statement]:
        """The statements that make or change these names and all that they mention, in the notebook's order.

        Names in `without` are not followed.
        """
        wanted, size = set(names), -1
        while len(wanted) > size:
            size = len(wanted)
            touching = [
                Statement(one.cell, self._narrowed(one.node, wanted), one.flags)
                for one in self.statements
                if (touched := self._touches(one.node)) & wanted or "*" in touched
            ]
            for one in touching:
                wanted |= _mentions(one.node).difference(without)
        return touching

    def _narrowed(self, node: ast.stmt, wanted: set[str]) -> ast.stmt:
        """A block without the calls and loops in it that touch no wanted name."""
        if not isinstance(node, BLOCKS):
            return node

        def kept(inner: ast.stmt) -> ast.stmt | None:
            passing = isinstance(inner, (ast.Expr, *LOOPS)) and not self._touches(inner) & wanted
            return None if passing else self._narrowed(inner, wanted)

        return _with_bodies(node, kept)

    def uses(self, name: str) -> set[str]:
        """The answers to other exercises that this one calls, by itself or through others."""
        mentioned = (_mentions(one.node) for one in self.needed(name))
        return set[str]().union(*mentioned) & set(OURS) - {name}

    def borrowed(self, name: str) -> bool:
        """Whether what makes this name takes the course's own answer, as far as its text tells.

        The answers to other exercises that it calls are not looked into.
        """
        statements = self.needed(name, without={*OURS} - {name})
        overwritten = [one for one in statements if _makes(one.node) == {name}][:-1]
        left = [one for one in statements if one not in overwritten]
        if not any(name in _mentions(one.node) for one in left):  # nothing has used it meanwhile
            statements = left
        ours = {"vae_helpers"} | {
            alias.asname or alias.name.split(".")[0]
            for one in statements
            for alias in _imported_from_course(one.node)
        }
        return any(_takes_answer(one.node, ours) for one in statements)


def _without_cell_magic(source: str) -> str:
    """A cell without its `%%time` and the like; nothing of one in another language."""
    first, _, rest = source.lstrip().partition("\n")
    if not first.startswith("%%"):
        return source
    return "\n" + rest if first[2:].split(" ")[0].strip() in PYTHON_MAGICS else ""


def _as_python(source: str) -> str:
    """A cell as IPython reads it: magics become calls, prompts and a common indent go."""
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        return str(TransformerManager().transform_cell(source))
    except (SyntaxError, ValueError, RecursionError):
        return source


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
ASSIGNMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign)
DEFINITIONS = (ast.Import, ast.ImportFrom, *FUNCTIONS, *ASSIGNMENTS, ast.Raise)
BLOCKS = (ast.If, ast.Try, ast.With)
LOOPS = (ast.For, ast.While)
# what a loop that trains calls
TRAINING = ("backward", "zero_grad", "step", "fit", "train")


def _future_flags(body: Sequence[ast.stmt]) -> int:
    """What the `from __future__` imports among these statements change in how Python compiles."""
    flags = 0
    for node in body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            for alias in node.names:
                flags |= getattr(getattr(__future__, alias.name, None), "compiler_flag", 0)
    return flags


def _pruned(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Of these statements what can make or change a name; of a block such as an `if`, what is such in it."""
    found: list[ast.stmt] = []
    for node in body:
        if isinstance(node, ast.With) and "if_written" in ast.dump(node.items[0].context_expr):
            continue  # a step of the lesson that trains or draws
        if isinstance(node, BLOCKS):
            block = _with_bodies(node, lambda inner: next(iter(_pruned([inner])), None))
            if _makes(block) or _changes(block):
                found.append(block)
        elif isinstance(node, (*DEFINITIONS, *LOOPS)) or _makes(node) or _changes(node):
            found.append(node)
    return found


def _with_bodies(node: ast.stmt, change: Callable[[ast.stmt], ast.stmt | None]) -> ast.stmt:
    """A copy of a block, each statement in it changed, or left out where the change gives None."""
    block = copy.copy(node)
    handlers = [copy.copy(handler) for handler in getattr(node, "handlers", [])]
    if handlers:
        block.handlers = handlers  # type: ignore[attr-defined]
    for part in (block, *handlers):
        for name in ("body", "orelse", "finalbody"):
            inner = getattr(part, name, None)
            if inner:
                kept = [changed for one in inner if (changed := change(one))]
                setattr(part, name, kept or [ast.copy_location(ast.Pass(), inner[0])])
    return block


def _without_training(node: ast.stmt, trainers: set[str]) -> ast.stmt | None:
    """A statement without the loops and calls that train; None if it is one."""
    if isinstance(node, (*LOOPS, ast.Expr)):
        return None if _trains(node) or _mentions(node) & trainers else node
    if isinstance(node, BLOCKS):
        return _with_bodies(node, lambda inner: _without_training(inner, trainers))
    return node


def _trains(node: ast.AST) -> bool:
    calls = (part.func for part in ast.walk(node) if isinstance(part, ast.Call))
    names = (getattr(func, "attr", getattr(func, "id", "")) for func in calls)
    return any(name in TRAINING for name in names)


def _imports(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _makes(node: ast.AST) -> set[str]:
    """The names that a statement defines; for `VAE.encode = …` and `setattr(VAE, …)`, VAE; for `import *`, *."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    if isinstance(node, FUNCTIONS):
        return {node.name}
    if isinstance(node, (*BLOCKS, *LOOPS, ast.ExceptHandler)):
        made = set().union(*(_makes(part) for part in _statements_in(node)))
        return made | (_roots(node.target) if isinstance(node, ast.For) else set())
    if isinstance(node, ASSIGNMENTS):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return set().union(*map(_roots, targets))
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and node.value.args:
        called = node.value.func
        if isinstance(called, ast.Name) and called.id == "setattr":
            return _roots(node.value.args[0])
    return set()


def _changes(node: ast.AST) -> set[str]:
    """The names whose objects a statement may change by a method, as `layers.append(…)` does; of a block, all."""
    if isinstance(node, (*BLOCKS, *LOOPS, ast.ExceptHandler)):
        return set().union(*(_changes(part) for part in _statements_in(node)))
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        function = node.value.func
        return _roots(function) if isinstance(function, ast.Attribute) else set()
    return set()


def _part_of(value: ast.expr) -> str:
    """The name whose method or part an expression is; '' for any other."""
    part = value.func if isinstance(value, ast.Call) else value
    return next(iter(_roots(part)), "") if isinstance(part, ast.Attribute | ast.Subscript) else ""


def _statements_in(node: ast.AST) -> Iterator[ast.AST]:
    return (part for part in ast.iter_child_nodes(node) if not isinstance(part, ast.expr))


def _roots(target: ast.expr) -> set[str]:
    if isinstance(target, ast.Tuple | ast.List):
        return set().union(*map(_roots, target.elts))
    while isinstance(target, ast.Attribute | ast.Subscript | ast.Starred):
        target = target.value
    return {target.id} if isinstance(target, ast.Name) else set()


@functools.cache
def _mentions(node: ast.stmt) -> frozenset[str]:
    """The global names that a statement reads, at once or when what it defines is called."""
    try:
        codes = [compile(ast.Module([node], []), "cell", "exec", dont_inherit=True)]
    except (SyntaxError, ValueError, RecursionError):
        return frozenset()
    names = set[str]()
    for code in codes:  # grows on the way
        names |= {step.argval for step in dis.get_instructions(code) if step.opname in GLOBAL_READS}
        codes += [part for part in code.co_consts if isinstance(part, CodeType)]
    return frozenset(names)


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


def run_definitions(statements: Sequence[Statement], space: dict[str, Any]) -> list[str]:
    """Run statements in their order; what lacks a name waits for the others. Gives back what went wrong.

    One that had to wait does not overwrite, or change, what a later one has made meanwhile.
    """
    waiting, errors, made = list(enumerate(statements)), dict[str, str](), dict[str, int]()
    while waiting:
        errors, later = {}, []
        for index, one in waiting:
            names = _makes(one.node)
            if any(made.get(name, -1) > index for name in names | _changes(one.node)):
                continue
            try:
                module = ast.Module([one.node], [])
                exec(compile(module, one.cell, "exec", one.flags, dont_inherit=True), space)
                made |= dict.fromkeys(names, index)
            except BaseException as error:
                where = f"{one.cell.replace('cell', 'code cell')}, line {one.node.lineno}"
                errors[where] = f"{where}: {type(error).__name__}: {error}"[:300]
                later.append((index, one))
        if len(later) == len(waiting):
            break
        waiting = later
    return list(errors.values())
