# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of other schemas depends on a tenant's: views, functions, defaults, publications and others.

PostgreSQL binds them to objects and not to names, so after a switch by renaming they would go on
with the old rows. `pg_depend` lists them all. Those that can be made again by what PostgreSQL
itself prints of them are, in the transaction of the switch; any other one refuses it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from ..database.connection import driver

# First version with row filters, column lists and schemas in publications.
PUBLICATION_FILTERS = 150000


@dataclasses.dataclass(frozen=True)
class Dependant:
    """One object of elsewhere that depends on the schema.

    Attributes:
        name: as PostgreSQL describes it.
        before: statements to run before the schemas change their names.
        after: statements to run afterwards, which make it depend on what has the name then; none
            where that cannot be done by statements.
    """

    name: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


# Objects of a schema by catalogue, and where their schema stands.
_HOMES = (
    *(("pg_class", "relnamespace"), ("pg_type", "typnamespace"), ("pg_proc", "pronamespace")),
    *(("pg_operator", "oprnamespace"), ("pg_opclass", "opcnamespace")),
    *(("pg_opfamily", "opfnamespace"), ("pg_collation", "collnamespace")),
    *(("pg_conversion", "connamespace"), ("pg_constraint", "connamespace")),
    *(("pg_statistic_ext", "stxnamespace"), ("pg_ts_config", "cfgnamespace")),
    *(("pg_ts_dict", "dictnamespace"), ("pg_ts_parser", "prsnamespace")),
    *(("pg_ts_template", "tmplnamespace"),),
)
# Parts of a table, and where the table stands.
_PARTS = (("pg_attrdef", "adrelid"), ("pg_rewrite", "ev_class"), ("pg_policy", "polrelid"))
_HELD = " UNION ALL ".join(
    [
        "SELECT 'pg_catalog.pg_namespace'::regclass::oid, oid FROM pg_catalog.pg_namespace"
        " WHERE nspname = %(schema)s",
        *(
            f"SELECT 'pg_catalog.{catalogue}'::regclass::oid, t.oid FROM pg_catalog.{catalogue} t"
            f" JOIN pg_catalog.pg_namespace n ON n.oid = {column} WHERE nspname = %(schema)s"
            for catalogue, column in _HOMES
        ),
    ]
)
_HOME_OF = " ".join(
    [
        *(
            f"WHEN 'pg_catalog.{catalogue}'::regclass THEN"
            f" (SELECT {column} FROM pg_catalog.{catalogue} WHERE oid = d.objid)"
            for catalogue, column in _HOMES
        ),
        # The triggers of a foreign key are where the key is, also those on the other table.
        "WHEN 'pg_catalog.pg_trigger'::regclass THEN (SELECT CASE WHEN tgisinternal"
        " THEN (SELECT connamespace FROM pg_catalog.pg_constraint WHERE oid = tgconstraint)"
        " ELSE (SELECT relnamespace FROM pg_catalog.pg_class WHERE oid = tgrelid) END"
        " FROM pg_catalog.pg_trigger WHERE oid = d.objid)",
        *(
            f"WHEN 'pg_catalog.{catalogue}'::regclass THEN"
            f" (SELECT relnamespace FROM pg_catalog.{catalogue} p"
            f" JOIN pg_catalog.pg_class c ON c.oid = {column} WHERE p.oid = d.objid)"
            for catalogue, column in _PARTS
        ),
        "WHEN 'pg_catalog.pg_default_acl'::regclass THEN"
        " (SELECT defaclnamespace FROM pg_catalog.pg_default_acl WHERE oid = d.objid)",
        "WHEN 'pg_catalog.pg_amop'::regclass THEN (SELECT opfnamespace FROM pg_catalog.pg_amop p"
        " JOIN pg_catalog.pg_opfamily f ON f.oid = amopfamily WHERE p.oid = d.objid)",
        "WHEN 'pg_catalog.pg_amproc'::regclass THEN (SELECT opfnamespace FROM pg_catalog.pg_amproc"
        " p JOIN pg_catalog.pg_opfamily f ON f.oid = amprocfamily WHERE p.oid = d.objid)",
    ]
)
# A toast table lies in a schema of its own, and temporary objects end with their session.
_DEPENDANTS = f"""
    WITH held (classid, objid) AS ({_HELD}),
    found AS (
        SELECT DISTINCT d.classid, d.objid, CASE d.classid {_HOME_OF} END AS home
        FROM pg_catalog.pg_depend d JOIN held h
        ON h.classid = d.refclassid AND h.objid = d.refobjid
    )
    SELECT classid::regclass::text, objid, pg_describe_object(classid, objid, 0)
    FROM found LEFT JOIN pg_catalog.pg_namespace n ON n.oid = home
    WHERE nspname IS DISTINCT FROM %(schema)s
    -- That of a partition is made again with the one of its partitioned table.
    AND NOT (classid = 'pg_catalog.pg_constraint'::regclass AND EXISTS (SELECT
        FROM pg_catalog.pg_constraint c WHERE c.oid = found.objid AND conparentid <> 0
        AND contype = 'f'))
    AND (nspname IS NULL OR nspname !~ '^pg_(toast|temp)')
    ORDER BY classid = 'pg_catalog.pg_constraint'::regclass, 3
"""
# Tables into which a subscription writes; no dependency is recorded of them.
_SUBSCRIBED = """
    SELECT DISTINCT subname FROM pg_catalog.pg_subscription_rel r
    JOIN pg_catalog.pg_subscription s ON s.oid = srsubid
    JOIN pg_catalog.pg_class c ON c.oid = srrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace WHERE nspname = %(schema)s ORDER BY 1
"""


