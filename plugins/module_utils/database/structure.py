# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The definitions of all objects of a database, as PostgreSQL itself prints them.

The same queries run in production, in the snapshot of the dump, and in the restored database, so
that two databases of one major version print the same. Tenants are alike, so each schema has a
*shape*, its definitions without its own name, and equal shapes are kept once.

Left out: members of extensions and temporary objects, as pg_dump leaves them out; owners and
privileges, which a restore into staging leaves out; the position of sequences, which is no
definition; subscriptions, which hold secrets.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .canonical_sql import canonical
from .catalogue import ObjectName

# Kind, name and definition of the objects of one schema.
Shape = dict[str, dict[str, str]]
# Schemas that are read by one query: each reads the whole catalogue.
BATCH = 250
# To print these kinds PostgreSQL locks what they use until the transaction ends
# (AcquireRewriteLocks in ruleutils.c), so they are read of fewer schemas at a time.
LOCKING, LOCKING_BATCH = ("view", "rule", "function"), 25
# Kinds whose definitions have expressions, which a restore parses.
PARSED = (
    *("relation", "view", "column", "constraint", "index", "trigger", "rule", "policy"),
    *("function", "type", "statistics"),
)
# What belongs to no schema is kept under this name.
DATABASE = ""
# Stands for the name of the schema in its shape. No name contains it: PostgreSQL's names are text.
_SELF = "\x01."
# What decides how PostgreSQL prints definitions: names are qualified, values have one form.
SESSION = {
    "search_path": "",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "lc_monetary": "C",
    "quote_all_identifiers": "off",
    "standard_conforming_strings": "on",
}


def _own(catalogue: str, oid: str) -> str:
    """Return the SQL condition that an object is no member of an extension."""
    return (
        "NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.deptype = 'e'"
        f" AND e.classid = '{catalogue}'::regclass AND e.objid = {oid})"
    )


def _in_schemas(catalogue: str, oid: str) -> str:
    return f"n.nspname = ANY(%(schemas)s) AND {_own(catalogue, oid)}"


# Text is sorted as everywhere, whatever the database's locale.
_SORTED = "array_to_string(ARRAY(SELECT o FROM unnest({}) o ORDER BY o COLLATE \"C\"), ', ')"
_ROW = "(to_jsonb(x) - ARRAY[{}])::text"

