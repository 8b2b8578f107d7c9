"""Compile plain functions of a distribution, so that its file needs no compiler to be imported."""

from collections.abc import Callable
from types import FunctionType
from typing import Any


def compiled(function: Callable[..., Any], compiler: Callable[[Any], Any], **names: Any) -> Any:
    """Return a plain function compiled, together with the plain functions that it calls.

    Args:
        function: it and what it calls must be functions at the top level of modules.
        compiler: such as `njit`; each function is compiled by it.
        names: what further global names mean in these functions.
    """
    assert isinstance(function, FunctionType)
    scope = {**function.__globals__, **names}
    for name in function.__code__.co_names:
        if isinstance(scope.get(name), FunctionType):
            scope[name] = compiled(scope[name], compiler, **names)
    copy = FunctionType(function.__code__, scope, function.__name__)
    copy.__annotations__, copy.__doc__ = function.__annotations__, function.__doc__
    return compiler(copy)
