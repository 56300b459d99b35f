"""Reads the parameters of a ``_target_`` from its source, without importing it (and so without torch).

Annotations are evaluated in a namespace of plain types, ``Literal`` and the names of ``ranges``. A parameter
whose annotation needs other names of ganexp or torch (``Parts``, ``Tensor``) is not a setting: ganexp itself
passes its value.
"""

import ast
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ganexp.config import ranges

_PLAIN = {kind.__name__: kind for kind in (bool, int, float, str, list, dict)}
_NAMESPACE = vars(ranges) | _PLAIN | {"Literal": Literal, "Any": Any, "__builtins__": {}}


class Parameter(NamedTuple):
    """One setting: its annotation, and whether it is required."""

    annotation: Any
    required: bool


Settings = dict[str, Parameter]


@cache
def settings_of(target: str) -> Settings | None:
    """The settings of the class or function at a dotted path, by name.

    None if its source does not tell (a compiled module, ``**kwargs``). Raises LookupError if the module or the
    name in it does not exist.
    """
    module, _, name = target.rpartition(".")
    tree = _parse(module)
    if tree is None:
        return None
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return _class_settings(node, module, tree)
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return _function_settings(node, module, tree)
    raise LookupError(f"{module} defines no {name}")


@cache
def constant_of(target: str, name: str) -> Any:
    """The literal that a class, or the nearest of its bases, assigns to ``name``; None if there is none.

    Bases are searched level by level, so that one that several classes share comes after these. Raises
    LookupError if the class's module does not exist.
    """
    level = [target]
    while level:
        bases: list[str] = []
        for path in level:
            module = path.rpartition(".")[0]
            tree = _parse(module)
            for node in tree.body if tree else []:
                if isinstance(node, ast.ClassDef) and node.name == path.rpartition(".")[2]:
                    if (value := _assigned(node, name)) is not None:
                        return value
                    known = (_base_path(base, module, tree) for base in node.bases)
                    bases += [base for base in known if base is not None]
        level = bases
    return None


def _assigned(node: ast.ClassDef, name: str) -> Any:
    """The literal that the body of a class assigns to ``name``; None if there is none."""
    for item in node.body:
        targets = [item.target] if isinstance(item, ast.AnnAssign) else getattr(item, "targets", [])
        if any(isinstance(found, ast.Name) and found.id == name for found in targets):
            return _literal(getattr(item, "value", None))
    return None


def _literal(value: ast.expr | None) -> Any:
    try:
        return None if value is None else ast.literal_eval(value)
    except ValueError:
        return None  # not a literal: computed when the module is imported


def _base_path(base: ast.expr, module: str, tree: ast.Module | None) -> str | None:
    """The dotted path of a base class that is written as ``Class`` or ``module.Class``.

    None for torch's classes: ``nn.Module`` has no settings.
    """
    if tree is None:
        return None
    if isinstance(base, ast.Name):
        return _from_imports(tree).get(base.id, f"{module}.{base.id}")
    if not isinstance(base, ast.Attribute):
        return None
    owner, _, name = ast.unparse(base).rpartition(".")
    path = (_from_imports(tree) | _module_imports(tree)).get(owner)
    return None if path is None or path.split(".")[0] == "torch" else f"{path}.{name}"


@cache
def _parse(module: str) -> ast.Module | None:
    """The syntax tree of a module. Found by path, because ``find_spec`` of a submodule imports its parents."""
    top, *inner = module.split(".")
    spec = importlib.util.find_spec(top) if top else None
    if spec is None:
        raise LookupError(f"there is no package {top!r}")
    folders = spec.submodule_search_locations
    if folders is None:
        file = Path(spec.origin or "")
    else:
        path = Path(folders[0]).joinpath(*inner)
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if file.is_file() and file.suffix == ".py":
        try:
            return ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError) as error:
            raise LookupError(f"{file} is not Python: {error}") from None
    if top == "ganexp":
        raise LookupError(f"there is no module {module}")
    return None


def _class_settings(node: ast.ClassDef, module: str, tree: ast.Module) -> Settings | None:
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return _function_settings(item, module, tree)
    inherited: Settings = {}
    for base in node.bases:  # without __init__, a class inherits its base's parameters
        known = _base_path(base, module, tree)
        if known is not None and (found := _settings_of_base(known)) is not None:
            inherited |= found
        elif known is not None:
            return None
    if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        fields = [item for item in node.body if isinstance(item, ast.AnnAssign) and _is_setting(item)]
        names = [(item.target.id, item) for item in fields if isinstance(item.target, ast.Name)]
        return inherited | _evaluate_settings(
            [(name, f.annotation, f.value) for name, f in names], module, tree
        )
    return inherited


def _is_setting(item: ast.AnnAssign) -> bool:
    """Whether a field of a dataclass is an argument of its constructor."""
    value = "" if item.value is None else ast.unparse(item.value).replace(" ", "")
    return (
        not ast.unparse(item.annotation).startswith(("ClassVar", "typing.ClassVar"))
        and "init=False" not in value
    )


def _settings_of_base(target: str) -> Settings | None:
    """The settings of a base class; None if its source does not define it (compiled, or created on import)."""
    try:
        return settings_of(target)
    except LookupError:
        return None


def _from_imports(tree: ast.Module) -> dict[str, str]:
    """The dotted path behind each name that the module imports with ``from``."""
    return {
        alias.asname or alias.name: f"{statement.module}.{alias.name}"
        for statement in tree.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }


def _module_imports(tree: ast.Module) -> dict[str, str]:
    """The dotted path behind each name that the module imports with ``import``."""
    statements = [statement for statement in tree.body if isinstance(statement, ast.Import)]
    return {alias.asname or alias.name: alias.name for s in statements for alias in s.names}


def _function_settings(node: ast.FunctionDef, module: str, tree: ast.Module) -> Settings | None:
    arguments = node.args
    if arguments.kwarg is not None:
        return None
    positional = arguments.posonlyargs + arguments.args
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list[ast.expr | None](arguments.defaults)
    pairs = list(zip(positional, defaults, strict=True))
    pairs += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    fields = [(a.arg, a.annotation, default) for a, default in pairs if a.arg != "self"]
    return _evaluate_settings(fields, module, tree)


def _evaluate_settings(
    fields: list[tuple[str, ast.expr | None, ast.expr | None]], module: str, tree: ast.Module
) -> Settings:
    """The settings among (name, annotation, default) triples."""
    found: Settings = {}
    for name, written, default in fields:
        try:
            annotation = eval(ast.unparse(written or ast.Name("Any")), dict(_NAMESPACE))
        except (NameError, AttributeError):
            if module.startswith("ganexp.") or _uses_program_type(written, tree):
                continue
            annotation = Any
        found[name] = Parameter(annotation, required=default is None)
    return found


def _uses_program_type(annotation: ast.expr | None, tree: ast.Module) -> bool:
    """Whether an annotation of a class outside ganexp uses a type of ganexp or torch."""
    names = {node.id for node in ast.walk(annotation or ast.Name("Any")) if isinstance(node, ast.Name)}
    known = _module_imports(tree) | _from_imports(tree)
    origins = [known.get(name, "") for name in names]
    return any(origin.split(".")[0] in ("ganexp", "torch") for origin in origins)
