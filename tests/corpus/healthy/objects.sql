-- Large objects, JSONB, composites, ranges, foreign and unlogged tables, collations, event triggers.
CREATE TYPE public.address AS (street text, number integer);
CREATE TYPE public.temperature AS RANGE (SUBTYPE = float8);
CREATE TABLE public.document (id integer PRIMARY KEY, body jsonb NOT NULL DEFAULT '{}', scan oid, raw bytea,
  home public.address, warm public.temperature, tags text[][] , "at" interval day to second(3), bits bit varying(9),
  stamp timestamp(3) with time zone DEFAULT '2024-01-01 00:00:00+00', x xid);
CREATE INDEX document_body ON public.document USING gin (body jsonb_path_ops);
CREATE INDEX document_hash ON public.document USING hash (raw);
INSERT INTO public.document (id, body, scan, raw, home, warm, tags)
  SELECT n, jsonb_build_object('n', n, 'list', ARRAY[n, n + 1], 'text', 'ünï'), lo_from_bytea(0, convert_to('scan ' || n, 'UTF8')),
    convert_to(repeat('x', n), 'UTF8'), ROW('Rua "A", 1', n)::public.address, public.temperature(n, n + 0.1),
    ARRAY[['a', 'b'], ['c', NULL]] FROM generate_series(1, 12) n;
CREATE UNLOGGED TABLE public.cache (key text PRIMARY KEY, value text);
INSERT INTO public.cache VALUES ('a', repeat('long ', 20000));
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE public.far (id integer NOT NULL, name text) SERVER elsewhere;
CREATE COLLATION public.plain (LOCALE = 'C');
CREATE TABLE public.sorted (name text COLLATE public.plain NOT NULL, other text COLLATE "C" DEFAULT 'x'::text);
CREATE INDEX sorted_name ON public.sorted (name COLLATE "C");
CREATE SEQUENCE public.down INCREMENT BY -2 MINVALUE -100 MAXVALUE -1 START WITH -1 CYCLE;
SELECT nextval('public.down'), nextval('public.down');
CREATE SEQUENCE public.never AS smallint;
CREATE TABLE public.nothing ();
INSERT INTO public.nothing DEFAULT VALUES;
CREATE TABLE public.of_type OF public.address (street WITH OPTIONS NOT NULL);
CREATE TABLE public.switched (id integer);
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
CREATE TRIGGER off BEFORE INSERT ON public.switched FOR EACH ROW EXECUTE FUNCTION public.refuse();
ALTER TABLE public.switched DISABLE TRIGGER off;
INSERT INTO public.switched VALUES (1), (2);
CREATE FUNCTION public.noted() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN END$$;
CREATE EVENT TRIGGER noted ON ddl_command_start EXECUTE FUNCTION public.noted();
ALTER EVENT TRIGGER noted DISABLE;
CREATE OPERATOR public.=~ (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq);
CREATE PUBLICATION everything FOR ALL TABLES;
