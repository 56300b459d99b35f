"""ganexp: a laboratory for generative adversarial networks, on the command line and from Python.

``import ganexp`` loads none of its modules: ``load``, ``train`` and ``runs`` of ``ganexp/api.py`` are imported
when they are first used.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganexp.api import RunList, TrainedRun, load, runs, train
    from ganexp.errors import UserError

__version__ = "0.1.0"

__all__ = ["RunList", "TrainedRun", "UserError", "__version__", "load", "runs", "train"]

_MODULE_OF = dict.fromkeys(["RunList", "TrainedRun", "load", "runs", "train"], "ganexp.api")
_MODULE_OF["UserError"] = "ganexp.errors"


def __getattr__(name: str) -> Any:
    """A name of the interface, imported when it is first used (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _CallableModule(ModuleType):
    """A module that can be called like the function of ``ganexp.api`` with its name."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(import_module("ganexp.api"), self.__name__.rpartition(".")[2])(*args, **kwargs)


class _Package(ModuleType):
    """This package. ``ganexp.train`` and ``ganexp.runs`` name a function each, and a module each.

    When the module is imported, Python assigns it to this name, where it hides the function: so it is made
    callable. ``import ganexp.train as training`` always gives the module.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if name in _MODULE_OF and isinstance(value, ModuleType):
            value.__class__ = _CallableModule
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
