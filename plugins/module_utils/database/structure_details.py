# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Queries for details of definitions: how rows are stored, replicated and reached.

They are kinds of their own, so that a manifest that lacks them can still be compared in the others.
Options of servers and wrappers may hold secrets, so their values are digests.
"""

from __future__ import annotations

from collections.abc import Mapping

VIEW_STATE, UNPOPULATED = "materialized view state", "not populated"
# Text is sorted as everywhere, whatever the database's locale.
SORTED = "array_to_string(ARRAY(SELECT o FROM unnest({}) o ORDER BY o COLLATE \"C\"), ', ')"
# Ends a subquery that is planned by itself. Where a condition on each row is costly, the planner
# would look through an index of all relations for each schema, to have few rows: with 3,000 tenants
# one query took 30 times as long that way.
APART = "OFFSET 0"


def own(catalogue: str, oid: str) -> str:
    """Return the SQL condition that an object is no member of an extension."""
    return (
        "NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.deptype = 'e'"
        f" AND e.classid = '{catalogue}'::regclass AND e.objid = {oid})"
    )


def in_schemas(catalogue: str, oid: str) -> str:
    """Return the same, and that the object lies in one of the schemas that are read."""
    return f"n.nspname = ANY(%(schemas)s) AND {own(catalogue, oid)}"


def _digest(options: str) -> str:
    return (
        f"(SELECT string_agg(split_part(o, '=', 1) || ' ' || md5(o), ', ' ORDER BY o COLLATE \"C\")"
        f" FROM unnest({options}) o)"
    )


# Each returns schema, name within it, definition.
QUERIES: Mapping[str, str] = {
    "column storage": f"""
SELECT n.nspname, quote_ident(c.relname) || '.' || quote_ident(a.attname), d.definition
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_type t ON t.oid = a.atttypid,
LATERAL (SELECT concat_ws(', ',
 CASE WHEN a.attstorage <> t.typstorage THEN 'STORAGE ' || a.attstorage::text END,
 'COMPRESSION ' || nullif(to_jsonb(a) ->> 'attcompression', ''),
 'STATISTICS ' || nullif(a.attstattarget, -1), nullif({SORTED.format("a.attoptions")}, ''))
 AS definition) d
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'm', 'f')
 AND d.definition <> '' AND {in_schemas("pg_class", "c.oid")}""",
    "table storage": f"""
SELECT c.nspname, quote_ident(c.relname), d.definition
FROM (SELECT n.nspname, c.oid, c.relname, c.relam, c.relreplident, c.reltoastrelid
 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'm') AND {in_schemas("pg_class", "c.oid")} {APART}) c,
LATERAL (SELECT concat_ws(', ',
 'USING ' || (SELECT quote_ident(m.amname) FROM pg_am m
  WHERE m.oid = c.relam AND m.amname <> 'heap'),
 'CLUSTER ON ' || (SELECT quote_ident(x.relname) FROM pg_index i
  JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid AND i.indisclustered),
 'REPLICA IDENTITY ' || CASE c.relreplident WHEN 'd' THEN NULL WHEN 'i' THEN (
  SELECT quote_ident(x.relname) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
  WHERE i.indrelid = c.oid AND i.indisreplident) ELSE '(' || c.relreplident::text || ')' END,
 'toast ' || (SELECT nullif({SORTED.format("s.reloptions")}, '')
  FROM pg_class s WHERE s.oid = c.reltoastrelid)) AS definition) d
WHERE d.definition <> ''""",
    # pg_dump refreshes only those that had rows.
    VIEW_STATE: f"""
SELECT n.nspname, quote_ident(c.relname),
 CASE WHEN c.relispopulated THEN 'populated' ELSE '{UNPOPULATED}' END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'm' AND {in_schemas("pg_class", "c.oid")}""",
    "conversion": f"""
SELECT n.nspname, quote_ident(x.conname), concat_ws(' ', CASE WHEN x.condefault THEN 'DEFAULT' END,
 pg_encoding_to_char(x.conforencoding), pg_encoding_to_char(x.contoencoding), x.conproc::text)
FROM pg_conversion x JOIN pg_namespace n ON n.oid = x.connamespace
WHERE {in_schemas("pg_conversion", "x.oid")}""",
    "operator family": f"""
SELECT n.nspname, quote_ident(x.opfname) || ' using ' || quote_ident(a.amname), ''
FROM pg_opfamily x JOIN pg_namespace n ON n.oid = x.opfnamespace
JOIN pg_am a ON a.oid = x.opfmethod WHERE {in_schemas("pg_opfamily", "x.oid")}""",
    "text search parser": f"""
SELECT n.nspname, quote_ident(x.prsname), concat_ws(' ', x.prsstart::text, x.prstoken::text,
 x.prsend::text, x.prsheadline::text, x.prslextype::text)
FROM pg_ts_parser x JOIN pg_namespace n ON n.oid = x.prsnamespace
WHERE {in_schemas("pg_ts_parser", "x.oid")}""",
    "text search template": f"""