def find(cursor: Any, schema: str) -> list[Dependant]:
    """Return what of other schemas depends on this one.

    Args:
        cursor: in a transaction, whose search path becomes empty, so that PostgreSQL prints every
            name with its schema.
        schema: the schema.
    """
    cursor.execute("SET LOCAL search_path = ''")
    cursor.execute(_DEPENDANTS, {"schema": schema})
    found = []
    for catalogue, number, name in cursor.fetchall():
        remake = _REMAKE.get(catalogue)
        before, after = remake(cursor, number) if remake else ((), ())
        # The rule of that name is the view itself.
        name = str(name).removeprefix("rule _RETURN on ")
        found.append(Dependant(name, tuple(before), tuple(after)))
    cursor.execute(_SUBSCRIBED, {"schema": schema})
    found += [Dependant(f"subscription {name}") for (name,) in cursor.fetchall()]
    return found


Statements = tuple[list[str], list[str]]
NONE: Statements = ([], [])


def _row(cursor: Any, query: str, number: int) -> Any:
    cursor.execute(query, {"oid": number})
    return cursor.fetchone()


def _comment(cursor: Any, number: int, catalogue: str, what: str) -> list[str]:
    """Return the statement that gives an object its comment again; none without one.

    Args:
        cursor: psycopg2's.
        number: of the object.
        catalogue: where it is listed.
        what: how COMMENT ON names it.
    """
    cursor.execute("SELECT quote_literal(obj_description(%s, %s))", [number, catalogue])
    (text,) = cursor.fetchone()
    return [f"COMMENT ON {what} IS {text}"] if text else []


def _view(cursor: Any, number: int) -> Statements:
    """Return what makes a view again, or a rule; a materialized view cannot be replaced."""
    rule, kind, name, options, definition, text = _row(
        cursor,
        "SELECT rulename, relkind, ev_class::regclass::text, array_to_string(reloptions, ', '),"
        " pg_get_viewdef(ev_class), pg_get_ruledef(r.oid) FROM pg_catalog.pg_rewrite r"
        " JOIN pg_catalog.pg_class c ON c.oid = ev_class WHERE r.oid = %(oid)s",
        number,
    )
    if kind == "v" and rule == "_RETURN":
        held = f" WITH ({options})" if options else ""
        return [], [f"CREATE OR REPLACE VIEW {name}{held} AS {definition}"]
    if rule != "_RETURN":
        return [], [text.replace("CREATE RULE", "CREATE OR REPLACE RULE", 1)]
    return NONE


def _default(cursor: Any, number: int) -> Statements:
    table, column, expression, generated = _row(
        cursor,
        "SELECT adrelid::regclass::text, quote_ident(attname), pg_get_expr(adbin, adrelid),"
        " attgenerated <> '' FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a"
        " ON attrelid = adrelid AND attnum = adnum WHERE d.oid = %(oid)s",
        number,
    )
    if generated:
        return NONE
    return [], [f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {expression}"]


def _function(cursor: Any, number: int) -> Statements:
    """Return what makes a function again; one whose own types are the schema's cannot be."""
    kind, definition = _row(
        cursor,
        "SELECT prokind, CASE WHEN prokind IN ('f', 'p') THEN pg_get_functiondef(oid) END"
        " FROM pg_catalog.pg_proc WHERE oid = %(oid)s",
        number,
    )
    return ([], [definition]) if kind in "fp" else NONE


def _policy(cursor: Any, number: int) -> Statements:
    name, table, using, check = _row(
        cursor,
        "SELECT quote_ident(polname), polrelid::regclass::text, pg_get_expr(polqual, polrelid),"
        " pg_get_expr(polwithcheck, polrelid) FROM pg_catalog.pg_policy WHERE oid = %(oid)s",
        number,
    )
    parts = [f"USING ({using})"] if using else []
    parts += [f"WITH CHECK ({check})"] if check else []
    return [], [f"ALTER POLICY {name} ON {table} {' '.join(parts)}"]


def _constraint(cursor: Any, number: int) -> Statements:
    """Return what makes a foreign key or a check again; that of a domain cannot be."""
    table, name, definition = _row(
        cursor,
        "SELECT CASE WHEN conrelid <> 0 AND conparentid = 0 AND contype IN ('f', 'c')"
        " THEN conrelid::regclass::text END, quote_ident(conname), pg_get_constraintdef(oid)"
        " FROM pg_catalog.pg_constraint WHERE oid = %(oid)s",
        number,
    )
    if table is None:
        return NONE
    return (
        [f"ALTER TABLE {table} DROP CONSTRAINT {name}"],
        [
            f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}",
            *_comment(cursor, number, "pg_constraint", f"CONSTRAINT {name} ON {table}"),
        ],
    )


