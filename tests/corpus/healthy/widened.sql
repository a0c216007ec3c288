-- Other inputs of kinds that once failed: views in two steps, words in expressions, numbers, sessions, partitions, names.
CREATE SCHEMA "GROUP BY"; CREATE SCHEMA "a.b";
CREATE TABLE public.guest (id integer PRIMARY KEY, name text NOT NULL, born date);
CREATE TABLE public.visit (id serial PRIMARY KEY, guest integer REFERENCES public.guest, at timestamptz, paid numeric);
INSERT INTO public.guest SELECT n, 'guest ' || n, date '1990-01-01' + n FROM generate_series(1, 12) n;
INSERT INTO public.visit (guest, at, paid) SELECT 1 + n % 12, timestamptz '2025-01-01 00:00+00' + n * interval '1 hour', n FROM generate_series(1, 40) n;
-- Views over the key of a table, over each other, with options, rules and triggers of their own.
CREATE VIEW public.guests WITH (security_barrier, security_invoker = false) AS SELECT g.id, g.name, g.born, max(v.at) AS last FROM public.guest g LEFT JOIN public.visit v ON v.guest = g.id GROUP BY g.id HAVING count(*) > 0;
CREATE VIEW public.first_guests AS SELECT name, born, last FROM public.guests WHERE id < 5;
CREATE MATERIALIZED VIEW public.seen_guests AS SELECT g.name, g.last, f.born FROM public.guests g LEFT JOIN public.first_guests f USING (name);
CREATE VIEW public.over_seen AS SELECT DISTINCT name FROM public.seen_guests;
CREATE VIEW "GROUP BY"."HAVING" AS SELECT g.id AS "GROUP", g.name || E'\nUNION' AS "select" FROM public.guest g GROUP BY g.id;
COMMENT ON VIEW public.guests IS 'SELECT NULL::integer AS id';
CREATE FUNCTION public.left_alone() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER no_write INSTEAD OF DELETE ON public.guests FOR EACH ROW EXECUTE FUNCTION public.left_alone();
CREATE VIEW public.ping AS SELECT 1 AS n; CREATE VIEW public.pong AS SELECT n FROM public.ping;
CREATE FUNCTION public.of_pong(public.pong) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 3';
CREATE OR REPLACE VIEW public.ping AS SELECT 1 AS n, public.of_pong(NULL) AS back;
-- Words of definitions in expressions.
CREATE TABLE public.offer (id bigint GENERATED ALWAYS AS IDENTITY (START 5 INCREMENT 5) PRIMARY KEY, until date, sold boolean DEFAULT (now() IS NULL) NOT NULL,
  open boolean GENERATED ALWAYS AS (until IS NOT NULL AND NOT (until IS NULL)) STORED, kind text DEFAULT E'GENERATED ALWAYS AS (x) STORED'',',
  price numeric DEFAULT NULLIF(1, 2) CHECK (CASE WHEN kind IS NOT NULL THEN price IS NOT NULL ELSE true END), CONSTRAINT "DEFAULT 1 CHECK (" CHECK (kind IS DISTINCT FROM 'PRIMARY KEY ('));
INSERT INTO public.offer (until, price) SELECT CASE WHEN n % 3 > 0 THEN date '2025-01-01' + n END, n FROM generate_series(1, 9) n;
-- Numbers that are behind without harm.
CREATE SEQUENCE public.ticket_no; CREATE TABLE public.tickets (no varchar(12) DEFAULT to_char(nextval('public.ticket_no'), 'FM"T-"0000') PRIMARY KEY);
ALTER SEQUENCE public.ticket_no OWNED BY public.tickets.no; INSERT INTO public.tickets SELECT FROM generate_series(1, 3); INSERT INTO public.tickets VALUES ('T-9999'), ('77');
CREATE SEQUENCE public.per_year; CREATE TABLE public.invoice (year integer, no integer DEFAULT nextval('public.per_year'), UNIQUE (no, year));
ALTER SEQUENCE public.per_year OWNED BY public.invoice.no; INSERT INTO public.invoice SELECT 2024, n FROM generate_series(1, 30) n; SELECT setval('public.per_year', 1, false);
CREATE SEQUENCE public.hilo INCREMENT 10; CREATE TABLE public.pooled (id integer DEFAULT nextval('public.hilo') PRIMARY KEY); ALTER SEQUENCE public.hilo OWNED BY public.pooled.id;
SELECT setval('public.hilo', 41); INSERT INTO public.pooled SELECT n FROM generate_series(1, 50) n;
CREATE TABLE public.tombstone (id smallserial PRIMARY KEY); INSERT INTO public.tombstone DEFAULT VALUES; INSERT INTO public.tombstone VALUES (-1), (32767);
-- Views that need a session, or do something.
CREATE VIEW public.mine AS SELECT * FROM public.guest WHERE name = current_setting('shop.user', false);
CREATE VIEW public.cast_fails AS SELECT 'x'::text::integer AS n FROM public.guest; CREATE VIEW public.advises AS SELECT pg_advisory_lock(4711) IS NULL AS n;
CREATE VIEW public.ends_us AS SELECT pg_terminate_backend(pg_backend_pid()) AS n; CREATE VIEW public.many AS SELECT count(*) FROM generate_series(1, 10000000000) a;
-- Rows that move between partitions, at the second level too.
CREATE TYPE public.size AS ENUM ('s', 'm', 'l');
CREATE TABLE public.stock (size public.size, place text, n integer) PARTITION BY LIST (place);
CREATE TABLE public.stock_a PARTITION OF public.stock FOR VALUES IN ('a', NULL) PARTITION BY HASH (size, n);
CREATE TABLE public.stock_a0 PARTITION OF public.stock_a FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE public.stock_a1 PARTITION OF public.stock_a FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE public.stock_rest PARTITION OF public.stock DEFAULT;
INSERT INTO public.stock SELECT (ARRAY['s', 'm', 'l'])[1 + n % 3]::public.size, (ARRAY['a', 'b', NULL])[1 + n % 3], n FROM generate_series(1, 60) n;
-- Names.
CREATE TABLE "a.b"."t""x" ("a.b" integer CONSTRAINT "t""x_pk" PRIMARY KEY, "--" text DEFAULT '--', "/*" text DEFAULT '*/', "$$" text DEFAULT '$$');
CREATE TABLE "a.b"."t" (x integer); CREATE TABLE "a.b"."t x" (y integer CONSTRAINT "x y" CHECK (y > 0)); ALTER TABLE "a.b"."t" ADD CONSTRAINT "x x y" CHECK (x > 0);
INSERT INTO "a.b"."t""x" VALUES (1, E'\\.', E'COPY t (id) FROM stdin;\n1\n\\.', E'--\n-- PostgreSQL database dump complete\n--\n');
-- Constraints that older rows break.
CREATE DOMAIN public.short AS text; CREATE TABLE public.noted (s public.short, l public.short[]); INSERT INTO public.noted VALUES ('far too long', '{"far too long"}');
ALTER DOMAIN public.short ADD CONSTRAINT at_most CHECK (length(value) < 5) NOT VALID;