SELECT n.nspname, quote_ident(x.tmplname), concat_ws(' ', x.tmplinit::text, x.tmpllexize::text)
FROM pg_ts_template x JOIN pg_namespace n ON n.oid = x.tmplnamespace
WHERE {in_schemas("pg_ts_template", "x.oid")}""",
    # A child's inherited columns come first after a restore, so its order may be another one.
    "column order": f"""
SELECT n.nspname, quote_ident(c.relname), (SELECT string_agg(quote_ident(a.attname), ', '
 ORDER BY a.attnum) FROM pg_attribute a
 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f', 'c') AND c.oid NOT IN (
  SELECT i.inhrelid FROM pg_inherits i JOIN pg_class h ON h.oid = i.inhrelid
  WHERE NOT h.relispartition)
 AND {in_schemas("pg_class", "c.oid")}""",
    "foreign column's options": f"""
SELECT n.nspname, quote_ident(c.relname) || '.' || quote_ident(a.attname),
 {_digest("a.attfdwoptions")}
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attfdwoptions IS NOT NULL
 AND {in_schemas("pg_class", "c.oid")}""",
    # A constraint's definition has none of its index's options.
    "index storage": f"""
SELECT n.nspname, quote_ident(c.relname), d.definition
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace,
LATERAL (SELECT concat_ws(', ', nullif({SORTED.format("c.reloptions")}, ''),
 (SELECT string_agg('STATISTICS ' || a.attnum || ' ' || a.attstattarget, ', ' ORDER BY a.attnum)
  FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attstattarget >= 0)) AS definition) d
WHERE d.definition <> '' AND (c.reloptions IS NOT NULL OR c.oid IN (
  SELECT a.attrelid FROM pg_attribute a WHERE a.attnum > 0 AND a.attstattarget >= 0))
 AND i.indisvalid AND {in_schemas("pg_class", "i.indrelid")}""",
    "not null": f"""
SELECT n.nspname, quote_ident(c.relname) || '.' || quote_ident(a.attname), concat_ws(' ',
 CASE WHEN NOT o.convalidated THEN 'NOT VALID' END, CASE WHEN o.connoinherit THEN 'NO INHERIT' END)
FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = o.conkey[1]
WHERE o.contype = 'n' AND (o.connoinherit OR NOT o.convalidated)
 AND {in_schemas("pg_class", "c.oid")}""",
    "sequence storage": f"""
SELECT n.nspname, quote_ident(c.relname), 'UNLOGGED'
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND c.relpersistence = 'u' AND {in_schemas("pg_class", "c.oid")}""",
    "statistics target": f"""
SELECT n.nspname, quote_ident(s.stxname), s.stxstattarget
FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
WHERE s.stxstattarget >= 0 AND {in_schemas("pg_statistic_ext", "s.oid")}""",
    "range": f"""
SELECT n.nspname, quote_ident(t.typname), concat_ws(' ',
 'COLLATE ' || (SELECT quote_ident(ln.nspname) || '.' || quote_ident(l.collname)
  FROM pg_collation l JOIN pg_namespace ln ON ln.oid = l.collnamespace
  WHERE l.oid = r.rngcollation),
 (SELECT quote_ident(xn.nspname) || '.' || quote_ident(x.opcname)
  FROM pg_opclass x JOIN pg_namespace xn ON xn.oid = x.opcnamespace WHERE x.oid = r.rngsubopc),
 'multirange ' || format_type((to_jsonb(r) ->> 'rngmultitypid')::oid, NULL))
FROM pg_range r JOIN pg_type t ON t.oid = r.rngtypid JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE {in_schemas("pg_type", "t.oid")}""",
    "base type": f"""
SELECT n.nspname, quote_ident(t.typname), concat_ws(' ', t.typbyval::text, t.typcategory::text,
 t.typispreferred::text, t.typdelim::text, t.typstorage::text, t.typcollation <> 0,
 t.typreceive::text, t.typsend::text, t.typmodin::text, t.typmodout::text, t.typanalyze::text,
 t.typdefault)
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE t.typtype = 'b' AND NOT EXISTS (SELECT 1 FROM pg_type e WHERE e.typarray = t.oid)
 AND {in_schemas("pg_type", "t.oid")}""",
    "aggregate's parallel safety": f"""
SELECT n.nspname, quote_ident(p.proname) || '(' || pg_get_function_identity_arguments(p.oid) || ')',
 p.proparallel::text
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.prokind = 'a' AND {in_schemas("pg_proc", "p.oid")}""",
    "operator class's family": f"""
SELECT n.nspname, quote_ident(x.opcname) || ' using ' || quote_ident(a.amname), concat_ws(' ',
 quote_ident(fn.nspname) || '.' || quote_ident(f.opfname),
 'STORAGE ' || format_type(nullif(x.opckeytype, 0), NULL))