def _trigger(cursor: Any, number: int) -> Statements:
    table, name, definition, plain = _row(
        cursor,
        "SELECT tgrelid::regclass::text, quote_ident(tgname), pg_get_triggerdef(oid),"
        " tgenabled = 'O' AND NOT tgisinternal AND tgparentid = 0 FROM pg_catalog.pg_trigger"
        " WHERE oid = %(oid)s",
        number,
    )
    if not plain:
        return NONE
    comment = _comment(cursor, number, "pg_trigger", f"TRIGGER {name} ON {table}")
    return [f"DROP TRIGGER {name} ON {table}"], [definition, *comment]


def _statistics(cursor: Any, number: int) -> Statements:
    name, definition, owner, target = _row(
        cursor,
        "SELECT format('%%I.%%I', nspname, stxname), pg_get_statisticsobjdef(s.oid),"
        " quote_ident(pg_get_userbyid(stxowner)), coalesce(stxstattarget, -1)"
        " FROM pg_catalog.pg_statistic_ext s"
        " JOIN pg_catalog.pg_namespace n ON n.oid = stxnamespace WHERE s.oid = %(oid)s",
        number,
    )
    change = f"ALTER STATISTICS {name}"
    return [f"DROP STATISTICS {name}"], [
        definition,
        f"{change} OWNER TO {owner}",
        *([f"{change} SET STATISTICS {target}"] if target >= 0 else []),
        *_comment(cursor, number, "pg_statistic_ext", f"STATISTICS {name}"),
    ]


def _published_table(cursor: Any, number: int) -> Statements:
    filters = (
        "(SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum)"
        " FROM pg_catalog.pg_attribute WHERE attrelid = prrelid AND attnum = ANY(prattrs)),"
        " pg_get_expr(prqual, prrelid)"
        if cursor.connection.server_version >= PUBLICATION_FILTERS
        else "NULL, NULL"
    )
    publication, table, columns, condition = _row(
        cursor,
        f"SELECT quote_ident(pubname), prrelid::regclass::text, {filters}"
        " FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p ON p.oid = prpubid"
        " WHERE r.oid = %(oid)s",
        number,
    )
    what = table + (f" ({columns})" if columns else "")
    what += f" WHERE ({condition})" if condition else ""
    change = f"ALTER PUBLICATION {publication}"
    return [f"{change} DROP TABLE {table}"], [f"{change} ADD TABLE {what}"]


def _published_schema(cursor: Any, number: int) -> Statements:
    publication, schema = _row(
        cursor,
        "SELECT quote_ident(pubname), pnnspid::regnamespace::text"
        " FROM pg_catalog.pg_publication_namespace s JOIN pg_catalog.pg_publication p"
        " ON p.oid = pnpubid WHERE s.oid = %(oid)s",
        number,
    )
    change, schemas = f"ALTER PUBLICATION {publication}", f"TABLES IN SCHEMA {schema}"
    return [f"{change} DROP {schemas}"], [f"{change} ADD {schemas}"]


_REMAKE: dict[str, Callable[[Any, int], Statements]] = {
    "pg_rewrite": _view,
    "pg_attrdef": _default,
    "pg_proc": _function,
    "pg_policy": _policy,
    "pg_constraint": _constraint,
    "pg_trigger": _trigger,
    "pg_statistic_ext": _statistics,
    "pg_publication_rel": _published_table,
    "pg_publication_namespace": _published_schema,
}


class CannotMove(Exception):
    """A dependant could not be made again; the text is PostgreSQL's.

    Attributes:
        dependant: which.
    """

    def __init__(self, dependant: Dependant, why: str) -> None:
        super().__init__(why)
        self.dependant = dependant


def run(cursor: Any, dependant: Dependant, statements: tuple[str, ...]) -> None:
    """Run the statements of a dependant.

    Raises:
        CannotMove: PostgreSQL refused one.
    """
    for statement in statements:
        try:
            cursor.execute(statement)
        except driver().Error as error:
            raise CannotMove(dependant, str(error)) from error