# Each returns schema, name within it, definition.
_QUERIES: Mapping[str, str] = {
    "schema": """
SELECT n.nspname, '', quote_ident(n.nspname) FROM pg_namespace n
WHERE n.nspname = ANY(%(schemas)s)""",
    "relation": f"""
SELECT n.nspname, quote_ident(c.relname), concat_ws(', ',
 CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
  WHEN 'm' THEN 'materialized view' ELSE 'foreign table' END,
 CASE c.relpersistence WHEN 'u' THEN 'unlogged' END,
 CASE c.relkind WHEN 'p' THEN 'PARTITION BY ' || pg_get_partkeydef(c.oid) END,
 pg_get_expr(c.relpartbound, c.oid),
 (SELECT 'child of ' || string_agg(quote_ident(pn.nspname) || '.' || quote_ident(p.relname),
   ' and ' ORDER BY i.inhseqno) FROM pg_inherits i
   JOIN pg_class p ON p.oid = i.inhparent
   JOIN pg_namespace pn ON pn.oid = p.relnamespace WHERE i.inhrelid = c.oid),
 CASE WHEN c.reloftype <> 0 THEN 'of ' || format_type(c.reloftype, NULL) END,
 CASE WHEN c.relrowsecurity THEN 'row security' END,
 CASE WHEN c.relforcerowsecurity THEN 'row security forced' END,
 nullif({_SORTED.format("c.reloptions")}, ''),
 (SELECT 'server ' || quote_ident(s.srvname) || ' ' || {_SORTED.format("f.ftoptions")}
   FROM pg_foreign_table f JOIN pg_foreign_server s ON s.oid = f.ftserver
   WHERE f.ftrelid = c.oid))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {_in_schemas("pg_class", "c.oid")}""",
    "view": f"""
SELECT n.nspname, quote_ident(c.relname), pg_get_viewdef(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm') AND {_in_schemas("pg_class", "c.oid")}""",
    "column": f"""
SELECT n.nspname, quote_ident(c.relname) || '.' || quote_ident(a.attname), concat_ws(' ',
 format_type(a.atttypid, a.atttypmod),
 CASE WHEN a.attcollation <> t.typcollation THEN (SELECT 'COLLATE '
  || quote_ident(ln.nspname) || '.' || quote_ident(l.collname) FROM pg_collation l
  JOIN pg_namespace ln ON ln.oid = l.collnamespace WHERE l.oid = a.attcollation) END,
 CASE WHEN a.attnotnull THEN 'NOT NULL' END,
 CASE a.attidentity WHEN 'a' THEN 'GENERATED ALWAYS AS IDENTITY'
  WHEN 'd' THEN 'GENERATED BY DEFAULT AS IDENTITY' END,
 CASE WHEN a.attgenerated <> '' THEN 'GENERATED (' || a.attgenerated::text || ') AS' ELSE
  CASE WHEN d.oid IS NOT NULL THEN 'DEFAULT' END END,
 pg_get_expr(d.adbin, d.adrelid))
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
 AND {_in_schemas("pg_class", "c.oid")}""",
    # PostgreSQL makes the copies of a foreign key at partitions itself, under names of its choice;
    # NOT NULL, which is a constraint since version 18, is part of the column.
    "constraint": f"""
SELECT n.nspname, quote_ident(c.relname) || '.' || quote_ident(o.conname),
 pg_get_constraintdef(o.oid)
FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE o.contype IN ('c', 'f', 'p', 'u', 'x') AND NOT (o.contype = 'f' AND o.conparentid <> 0)
 AND {_in_schemas("pg_class", "c.oid")}
UNION ALL
SELECT n.nspname, quote_ident(t.typname) || '.' || quote_ident(o.conname),
 pg_get_constraintdef(o.oid)
FROM pg_constraint o JOIN pg_type t ON t.oid = o.contypid
JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE o.contype = 'c' AND {_in_schemas("pg_type", "t.oid")}""",
    # The index of a constraint has the constraint's definition.
    "index": f"""
SELECT n.nspname, quote_ident(c.relname), pg_get_indexdef(i.indexrelid)
 || CASE WHEN i.indisvalid AND i.indisready AND i.indislive THEN '' ELSE ' INVALID' END
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT EXISTS (SELECT 1 FROM pg_constraint o
  WHERE o.conindid = i.indexrelid AND o.contype IN ('p', 'u', 'x'))
 AND {_in_schemas("pg_class", "i.indrelid")}""",
    "trigger": f"""
SELECT n.nspname, quote_ident(c.relname) || '.' || quote_ident(g.tgname),
 pg_get_triggerdef(g.oid) || CASE g.tgenabled WHEN 'O' THEN '' WHEN 'D' THEN ' DISABLED'
 WHEN 'R' THEN ' ON REPLICA' ELSE ' ALWAYS' END
FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT g.tgisinternal AND {_in_schemas("pg_class", "c.oid")}""",
    "rule": f"""
SELECT n.nspname, quote_ident(c.relname) || '.' || quote_ident(r.rulename),
 pg_get_ruledef(r.oid)
 || CASE r.ev_enabled WHEN 'O' THEN '' ELSE ' (' || r.ev_enabled::text || ')' END
FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE r.rulename <> '_RETURN' AND {_in_schemas("pg_class", "c.oid")}""",
    "policy": f"""
SELECT n.nspname, quote_ident(c.relname) || '.' || quote_ident(p.polname), concat_ws(' ',
 CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END, 'FOR ' || p.polcmd::text,
 'TO ' || array_to_string(ARRAY(SELECT CASE r WHEN 0 THEN 'public' ELSE quote_ident(
  pg_get_userbyid(r)) END FROM unnest(p.polroles) r ORDER BY 1), ', '),
 'USING ' || pg_get_expr(p.polqual, p.polrelid),
 'WITH CHECK ' || pg_get_expr(p.polwithcheck, p.polrelid))
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {_in_schemas("pg_class", "c.oid")}""",
    "function": f"""
SELECT n.nspname, quote_ident(p.proname) || '(' || pg_get_function_identity_arguments(p.oid) || ')',
 CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) ELSE (SELECT concat_ws(', ',
  'aggregate', format_type(x.aggtranstype, NULL),
  format_type(nullif(x.aggmtranstype, 0), NULL), pg_get_function_result(p.oid),
  {_ROW.format("'aggfnoid', 'aggsortop', 'aggtranstype', 'aggmtranstype'")}, 'sort operator '
  || nullif(x.aggsortop::regoperator::text, '0'))
  FROM pg_aggregate x WHERE x.aggfnoid = p.oid) END
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE {_in_schemas("pg_proc", "p.oid")}""",
    "type": f"""
SELECT n.nspname, quote_ident(t.typname), CASE t.typtype
 WHEN 'e' THEN 'enum ' || (SELECT string_agg(quote_literal(e.enumlabel), ', '
  ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid)
 WHEN 'd' THEN concat_ws(' ', 'domain', format_type(t.typbasetype, t.typtypmod),
  CASE WHEN t.typcollation <> b.typcollation THEN (SELECT 'COLLATE ' || quote_ident(l.collname)
   FROM pg_collation l WHERE l.oid = t.typcollation) END,
  CASE WHEN t.typnotnull THEN 'NOT NULL' END, 'DEFAULT ' || t.typdefault)
 WHEN 'r' THEN (SELECT concat_ws(' ', 'range of', format_type(r.rngsubtype, NULL),
  r.rngcanonical::text, r.rngsubdiff::text) FROM pg_range r WHERE r.rngtypid = t.oid)
 WHEN 'c' THEN 'composite'
 ELSE concat_ws(' ', 'base', t.typlen, t.typalign, t.typinput, t.typoutput) END
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_type b ON b.oid = t.typbasetype
WHERE t.typtype IN ('e', 'd', 'r', 'c', 'b') AND {_in_schemas("pg_type", "t.oid")}
 AND NOT EXISTS (SELECT 1 FROM pg_type e WHERE e.typarray = t.oid)
 AND (t.typrelid = 0 OR EXISTS (SELECT 1 FROM pg_class c
  WHERE c.oid = t.typrelid AND c.relkind = 'c'))""",
    "sequence": f"""
SELECT n.nspname, quote_ident(c.relname), concat_ws(' ', format_type(s.seqtypid, NULL),
 'START', s.seqstart, 'INCREMENT', s.seqincrement, 'MINVALUE', s.seqmin, 'MAXVALUE', s.seqmax,
 'CACHE', s.seqcache, CASE WHEN s.seqcycle THEN 'CYCLE' END,
 (SELECT 'OWNED BY ' || quote_ident(tn.nspname) || '.' || quote_ident(t.relname) || '.'
  || quote_ident(a.attname) FROM pg_depend d
  JOIN pg_class t ON t.oid = d.refobjid
  JOIN pg_namespace tn ON tn.oid = t.relnamespace
  JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
  AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
  AND d.deptype IN ('a', 'i')))
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {_in_schemas("pg_class", "c.oid")}""",
    "statistics": f"""
SELECT n.nspname, quote_ident(s.stxname), pg_get_statisticsobjdef(s.oid)
FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
WHERE {_in_schemas("pg_statistic_ext", "s.oid")}""",
    "operator": f"""
SELECT n.nspname, x.oprname || '(' || concat_ws(', ', format_type(nullif(x.oprleft, 0), NULL),
  format_type(nullif(x.oprright, 0), NULL)) || ')',
 concat_ws(' ', x.oprcode::text, x.oprcom::regoperator,
  x.oprnegate::regoperator, x.oprrest::text, x.oprjoin::text, x.oprcanmerge,
  x.oprcanhash)
FROM pg_operator x JOIN pg_namespace n ON n.oid = x.oprnamespace
WHERE x.oprcode <> 0 AND {_in_schemas("pg_operator", "x.oid")}""",
    "operator class": f"""
SELECT n.nspname, quote_ident(x.opcname) || ' using ' || quote_ident(a.amname),
 concat_ws(' ', format_type(x.opcintype, NULL), CASE WHEN x.opcdefault THEN 'DEFAULT' END,
 (SELECT string_agg(o.amopstrategy || ' ' || o.amopopr::regoperator::text, ', '
   ORDER BY o.amopstrategy, o.amopopr::regoperator::text COLLATE "C")
   FROM pg_amop o WHERE o.amopfamily = x.opcfamily),
 (SELECT string_agg(f.amprocnum || ' ' || f.amproc::text, ', '
   ORDER BY f.amprocnum, f.amproc::text COLLATE "C")
   FROM pg_amproc f WHERE f.amprocfamily = x.opcfamily))
FROM pg_opclass x JOIN pg_namespace n ON n.oid = x.opcnamespace
JOIN pg_am a ON a.oid = x.opcmethod WHERE {_in_schemas("pg_opclass", "x.oid")}""",
    "collation": f"""
SELECT n.nspname, quote_ident(x.collname),
 {_ROW.format("'oid', 'collname', 'collnamespace', 'collowner', 'collversion', 'collencoding'")}
FROM pg_collation x JOIN pg_namespace n ON n.oid = x.collnamespace
WHERE {_in_schemas("pg_collation", "x.oid")}""",
    "text search configuration": f"""
SELECT n.nspname, quote_ident(x.cfgname), concat_ws(' ', p.prsname,
 (SELECT string_agg(m.maptokentype || ' ' || m.mapdict::regdictionary::text, ', '
   ORDER BY m.maptokentype, m.mapseqno) FROM pg_ts_config_map m
   WHERE m.mapcfg = x.oid))
FROM pg_ts_config x JOIN pg_namespace n ON n.oid = x.cfgnamespace
JOIN pg_ts_parser p ON p.oid = x.cfgparser WHERE {_in_schemas("pg_ts_config", "x.oid")}""",
    "text search dictionary": f"""
SELECT n.nspname, quote_ident(x.dictname), concat_ws(' ', t.tmplname, x.dictinitoption)
FROM pg_ts_dict x JOIN pg_namespace n ON n.oid = x.dictnamespace
JOIN pg_ts_template t ON t.oid = x.dicttemplate
WHERE {_in_schemas("pg_ts_dict", "x.oid")}""",
    "comment": """
SELECT i.schema, i.type || ' ' || i.identity, d.description
FROM pg_description d,
 LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) i
WHERE d.objoid >= 16384 AND i.schema = ANY(%(schemas)s) AND NOT EXISTS (
 SELECT 1 FROM pg_depend e WHERE e.deptype = 'e' AND e.classid = d.classoid
 AND e.objid = d.objoid)""",
}

