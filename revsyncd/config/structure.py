"""From a TOML table to values: cattrs with strict readers, and its errors as problems with a place."""

import copy
import dataclasses
import enum
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from cattrs import (
    AttributeValidationNote,
    BaseValidationError,
    Converter,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn, override

from revsyncd.config.model import Config
from revsyncd.config.secrets import SecretRef
from revsyncd.config.values import Reader, Unusable, boolean, near, one_of, shown, string
from revsyncd.core.template import ColumnType, Kind

Table = dict[str, Any]
Place = tuple[str | int, ...]
Hook = Callable[[Any, Any], Any]
T = TypeVar("T")

_MOST_ROUNDS = 8  # each mends what the one before found; three were the most ever needed


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem: `places` are the keys it is about, the first being where it is shown."""

    places: tuple[Place, ...]
    text: str
    example: object = None  # what to put there to go on looking, where a key is missing

    @property
    def place(self) -> Place:
        """Where the problem is shown."""
        return self.places[0]

    def __str__(self) -> str:
        return f"{dotted(self.place)}: {self.text}" if self.place else self.text


def dotted(place: Place) -> str:
    """A place as TOML writes it: `templates.orders.include, entry 2`; entries count from 1."""
    words = ""
    for step in place:
        if isinstance(step, int):
            words += f", entry {step + 1}"
        else:
            key = step if re.fullmatch(r"[A-Za-z0-9_-]+", step) else shown(step)
            words += f"{_glue(words)}{key}"
    return words


def _glue(words: str) -> str:
    if not words:
        return ""
    return ", " if re.search(r", entry \d+$", words) else "."


def structure(table: Table, into: type[T]) -> tuple[T | None, list[Problem]]:
    """Read `table` into the dataclass `into`; returns it with every problem found.

    With problems, the value has defaults or examples where they were, so that the checks between
    keys can still say something about the rest; it must not be used for anything else.
    """
    problems: list[Problem] = []
    for _ in range(_MOST_ROUNDS):
        try:
            return _CONVERTER.structure(table, into), problems
        except BaseValidationError as error:
            found = list(_problems(error, into, ()))
            problems += [p for p in found if not any(_touch(p, known) for known in problems)]
            table = _mended(table, found)
    return None, problems


def keys(of: type[Any]) -> dict[str, dataclasses.Field[Any]]:
    """The keys of the table that a dataclass stands for."""
    return {f.name: f for f in dataclasses.fields(of) if f.metadata.get("key", True)}


def _touch(one: Problem, other: Problem) -> bool:
    """Whether one is at, in or around the other's place: then mending that one brought it about."""
    return all(a == b for a, b in zip(one.place, other.place, strict=False))


def _mended(table: Table, problems: Iterable[Problem]) -> Table:
    """A copy without the values at fault and with examples for what is missing."""
    copied = copy.deepcopy(table)
    for problem in problems:
        steps = list(_until_entry(problem.place))
        inner = copied
        for step in steps[:-1]:
            inner = inner.get(step, {})
        inner.pop(steps[-1], None)
        if problem.example is not None:
            inner[steps[-1]] = copy.deepcopy(problem.example)
    return copied


def _until_entry(place: Place) -> Iterator[str]:
    for step in place:
        if isinstance(step, int):
            return
        yield step


def _problems(error: BaseException, table: type[Any] | None, place: Place) -> Iterator[Problem]:
    """Every leaf of an error tree; `table` is the dataclass whose keys `place` leads into."""
    match error:
        case IterableValidationError():
            for inner, note in error.group_exceptions()[0]:
                yield from _problems(inner, None, (*place, note.index))
        case BaseValidationError():
            yield from _table_problems(error, error.cl, place)
        case ForbiddenExtraKeysError():
            for key in sorted(error.extra_fields):
                yield Problem(((*place, key),), _unknown(key, error.cl))
        case KeyError() if table is not None:
            yield _missing(table, place)
        case _:
            yield Problem((place,), str(error))


def _table_problems(
    error: BaseValidationError, table: type[Any], place: Place
) -> Iterator[Problem]:
    for inner in error.exceptions:
        note = next((n for n in _notes(inner) if isinstance(n, AttributeValidationNote)), None)
        within = (*place, note.name) if note else place
        yield from _problems(inner, table, within)


def _notes(error: BaseException) -> list[Any]:
    return getattr(error, "__notes__", [])


def _missing(table: type[Any], place: Place) -> Problem:
    key = str(place[-1])
    example = keys(table)[key].metadata.get("example")
    if example is None:
        return Problem((place,), "is missing; add it")
    if isinstance(example, dict):
        return Problem((place,), f"is missing; add the section [{dotted(place)}]", example)
    return Problem((place,), f"is missing; write {key} = {shown(example)}", example)


def _unknown(key: str, table: type[Any]) -> str:
    """Why a key is not known, with the likeliest one that is."""
    hint = _at_home_elsewhere(key) or near(key, keys(table))
    return f"unknown key{hint or '; take it out'}"


def _at_home_elsewhere(key: str) -> str:
    """A key below the wrong section is the commonest slip in TOML."""
    home = dict(_homes(Config, "")).get(key)
    return f"; it belongs {home}" if home else ""


def _homes(table: type[Any], section: str) -> Iterator[tuple[str, str]]:
    """Every key of the configuration with where it stands."""
    for name, entry in keys(table).items():
        inner = _inner_table(entry.type)
        if inner is None:
            yield name, f"below [{section}]" if section else "above the first [section]"
        else:
            step = f"{name}.<name>" if get_origin(entry.type) is dict else name
            yield from _homes(inner, f"{section}.{step}" if section else step)


def _inner_table(kind: Any) -> type[Any] | None:
    inner = get_args(kind)[-1] if get_origin(kind) is dict else kind
    return inner if _is_table(inner) and inner is not SecretRef else None


def _reader(kind: Any) -> Reader | None:
    """The reader that an annotated type names."""
    if get_origin(kind) is not Annotated:
        return None
    return next((mark for mark in kind.__metadata__ if isinstance(mark, Reader)), None)


def _annotated_hook(kind: Any, _: Converter) -> Hook:
    reader = _reader(kind)
    assert reader is not None  # noqa: S101  (the predicate has looked)
    read = reader.read
    return lambda value, _: read(value)


def _literal_hook(kind: Any, _: Converter) -> Hook:
    words = get_args(kind)
    return lambda value, _: one_of(value, words)


def _member(value: Any, kind: type[enum.Enum]) -> enum.Enum:
    return kind(one_of(value, [member.value for member in kind]))


def _list_hook(kind: Any, converter: Converter) -> Hook:
    item = get_args(kind)[0]
    read = converter.get_structure_hook(item)

    def hook(value: Any, _: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise Unusable(f"{shown(value)} is not a list; put it in brackets")
        return tuple(found for _, found in _each(enumerate(value), item, read))

    return hook


def _entries_hook(kind: Any, converter: Converter) -> Hook:
    """A table whose keys the user chooses: each key is read, and each value."""
    key_type, item = get_args(kind)
    read_key, read = converter.get_structure_hook(key_type), converter.get_structure_hook(item)

    def both(entry: Any, _: Any) -> tuple[Any, Any]:
        return read_key(entry[0], key_type), read(entry[1], item)

    def hook(value: Any, _: Any) -> dict[Any, Any]:
        if not isinstance(value, dict):
            raise Unusable(f"{shown(value)} is not a table; write its entries below a [section]")
        entries = ((key, (key, inner)) for key, inner in value.items())
        return dict(pair for _, pair in _each(entries, item, both))

    return hook


def _each(
    values: Iterable[tuple[str | int, Any]], kind: Any, read: Hook
) -> list[tuple[str | int, Any]]:
    """Read every value, then raise all that went wrong as cattrs does: one error a place."""
    found: list[tuple[str | int, Any]] = []
    errors: list[Exception] = []
    for index, value in values:
        try:
            found.append((index, read(value, kind)))
        except (Unusable, BaseValidationError) as error:
            error.add_note(IterableValidationNote(f"at {index!r}", index, kind))
            errors.append(error)
    if errors:
        raise IterableValidationError("entries can't be used", errors, list)
    return found


def _table_hook(kind: Any, converter: Converter) -> Hook:
    hidden: dict[str, Any] = {
        f.name: override(omit=True) for f in dataclasses.fields(kind) if f.name not in keys(kind)
    }
    read = make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True, **hidden)

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise Unusable("is not a table; write its keys below a [section]")
        return read(value, kind)

    return hook


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def _made_of(origin: object) -> Callable[[Any], bool]:
    return lambda kind: get_origin(kind) is origin


def _converter() -> Converter:
    """A converter that converts nothing silently: no number becomes a string, no string a list."""
    converter = Converter(forbid_extra_keys=True, detailed_validation=True)
    converter.register_structure_hook_factory(_is_table, _table_hook)
    converter.register_structure_hook_factory(_made_of(Literal), _literal_hook)
    converter.register_structure_hook_factory(_made_of(tuple), _list_hook)
    converter.register_structure_hook_factory(_made_of(dict), _entries_hook)
    converter.register_structure_hook_factory(
        lambda kind: _reader(kind) is not None, _annotated_hook
    )
    converter.register_structure_hook(str, lambda value, _: string(value))
    converter.register_structure_hook(bool, lambda value, _: boolean(value))
    # By name: cattrs takes an enumeration of strings for a string.
    for kind in (Kind, ColumnType):
        converter.register_structure_hook(kind, _member)
    converter.register_structure_hook(SecretRef, lambda value, _: SecretRef.read(value))
    return converter


_CONVERTER = _converter()
