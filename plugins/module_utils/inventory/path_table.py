# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of many paths: a mapping that takes about a hundred bytes a path, not a thousand.

Paths stand one after the other in one sorted block, and each field of the values in one array. A
table reads like a dict, in order of the paths. Two tables are compared as fast as two sorted lists
are merged: a lookup begins where the last one ended.
"""

from __future__ import annotations

import bisect
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from itertools import chain, zip_longest
from typing import Any, Generic, TypeVar, cast

from .path_block import SHA256, RowForm, SortedPaths, encoded

V = TypeVar("V")
# Rows out of order are kept apart up to this number, or an eighth of the table.
_MOST_LATE = 4096
# A table of so many paths is followed by another one whose paths are almost the same.
_LEAST_FOLLOWED = 10_000


class PathTable(MutableMapping[str, V]):
    """A mapping from paths to values, sorted by path.

    Adding paths in their order is fastest. While one iterates over it, only values of known paths
    may be changed.

    Args:
        form: of the values.
        items: the first paths and values.
    """

    def __init__(
        self, form: RowForm[V], items: Iterable[tuple[str, V]] | Mapping[str, V] = ()
    ) -> None:
        self._form = form
        self._paths = SortedPaths()
        # Whether another table has the same memory, which is copied before it is changed: of the
        # paths, and of which columns.
        self._shares_paths = False
        self._shared: set[int] = set()
        self._columns: list[Any] = form.columns()
        self._late: dict[bytes, V] = {}
        self._gone: set[int] = set()
        self._last = b""
        for path, value in items.items() if isinstance(items, Mapping) else items:
            self[path] = value

    def add(self, path: str, fields: Iterable[Any]) -> None:
        """Add a path by the fields of its value.

        Raises:
            ValueError, OverflowError, TypeError: a field does not fit; nothing was added.
        """
        key = encoded(path)
        if key > self._last or not self._paths:
            while self._shared:
                self._own(next(iter(self._shared)))
            if self._shares_paths:
                self._paths, self._shares_paths = self._paths.copy(), False
            count = len(self._paths)
            try:
                for column, field in zip(self._columns, fields):
                    column.append(field)
            except BaseException:
                self._columns = [column[:count] for column in self._columns]
                raise
            self._paths.append(key)
            self._last = key
            return
        at, found = self._paths.place(key)
        if found:
            for number, field in enumerate(fields):
                if self._columns[number][at] != field:
                    self._own(number)
                    self._columns[number][at] = field
            self._gone.discard(at)
            return
        probe = self._form.columns()
        for column, field in zip(probe, fields):
            column.append(field)
        self._late[key] = self._form.value(path, *(column[0] for column in probe))
        if len(self._late) > max(_MOST_LATE, len(self._paths) >> 3):
            self._merge()

    def _own(self, number: int) -> None:
        """Copy a column that another table has, too, before it is changed."""
        if number in self._shared:
            self._columns[number] = self._columns[number][:]
            self._shared.discard(number)

    def __setitem__(self, path: str, value: V) -> None:
        self.add(path, self._form.fields(value))

    def _find(self, path: str) -> int:
        """Return the row of a path; below 0 where it has none."""
        key = encoded(path)
        if key > self._last:  # most often one that is added next
            return -1
        at, found = self._paths.place(key)
        return at if found and at not in self._gone else -1

    def __getitem__(self, path: str) -> V:
        at = self._find(path)
        if at >= 0:
            return self._form.value(path, *(column[at] for column in self._columns))
        if self._late:
            return self._late[encoded(path)]
        raise KeyError(path)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a path, or the default."""
        at = self._find(key)
        if at >= 0:
            return self._form.value(key, *(column[at] for column in self._columns))
        return self._late.get(encoded(key), default) if self._late else default

    def __contains__(self, path: object) -> bool:
        if not isinstance(path, str):
            return False
        return self._find(path) >= 0 or bool(self._late) and encoded(path) in self._late

    def __delitem__(self, path: str) -> None:
        at = self._find(path)
        if at >= 0:
            self._gone.add(at)
        else:
            del self._late[encoded(path)]

    def __len__(self) -> int:
        return len(self._paths) - len(self._gone) + len(self._late)

    def __iter__(self) -> Iterator[str]:
        if self._stays_apart():
            return (path for path, _value in self._items_apart())
        self._merge()
        return iter(self._paths)

    def items(self) -> Any:
        """Return all paths with their values, in order, as an iterator."""
        if self._stays_apart():
            yield from self._items_apart()
            return
        self._merge()
        value = self._form.value
        for path, *fields in zip(self._paths, *self._columns):
            yield path, value(path, *fields)

    def _stays_apart(self) -> bool:
        """Return whether rows that came late, or are gone, are kept beside shared paths.

        Given their places, each table would have paths of its own.
        """
        return self._shares_paths and bool(self._late or self._gone)

    def _items_apart(self) -> Iterator[tuple[str, V]]:
        late = sorted(self._late.items(), reverse=True)
        value = self._form.value
        for at, (path, *fields) in enumerate(zip(self._paths, *self._columns)):
            if late:
                key = encoded(path)
                while late and late[-1][0] < key:
                    other, found = late.pop()
                    yield other.decode("utf-8", "surrogatepass"), found
            if at not in self._gone:
                yield path, value(path, *fields)
        while late:
            other, found = late.pop()
            yield other.decode("utf-8", "surrogatepass"), found

    def values(self) -> Any:
        """Return all values in the order of their paths, as an iterator."""
        return (value for _path, value in self.items())

    @property
    def field_count(self) -> int:
        """How many fields a value has."""
        return len(self._columns)

    def column(self, number: int) -> Any:
        """Return one field of all values, in the order of the paths; not to be changed."""
        self._merge()
        return self._columns[number]

    def path_at(self, at: int) -> str:
        """Return the path of a row, counted from 0."""
        self._merge()
        return self._paths[at].decode("utf-8", "surrogatepass")

    def row_of(self, path: str) -> int:
        """Return the row of a path, counted from 0; below 0 where it has none."""
        self._merge()
        return self._find(path)

    def following(self, path: str, count: int) -> list[str]:
        """Return so many paths behind one, in their order."""
        self._merge()
        first = bisect.bisect_right(cast("Any", self._paths), encoded(path))
        return [self.path_at(at) for at in range(first, min(first + count, len(self._paths)))]

    def value_at(self, at: int) -> V:
        """Return the value of a row, counted from 0."""
        return self._form.value(self.path_at(at), *(column[at] for column in self._columns))

    def rows_of(self, folder: str) -> range:
        """Return the rows whose paths begin with a folder."""
        self._merge()
        first = bisect.bisect_left(cast("Any", self._paths), encoded(f"{folder}/"))
        # `0` follows `/`.
        return range(first, bisect.bisect_left(cast("Any", self._paths), encoded(f"{folder}0")))

    def count_by_folder(self) -> dict[str, int]:
        """Return how many paths begin with each first folder, without looking at each path."""
        counts: dict[str, int] = {}
        at = 0
        while at < len(self):
            folder, slash, _name = self.path_at(at).partition("/")
            count = len(self.rows_of(folder)) if slash else 1
            counts[folder] = counts.get(folder, 0) + count
            at += count
        return counts

    def view(self, form: RowForm[Any], *numbers: int) -> PathTable[Any]:
        """Return a table of some of the fields; it takes no memory while neither is changed."""
        apart = self._stays_apart()
        if not apart:
            self._merge()
        self._shared.update(numbers)
        made = self._with(form, [self._columns[number] for number in numbers])
        if apart:
            made._gone = set(self._gone)
            for key, value in self._late.items():
                fields = tuple(self._form.fields(value))
                path = key.decode("utf-8", "surrogatepass")
                made._late[key] = form.value(path, *(fields[number] for number in numbers))
        return made

    def extended(self, form: RowForm[Any], *columns: Any) -> PathTable[Any]:
        """Return a table with more fields at the end; as `view` otherwise."""
        self._merge()
        self._shared.update(range(len(self._columns)))
        return self._with(form, [*self._columns, *columns])

    def has_text(self, *texts: str) -> bool:
        """Return whether one of these texts is among the paths, which is seen without each one.

        Rows that are gone may count.
        """
        keys = [encoded(text) for text in texts]
        return any(
            key in self._paths.block or any(key in one for one in self._late) for key in keys
        )

    def without(self, leave_out: Callable[[str], bool]) -> PathTable[V]:
        """Return a table without some of the paths; the same one where none is left out."""
        self._merge()
        made: PathTable[V] = PathTable(self._form)
        made._columns = [column[:0] for column in self._columns]
        begin = 0
        for at, path in enumerate(self._paths):
            if leave_out(path):
                made._copy_rows(self._paths, self._columns, begin, at)
                begin = at + 1
        if not begin:
            return self
        made._copy_rows(self._paths, self._columns, begin, len(self._paths))
        made._last = bytes(made._paths[len(made._paths) - 1]) if made._paths else b""
        return made

    @classmethod
    def sorted_from(
        cls,
        form: RowForm[V],
        rows: Iterable[tuple[str, tuple[Any, ...]]],
        like: PathTable[Any] | None = None,
    ) -> PathTable[V]:
        """Return a table of paths and fields in any order; of one path, the last row counts.

        Args:
            form: of the values.
            rows: the paths and fields.
            like: a table with probably the same paths, as for `TableBuilder`.
        """
        builder = TableBuilder(form, like)
        for path, fields in rows:
            builder.add(path, fields)
        return builder.table()

    def like(self, other: PathTable[Any]) -> PathTable[V]:
        """Return a table of the same rows, which has its paths in the memory of another one."""
        fields = self._form.fields
        rows = ((path, tuple(fields(value))) for path, value in self.items())
        return PathTable.sorted_from(self._form, rows, other)

    def _with(self, form: RowForm[Any], columns: list[Any]) -> PathTable[Any]:
        made: PathTable[Any] = PathTable(form)
        made._paths, made._columns, made._last = self._paths, columns, self._last
        made._shares_paths = self._shares_paths = True
        made._shared = set(range(len(columns)))
        return made

    def share(self, other: PathTable[Any]) -> None:
        """Use the memory of another table for the paths, if they are the same."""
        if self._paths is other._paths:
            return
        self._merge()
        other._merge()
        here, there = self._paths, other._paths
        if here is not there and here.ends == there.ends and here.block == there.block:
            self._paths = there
            self._shares_paths = other._shares_paths = True

    def share_fields(self, other: PathTable[Any], count: int) -> bool:
        """Use the memory of another table for the first fields, if both have the same in all rows.

        Args:
            other: the other table.
            count: how many fields.
        """
        if not self.same_paths(other):
            return False
        self._merge()
        other._merge()
        if any(here != there for here, there in zip(self._columns[:count], other._columns)):
            return False
        self._use_columns(other, count)
        return True

    def share_known_fields(self, other: PathTable[Any], count: int) -> bool:
        """Use the memory of another table for the first fields of the rows that both have.

        Args:
            other: a table whose paths this one has in memory.
            count: how many fields.

        Returns:
            Whether both have the same there; otherwise nothing was done.
        """
        if self._paths is not other._paths or other._gone:
            return False
        for here, there in zip(self._columns[:count], other._columns):
            filled = here[:]
            for at in self._gone:
                filled[at] = there[at]
            if filled != there:
                return False
        self._use_columns(other, count)
        return True

    def _use_columns(self, other: PathTable[Any], count: int) -> None:
        self._columns[:count] = other._columns[:count]
        self._shared.update(range(count))
        other._shared.update(range(count))

    def same_paths(self, other: PathTable[Any]) -> bool:
        """Return whether both tables have the same paths."""
        if self._paths is other._paths:
            return not self._differs_beside(other)
        self.share(other)
        return self._paths is other._paths

    def beside(self, other: PathTable[Any]) -> Iterator[str]:
        """Yield the paths that a table lacks whose memory it has."""
        keys = [bytes(self._paths[at]) for at in other._gone - self._gone]
        for key in sorted([*keys, *(self._late.keys() - other._late.keys())]):
            yield key.decode("utf-8", "surrogatepass")

    def has_memory_of(self, other: PathTable[Any]) -> bool:
        """Return whether the tables share their paths, but for rows that are late or gone."""
        return self._paths is other._paths

    def _differs_beside(self, other: PathTable[Any]) -> bool:
        return self._gone != other._gone or self._late.keys() != other._late.keys()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, PathTable) and other._form.codes == self._form.codes:
            if self._paths is other._paths and (self._stays_apart() or other._stays_apart()):
                return not self._differs_beside(other) and all(
                    one == two for one, two in zip(self.values(), other.values())
                )
            return self.same_paths(other) and self._columns == other._columns
        if not isinstance(other, Mapping):
            return NotImplemented
        return len(self) == len(other) and all(
            path in other and other[path] == value for path, value in self.items()
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"PathTable({dict(self.items())!r})"

    def _merge(self) -> None:
        """Give the rows that came late their places, and drop those that are gone."""
        if not (self._late or self._gone):
            return
        late = sorted(self._late.items())
        # Where rows are put in before (a value) or left out (None).
        changes: list[tuple[int, int, tuple[bytes, V] | None]] = [
            (self._paths.place(key)[0], 0, (key, value)) for key, value in late
        ]
        changes += [(at, 1, None) for at in self._gone]
        changes.sort(key=lambda change: change[:2])
        old, old_columns = self._paths, self._columns
        self._paths, self._columns = SortedPaths(), self._form.columns()
        self._late, self._gone = {}, set()
        self._shares_paths, self._shared = False, set()
        begin = 0
        for at, _order, row in chain(changes, [(len(old), 0, None)]):
            self._copy_rows(old, old_columns, begin, at)
            begin = at
            if row is not None:
                key, value = row
                self._paths.append(key)
                for column, field in zip(self._columns, self._form.fields(value)):
                    column.append(field)
            elif at < len(old):
                begin = at + 1
        self._last = bytes(self._paths[len(self._paths) - 1]) if self._paths else b""

    def _copy_rows(self, old: SortedPaths, old_columns: list[Any], begin: int, end: int) -> None:
        if begin >= end:
            return
        first = old.ends[begin - 1] if begin else 0
        moved = len(self._paths.block) - first
        self._paths.block += old.block[first : old.ends[end - 1]]
        part = old.ends[begin:end]
        self._paths.ends.extend(array("Q", [one + moved for one in part]) if moved else part)
        for column, source in zip(self._columns, old_columns):
            column.extend(source[begin:end])


class TableBuilder(Generic[V]):
    """Builds a table of paths in any order; of one path, the last row counts.

    Args:
        form: of the values.
        like: a table with probably almost the same paths: as long as they are, its memory is used.
        exact: whether the paths are all the same or all in memory of their own, as for a table
            that others are made like.
    """

    def __init__(
        self, form: RowForm[V], like: PathTable[Any] | None = None, *, exact: bool = False
    ) -> None:
        self._form = form
        self._made: PathTable[V] = PathTable(form)
        self._own = self._made._paths
        self._like: SortedPaths | None = None
        if like is not None:
            if not like._stays_apart():
                like._merge()
            self._like, self._other = like._paths, like
            self._zeros = ["" if code == SHA256 else 0 for code in form.codes]
            # Rows of the other table that this one lacks, and the other way round.
            most = max(_MOST_LATE, len(like._paths) >> 3)
            follows = len(like._paths) >= _LEAST_FOLLOWED and not exact
            self._most_beside = most if follows else 0
        self._count = 0
        self._last = b""
        self._is_sorted = True

    def add(self, path: str, fields: Iterable[Any]) -> None:
        """Add a path by the fields of its value.

        Raises:
            ValueError, OverflowError, TypeError: a field does not fit; the table is of no use then.
        """
        key = encoded(path)
        if self._like is not None:
            if self._count < len(self._like) and self._like[self._count] == key:
                for column, field in zip(self._made._columns, fields):
                    column.append(field)
                self._count += 1
                self._last = key
                return
            if self._went_on(path, key, tuple(fields)):
                return
            fields = self._pending
        for column, field in zip(self._made._columns, fields):
            column.append(field)
        self._is_sorted = self._is_sorted and (key > self._last or not self._own)
        self._own.append(key)
        self._last = key

    def _went_on(self, path: str, key: bytes, fields: tuple[Any, ...]) -> bool:
        """Add a path beside those of the other table; return whether it is followed still."""
        like, made, self._pending = cast("SortedPaths", self._like), self._made, fields
        if key > self._last or not (self._count or made._late):
            gone = self._count
            while gone < len(like) and like[gone] < key and gone - self._count <= self._most_beside:
                gone += 1
            if gone - self._count + len(made._gone) + len(made._late) < self._most_beside:
                self._lack(gone)
                self._last = key
                if gone < len(like) and like[gone] == key:
                    for column, field in zip(made._columns, fields):
                        column.append(field)
                    self._count += 1
                else:
                    probe = self._form.columns()
                    for column, field in zip(probe, fields):
                        column.append(field)
                    made._late[key] = self._form.value(path, *(column[0] for column in probe))
                return True
        self._follow_no_longer()
        return False

    def _lack(self, end: int) -> None:
        """Note that the table lacks the other one's rows up to one."""
        for at in range(self._count, end):
            for column, zero in zip(self._made._columns, self._zeros):
                column.append(zero)
            self._made._gone.add(at)
        self._count = end

    def _follow_no_longer(self) -> None:
        """Copy the paths that were those of the other table so far."""
        like, made = self._like, self._made
        if like is not None and self._count:
            made._paths.ends = like.ends[: self._count]
            made._paths.block = like.block[: made._paths.ends[-1]]
        made._merge()
        self._own = made._paths
        self._last = bytes(self._own[len(self._own) - 1]) if self._own else b""
        self._like = None

    def table(self) -> PathTable[V]:
        """Return the table; nothing may be added afterwards."""
        made, like = self._made, self._like
        if like is not None:
            left = len(like) - self._count
            if not left or left + len(made._gone) + len(made._late) < self._most_beside:
                self._lack(len(like))
                made._paths = like
                made._last = max((bytes(like[len(like) - 1]) if like else b"", *made._late))
                made._shares_paths = self._other._shares_paths = True
                return made
            self._follow_no_longer()
        made._last = self._last
        return made if self._is_sorted else self._sorted(made)

    def _sorted(self, made: PathTable[V]) -> PathTable[V]:
        block = made._paths
        order = sorted(range(len(block)), key=lambda at: bytes(block[at]))
        result: PathTable[V] = PathTable(self._form)
        for at, after in zip_longest(order, order[1:]):
            key = bytes(block[at])
            if after is None or block[after] != key:
                result._paths.append(key)
                for column, source in zip(result._columns, made._columns):
                    column.append(source[at])
                result._last = key
        return result


def only_in(table: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    """Yield the paths of one mapping that another one lacks."""
    if isinstance(table, PathTable) and isinstance(other, PathTable):
        if table.has_memory_of(other):
            yield from table.beside(other)
            return
        if table.same_paths(other):
            return
    for path in table:
        if path not in other:
            yield path


SIZES: RowForm[int] = RowForm("q", lambda size: (size,), lambda _path, size: cast("int", size))


def total_bytes(sizes: Mapping[str, int]) -> int:
    """Return the sum of sizes; of a table without looking at its paths."""
    return sum(sizes.column(0) if isinstance(sizes, PathTable) else sizes.values())


# Size, and time of change in nanoseconds.
STATES: RowForm[tuple[int, int]] = RowForm(
    "qq", lambda state: state, lambda _path, size, mtime: (size, mtime)
)
# Size, time of change, inode, and time of the inode's change.
IDENTITIES: RowForm[tuple[int, int, int, int]] = RowForm(
    "qqQq", lambda identity: identity, lambda _path, *fields: cast("Any", fields)
)


# A SHA-256 by path.
DIGESTS: RowForm[str] = RowForm(
    SHA256, lambda digest: (digest,), lambda _path, digest: cast("str", digest)
)
