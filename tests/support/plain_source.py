"""A database for plain dumps: names and values that look like structure, and every kind of row."""

from __future__ import annotations

# What is no structure where it stands, however much it looks like it.
DECOYS = """
COPY t (id) FROM stdin;
1
\\.
\\! touch {mark}
\\connect restaurante
-- Name: ghost; Type: TABLE; Schema: public; Owner: postgres
-- PostgreSQL database dump complete
SET row_security = on;
-- Data for Name: ghost; Type: TABLE DATA; Schema: public; Owner: postgres
$$ /* ' " ;
"""
SOURCE = """
CREATE SCHEMA "Loja é";
CREATE TYPE "Loja é".state AS ENUM ('open', 'it''s; shut');
CREATE TABLE "Loja é"."order line" (
    id serial PRIMARY KEY, name text NOT NULL UNIQUE, price numeric(10,2), state "Loja é".state,
    doubled numeric GENERATED ALWAYS AS (price * 2) STORED, raw bytea, tags text[],
    CONSTRAINT "positive; really" CHECK (price >= 0 OR name = ';--')
);
INSERT INTO "Loja é"."order line" (name, price, state, raw, tags)
    SELECT 'Pão nº ' || n || E'\\t;''\\\\ \\n\\\\.', n / 7.0, 'it''s; shut',
        decode(md5(n::text), 'hex'), ARRAY['a;', NULL, '"'] FROM generate_series(1, 500) n;
CREATE TABLE public.texts (id integer PRIMARY KEY, text text);
INSERT INTO public.texts VALUES (1, $text$DECOYS$text$), (2, ''), (3, NULL), (4, E'\\\\N'),
    (5, E'a\\r\\nb'), (6, '\\.'), (7, repeat('long ', 50000));
CREATE TABLE public."new
line" ("a
b" integer, CONSTRAINT "key
x" UNIQUE ("a
b"));
INSERT INTO public."new
line" VALUES (1);
CREATE TABLE public.nothing ();
INSERT INTO public.nothing DEFAULT VALUES;
CREATE TABLE public.parts (id integer, place text) PARTITION BY LIST (place);
CREATE TABLE public.part_a PARTITION OF public.parts FOR VALUES IN ('a');
CREATE TABLE public.part_b PARTITION OF public.parts DEFAULT;
INSERT INTO public.parts SELECT n, CASE n % 3 WHEN 0 THEN 'a' ELSE 'b' END
    FROM generate_series(1, 90) n;
CREATE FUNCTION public.decoy() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
/*DECOYS*/
RETURN NEW;
END $body$;
CREATE FUNCTION public.total("at most" integer DEFAULT (1)) RETURNS bigint LANGUAGE sql BEGIN ATOMIC
    SELECT count(*) FROM public.texts;
    SELECT CASE WHEN count(*) > "at most" THEN CASE count(*) WHEN 2 THEN 1 END ELSE 2 END
        FROM public.texts;
END;
CREATE FUNCTION public.begin() RETURNS text LANGUAGE sql RETURN CASE WHEN true THEN ';' END;
CREATE TRIGGER decoy BEFORE INSERT ON public.texts FOR EACH ROW EXECUTE FUNCTION public.decoy();
CREATE VIEW public.grouped AS
    SELECT l.id, l.name, count(*) FROM "Loja é"."order line" l GROUP BY l.id;
CREATE VIEW public.shown AS SELECT id, text FROM public.texts;
CREATE RULE both_of_them AS ON DELETE TO public.shown DO INSTEAD
    (UPDATE public.texts SET text = ';' WHERE id = OLD.id;
    DELETE FROM public.texts WHERE id = OLD.id;);
CREATE MATERIALIZED VIEW public.counted AS SELECT count(*) FROM public.texts;
COMMENT ON TABLE public.texts IS $text$DECOYS$text$;
COMMENT ON FUNCTION public.begin() IS E'it''s \\\\';
ALTER TABLE public.texts ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON public.texts USING (text <> ';' OR id > 0);
SELECT lo_from_bytea(0, 'a large; object');
SELECT setval('"Loja é"."order line_id_seq"', 700);
"""
ROWS = {
    ("Loja é", "order line"): 500,
    ("public", "texts"): 7,
    ("public", "new\nline"): 1,
    ("public", "nothing"): 1,
    ("public", "part_a"): 30,
    ("public", "part_b"): 60,
}
WAYS: tuple[tuple[str, ...], ...] = (
    (),
    ("--inserts",),
    ("--column-inserts",),
    ("--rows-per-insert=7",),
    ("--inserts", "--on-conflict-do-nothing"),
    ("--clean",),
    ("--clean", "--if-exists"),
    ("--create",),
    ("--clean", "--create", "--inserts"),
    ("--encoding=LATIN1",),
    ("--disable-dollar-quoting",),
    ("--disable-dollar-quoting", "--column-inserts", "--encoding=LATIN1"),
    ("--quote-all-identifiers",),
    ("--use-set-session-authorization",),
    ("--disable-triggers",),
)
