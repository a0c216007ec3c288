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

# Text is sorted as everywhere, whatever the database's locale.
SORTED = "array_to_string(ARRAY(SELECT o FROM unnest({}) o ORDER BY o COLLATE \"C\"), ', ')"


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
SELECT n.nspname, quote_ident(c.relname), d.definition
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
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
WHERE c.relkind IN ('r', 'p', 'm') AND d.definition <> ''
 AND {in_schemas("pg_class", "c.oid")}""",
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
}

# The same of what lies in no schema.
DATABASE_QUERIES: Mapping[str, str] = {
    "extension's schema": """
SELECT '', quote_ident(x.extname), quote_ident(n.nspname)
FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace""",
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
