"""Strategies for values of dataclasses with each of their fields drawn, defaults or not.

They follow the annotations, so a new field is drawn as soon as it is there.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

_Value = TypeVar("_Value")

_FEW = 3
_LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False),  # it equals nothing
    str: st.text(max_size=_FEW),
    bytes: st.binary(max_size=_FEW),
    bool: st.booleans(),
    type(None): st.none(),
}


def every(value: type[_Value]) -> st.SearchStrategy[_Value]:
    """Return a strategy for values of *value*, a dataclass."""
    hints = get_type_hints(value)
    drawn = {field.name: _of(hints[field.name]) for field in fields(value)}  # type: ignore[arg-type]
    return st.builds(value, **drawn)


def _of(hint: Any) -> st.SearchStrategy[Any]:
    if hint in _LEAVES:
        return _LEAVES[hint]
    if is_dataclass(hint) and isinstance(hint, type):
        return every(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(hint)
    if isinstance(hint, types.UnionType):
        return st.one_of(*map(_of, get_args(hint)))
    return _collection(get_origin(hint), get_args(hint))


def _collection(origin: Any, inside: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    if origin is tuple and inside[-1] is not ...:
        return st.tuples(*map(_of, inside))
    if origin in {dict, Mapping}:
        return st.dictionaries(_of(inside[0]), _of(inside[1]), max_size=_FEW)
    made: Mapping[Any, Callable[[list[Any]], Any]] = {
        list: list,
        tuple: tuple,
        set: set,
        frozenset: frozenset,
    }
    return st.lists(_of(inside[0]), max_size=_FEW).map(made[origin])