FROM pg_opclass x JOIN pg_namespace n ON n.oid = x.opcnamespace
JOIN pg_am a ON a.oid = x.opcmethod JOIN pg_opfamily f ON f.oid = x.opcfamily
JOIN pg_namespace fn ON fn.oid = f.opfnamespace WHERE {in_schemas("pg_opclass", "x.oid")}""",
    "operator family's members": f"""
SELECT n.nspname, quote_ident(x.opfname) || ' using ' || quote_ident(a.amname), concat_ws('; ',
 (SELECT string_agg(m, ', ' ORDER BY m COLLATE "C") FROM (SELECT concat_ws(' ', o.amopstrategy,
   o.amopopr::regoperator, o.amoppurpose::text, (SELECT quote_ident(s.opfname) FROM pg_opfamily s
    WHERE s.oid = o.amopsortfamily)) FROM pg_amop o WHERE o.amopfamily = x.oid) ops (m)),
 (SELECT string_agg(m, ', ' ORDER BY m COLLATE "C") FROM (SELECT concat_ws(' ', p.amprocnum,
   format_type(p.amproclefttype, NULL), format_type(p.amprocrighttype, NULL),
   p.amproc::regprocedure) FROM pg_amproc p WHERE p.amprocfamily = x.oid) procs (m)))
FROM pg_opfamily x JOIN pg_namespace n ON n.oid = x.opfnamespace
JOIN pg_am a ON a.oid = x.opfmethod WHERE {in_schemas("pg_opfamily", "x.oid")}""",
}

# The same of what lies in no schema.
DATABASE_QUERIES: Mapping[str, str] = {
    # Of the schema that every database has, whether production made its own in its place or not.
    "comment of schema public": """
SELECT '', 'public', coalesce(obj_description(n.oid, 'pg_namespace'), '')
FROM pg_namespace n WHERE n.nspname = 'public'""",
    # What a template brings has its comment from there, and pg_dump leaves it out.
    "comment of extension": """
SELECT '', quote_ident(extname), obj_description(oid, 'pg_extension') FROM pg_extension
WHERE extname <> 'plpgsql' AND obj_description(oid, 'pg_extension') IS NOT NULL""",
    "extension's schema": """
SELECT '', quote_ident(x.extname), quote_ident(n.nspname)
FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace""",
    # Older versions have no such publications; the dependencies of one are in every version.
    "published schema": """
SELECT '', quote_ident(p.pubname) || ' ' || quote_ident(n.nspname), ''
FROM pg_publication p JOIN pg_depend d ON d.refclassid = 'pg_publication'::regclass
 AND d.refobjid = p.oid
JOIN pg_depend e ON e.classid = d.classid AND e.objid = d.objid
 AND e.refclassid = 'pg_namespace'::regclass
JOIN pg_namespace n ON n.oid = e.refobjid""",
    "language's functions": f"""
SELECT '', quote_ident(l.lanname), concat_ws(' ', CASE WHEN l.lanpltrusted THEN 'TRUSTED' END,
 l.lanplcallfoid::regproc::text, l.laninline::regproc::text, l.lanvalidator::regproc::text)
FROM pg_language l WHERE l.oid >= 16384 AND {own("pg_language", "l.oid")}""",
    "access method": f"""
SELECT '', quote_ident(x.amname), concat_ws(' ', x.amtype::text, x.amhandler::text)
FROM pg_am x WHERE x.oid >= 16384 AND {own("pg_am", "x.oid")}""",
    "transform": f"""
SELECT '', format_type(x.trftype, NULL) || ' for ' || quote_ident(l.lanname),
 concat_ws(' ', x.trffromsql::regprocedure, x.trftosql::regprocedure)
FROM pg_transform x JOIN pg_language l ON l.oid = x.trflang
WHERE {own("pg_transform", "x.oid")}""",
    "foreign data wrapper": f"""
SELECT '', quote_ident(x.fdwname), concat_ws(' ', nullif(x.fdwhandler::regproc::text, '-'),
 nullif(x.fdwvalidator::regproc::text, '-'), {_digest("x.fdwoptions")})
FROM pg_foreign_data_wrapper x WHERE {own("pg_foreign_data_wrapper", "x.oid")}""",
    "foreign server's options": f"""
SELECT '', quote_ident(x.srvname), {_digest("x.srvoptions")}
FROM pg_foreign_server x
WHERE x.srvoptions IS NOT NULL AND {own("pg_foreign_server", "x.oid")}""",
    # Older versions have neither columns nor conditions of a publication's table.
    "published table": """
SELECT '', quote_ident(t.pubname) || ' ' || quote_ident(t.schemaname) || '.'
 || quote_ident(t.tablename), concat_ws(' WHERE ',
 (SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM jsonb_array_elements_text(
   CASE jsonb_typeof(to_jsonb(t) -> 'attnames') WHEN 'array' THEN to_jsonb(t) -> 'attnames' END) o),
 to_jsonb(t) ->> 'rowfilter')
FROM pg_publication_tables t JOIN pg_publication p ON p.pubname = t.pubname
WHERE NOT p.puballtables""",
}
