# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the checks of one validation share: what must be there and what is, each read once."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional

from ..backup import database_settings
from ..backup.expectation import Expectation
from ..checks.checks import Evidence
from ..checks.findings import Finding, IgnoreRule
from ..common.messages import _, join
from ..common.settings import option
from ..database import access, parallel_queries, structure
from ..database.catalogue import Catalogue, ForeignKey, ObjectName
from ..database.connection import driver, identifier

# Tables counted by one query.
BATCH = 100


@dataclasses.dataclass(frozen=True)
class ValidationSettings:
    """Settings of the checks.

    Attributes:
        tenant_query: SQL that returns the name of every tenant's schema; None skips the check.
        tenant_prefix: of the schemas of tenants.
        foreign_keys: `not_valid` follows the rows of keys that PostgreSQL has not validated,
            `all` those of every key.
        queries: named SQL with the rows that it must return.
        amcheck: whether every B-tree index is checked block by block, where amcheck is installed.
        ignore: rules of findings to ignore.
    """

    tenant_query: Optional[str] = None
    tenant_prefix: str = "tenant_"
    foreign_keys: str = option("not_valid", choices=("not_valid", "all"))
    queries: Sequence[Mapping[str, Any]] = ()
    amcheck: bool = False
    ignore: Sequence[IgnoreRule] = ()


class CheckContext:
    """What a database holds and what it must hold."""

    def __init__(
        self, catalogue: Catalogue, expected: Expectation, settings: ValidationSettings
    ) -> None:
        self.catalogue, self.expected, self.settings = catalogue, expected, settings

    @functools.cached_property
    def schemas(self) -> set[ObjectName]:
        """Every schema."""
        return self.catalogue.schemas()

    @functools.cached_property
    def tables(self) -> set[ObjectName]:
        """Tables, partitioned and foreign ones among them."""
        return self.catalogue.relations("rpf")

    @functools.cached_property
    def indexes(self) -> dict[ObjectName, bool]:
        """Indexes, and whether each is usable."""
        return self.catalogue.indexes()

    @functools.cached_property
    def foreign_keys(self) -> list[ForeignKey]:
        """As `Catalogue.foreign_keys` gives them."""
        return self.catalogue.foreign_keys()

    @functools.cached_property
    def partitioned(self) -> set[ObjectName]:
        """Partitioned tables, which have no rows of their own."""
        return self.catalogue.relations("p")

    @functools.cached_property
    def partitions(self) -> dict[ObjectName, list[tuple[ObjectName, bool]]]:
        """As `Catalogue.partitions` returns them."""
        return self.catalogue.partitions()

    @functools.cached_property
    def keys(self) -> dict[ObjectName, bool]:
        """Primary keys, unique and exclusion constraints.

        An entry of a table of contents does not record which of them it is.
        """
        return self.catalogue.constraints("pux")

    @functools.cached_property
    def production(self) -> structure.Structure:
        """The definitions of production, as the manifest has them."""
        return structure.from_dict(self.expected.structure)

    @functools.cached_property
    def differences(self) -> list[structure.Difference]:
        """What is defined otherwise than in production; nothing where no manifest is."""
        if not self.expected.structure:
            return []
        after = structure.restored(self.catalogue.connection, self.production)
        return list(structure.differences(self.production, after, names_only=not self.same_major))

    @functools.cached_property
    def access_differences(self) -> list[structure.Difference]:
        """Who owns or may do what otherwise than in production, where that was restored."""
        if not self.expected.access:
            return []
        before = structure.from_dict(self.expected.access)
        after = access.restored(self.catalogue.connection, before)
        return access.differences(before, after, database_settings.MEANING)

    @property
    def same_major(self) -> bool:
        """Whether production's PostgreSQL, as the manifest names it, is of this major version."""
        here = self.catalogue.connection.server_version // 10000
        return self.expected.digest_version.split(".")[0] == str(here)

    def was_not_valid(self, key: ForeignKey) -> bool:
        """Return whether production, too, had a foreign key that it had not validated."""
        if not self.expected.structure:
            return False
        names = "SELECT quote_ident(%s), quote_ident(%s) || '.' || quote_ident(%s)"
        schema, name = self.catalogue.rows(names, *key[:3])[0]
        text = structure.definition(self.production, (key.schema, schema), "constraint", name)
        return text is not None and text.endswith(" NOT VALID")

    @functools.cached_property
    def rows(self) -> dict[ObjectName, int]:
        """Rows of every table that must be there and is."""
        sql = driver().sql

        tables = sorted(self.expected.tables & self.catalogue.relations("r"))
        # The rows of a partitioned table are its partitions'.
        counts: dict[ObjectName, int] = dict.fromkeys(self.partitioned, 0)

        def count(connection: Any, batch: list[ObjectName]) -> list[tuple[ObjectName, int]]:
            # ONLY: rows of a child table are the child's.
            query = sql.SQL(" UNION ALL ").join(
                sql.SQL("SELECT {}, count(*) FROM ONLY {}").format(
                    sql.Literal(number), identifier(*table)
                )
                for number, table in enumerate(batch)
            )
            return [(batch[at], rows) for at, rows in Catalogue(connection).rows(query)]

        batches = [tables[start : start + BATCH] for start in range(0, len(tables), BATCH)]
        for counted in parallel_queries.each(self.catalogue.connection, batches, count):
            counts.update(counted)
        return counts

    @property
    def tenants(self) -> list[str]:
        """The schemas of tenants, recognised by their prefix."""
        prefix = self.settings.tenant_prefix
        return sorted(name for (name,) in self.schemas if name.startswith(prefix))


def dotted_name(key: Iterable[str]) -> str:
    """Return a name for people: `schema.table.name`."""
    return ".".join(key)


def presence_evidence(
    what: str,
    missing: str,
    expected: set[ObjectName],
    found: Iterable[ObjectName],
    *,
    unexpected: str = "",
    extra: Iterable[ObjectName] = (),
    present: int = 0,
) -> Evidence:
    """Return evidence of which expected names exist.

    Args:
        what: the kind of object, plural.
        missing: the kind of finding for what is not there.
        expected, found: keys.
        unexpected: the kind of finding for `extra`.
        extra: what is there and must not be.
        present: how many more were expected and found.
    """
    there = {_tag(key) for key in found}
    lost = [
        Finding(missing, dotted_name(key), _("%(what)s is missing", what=dotted_name(key)))
        for key in sorted(expected)
        if _tag(key) not in there
    ]
    more = [
        Finding(
            unexpected, dotted_name(key), _("%(what)s is not in the backup", what=dotted_name(key))
        )
        for key in sorted(extra)
    ]
    evidence = _(
        "%(found)d/%(expected)d %(what)s",
        found=present + len(expected) - len(lost),
        expected=present + len(expected),
        what=what,
    )
    return Evidence(evidence, [*lost, *more])


def _tag(key: Sequence[str]) -> tuple[str, str]:
    """Return a name as a table of contents has it.

    That separates a table from what belongs to it by a space, which names may contain as well.
    """
    return key[0], " ".join(key[1:])


def combined_evidence(parts: Sequence[Evidence]) -> Evidence:
    """Return the evidence of several parts of one check."""
    evidence = join(part.evidence for part in parts)
    return Evidence(evidence, [found for part in parts for found in part.findings])