# The same of what lies in no schema. Objects of initdb have identifiers below 16384
# (FirstNormalObjectId in access/transam.h).
_DATABASE_QUERIES: Mapping[str, str] = {
    "extension": "SELECT '', quote_ident(extname), '' FROM pg_extension",
    "cast": f"""
SELECT '', format_type(c.castsource, NULL) || ' to ' || format_type(c.casttarget, NULL),
 concat_ws(' ', c.castmethod, c.castcontext, c.castfunc::regprocedure)
FROM pg_cast c WHERE c.oid >= 16384 AND {_own("pg_cast", "c.oid")}""",
    "publication": """
SELECT '', quote_ident(p.pubname), concat_ws(' ', CASE WHEN p.puballtables THEN 'all tables' END,
 p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, p.pubviaroot,
 (SELECT string_agg(quote_ident(t.schemaname) || '.' || quote_ident(t.tablename), ', '
   ORDER BY t.schemaname, t.tablename)
  FROM pg_publication_tables t WHERE t.pubname = p.pubname AND NOT p.puballtables))
FROM pg_publication p""",
    "event trigger": f"""
SELECT '', quote_ident(t.evtname), concat_ws(' ', t.evtevent, t.evtenabled,
 t.evtfoid::regproc::text,
 {_SORTED.format("t.evttags")})
FROM pg_event_trigger t WHERE {_own("pg_event_trigger", "t.oid")}""",
    "language": f"""
SELECT '', quote_ident(l.lanname), '' FROM pg_language l
WHERE l.oid >= 16384 AND {_own("pg_language", "l.oid")}""",
    "foreign server": f"""
SELECT '', quote_ident(s.srvname), concat_ws(' ', f.fdwname, s.srvtype, s.srvversion)
FROM pg_foreign_server s
JOIN pg_foreign_data_wrapper f ON f.oid = s.srvfdw
WHERE {_own("pg_foreign_server", "s.oid")}""",
    "comment": """
SELECT '', i.type || ' ' || i.identity, d.description
FROM pg_description d,
 LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) i
WHERE d.objoid >= 16384 AND i.schema IS NULL AND i.type <> 'extension' AND NOT EXISTS (
 SELECT 1 FROM pg_depend e WHERE e.deptype = 'e' AND e.classid = d.classoid
 AND e.objid = d.objoid)""",
}

_SCHEMAS = f"""
SELECT n.nspname FROM pg_namespace n WHERE n.nspname <> 'information_schema'
 AND n.nspname !~ '^pg_' AND {_own("pg_namespace", "n.oid")} ORDER BY 1"""


@dataclasses.dataclass(frozen=True)
class Structure:
    """The definitions of a database.

    Attributes:
        schemas: the identifier of each schema's shape; `DATABASE` for what lies in none.
        shapes: by identifier.
    """

    schemas: dict[str, str] = dataclasses.field(default_factory=dict)
    shapes: dict[str, Shape] = dataclasses.field(default_factory=dict)

    def add(self, schema: str, objects: Shape) -> None:
        """Keep the definitions of one schema.

        Args:
            schema: its name.
            objects: what was read of it.
        """
        quoted = objects.get("schema", {}).get("", "")
        if quoted:
            objects = {**objects, "schema": {"": ""}}
        shape = {
            kind: {
                _relative(name, quoted): _relative(text, quoted)
                for name, text in sorted(named.items())
            }
            for kind, named in sorted(objects.items())
        }
        content = json.dumps(shape, ensure_ascii=True).encode()
        identifier = hashlib.sha256(content).hexdigest()[:32]
        self.schemas[schema] = identifier
        self.shapes.setdefault(identifier, shape)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {"schemas": self.schemas, "shapes": self.shapes}


@dataclasses.dataclass(frozen=True)
class Difference:
    """One object that two databases define differently.

    Attributes:
        schema, kind, name: of the object.
        before, after: its definitions; None where it does not exist.
    """

    schema: str
    kind: str
    name: str
    before: str | None
    after: str | None


def schema_names(cursor: Any) -> list[str]:
    """Return the schemas of a database whose definitions are read."""
    cursor.execute(_SCHEMAS)
    return [str(name) for (name,) in cursor.fetchall()]


def batches(schemas: Sequence[str]) -> Iterator[list[str]]:
    """Yield the schemas that are read together; the first batch is what lies in none."""
    yield [DATABASE]
    for start in range(0, len(schemas), BATCH):
        yield list(schemas[start : start + BATCH])


def queries(batch: Sequence[str]) -> Iterator[tuple[list[str], str, str]]:
    """Yield the queries of one of `batches`, each for a transaction of its own.

    Yields:
        The schemas, the kind of objects and the SQL.
    """
    for kind, query in (_DATABASE_QUERIES if DATABASE in batch else _QUERIES).items():
        size = LOCKING_BATCH if kind in LOCKING else len(batch)
        for start in range(0, len(batch), size):
            yield list(batch[start : start + size]), kind, query


def read(
    cursor: Any, schemas: Sequence[str], kind: str, query: str, into: dict[str, Shape]
) -> None:
    """Read objects of one kind; the arguments are one of `queries`.

    Args:
        cursor: psycopg2's; its session has the settings of `SESSION`.
        schemas, kind, query: of the objects.
        into: gets them, by schema.
    """
    cursor.execute(query, {"schemas": list(schemas)})
    for schema, name, definition in cursor:
        named = into.setdefault(schema, {}).setdefault(kind, {})
        text = str(definition or "")
        named[str(name)] = canonical(text) if kind in PARSED else text


def settings(cursor: Any, *, local: bool = False) -> None:
    """Give a session, or its transaction alone, the settings in which definitions are read."""
    for name, value in SESSION.items():
        cursor.execute("SELECT pg_catalog.set_config(%s, %s, %s)", [name, value, local])


def differences(before: Structure, after: Structure, *, names_only: bool) -> Iterator[Difference]:
    """Yield what two databases define differently.

    Args:
        before, after: the databases.
        names_only: compare which objects exist and not how they are defined.
    """
    for schema in sorted(before.schemas.keys() | after.schemas.keys()):
        old, new = before.schemas.get(schema), after.schemas.get(schema)
        if old == new:
            continue
        if old is None or new is None:
            there = None if old is None else "", None if new is None else ""
            yield Difference(schema, "schema", "", *there)
            continue
        old_shape, new_shape = before.shapes[old], after.shapes[new]
        for kind in sorted(old_shape.keys() | new_shape.keys()):
            was, now = old_shape.get(kind, {}), new_shape.get(kind, {})
            for name in sorted(was.keys() | now.keys()):
                one, other = was.get(name), now.get(name)
                if one == other or (names_only and None not in (one, other)):
                    continue
                yield Difference(
                    schema,
                    kind,
                    _absolute(name, schema) or "",
                    _absolute(one, schema),
                    _absolute(other, schema),
                )


def from_dict(values: Mapping[str, Any]) -> Structure:
    """Return what `Structure.to_dict` gave.

    Raises:
        KeyError, TypeError, AttributeError: the values are something else.
    """
    structure = Structure(dict(values["schemas"]), dict(values["shapes"]))
    for shape in structure.shapes.values():
        for named in shape.values():
            named.items()
    for identifier in structure.schemas.values():
        structure.shapes[identifier]
    return structure


def names(structure: Structure, kind: str) -> Iterable[ObjectName]:
    """Yield schema and name of every object of a kind."""
    for schema, identifier in structure.schemas.items():
        for name in structure.shapes[identifier].get(kind, {}):
            yield schema, name


def _absolute(text: str | None, schema: str) -> str | None:
    return text if text is None else text.replace(_SELF, schema + ".")


def _relative(text: str, quoted: str) -> str:
    return text.replace(quoted + ".", _SELF) if quoted else text
