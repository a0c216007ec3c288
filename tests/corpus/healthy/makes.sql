-- A schema public of production's own, and what a restore prints, numbers or fills up in another way.
DROP SCHEMA public CASCADE;
CREATE SCHEMA public;
COMMENT ON SCHEMA public IS 'of our own';
SET search_path = public;
CREATE FUNCTION given() RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;
CREATE DOMAIN by_search_path AS text DEFAULT given();
CREATE TABLE given_word (a by_search_path, b int);
INSERT INTO given_word DEFAULT VALUES;
RESET search_path;
-- Pages that were never written, and one that is short.
SELECT lo_create(900003);
SELECT lo_put(900003, 0, 'short'), lo_put(900003, 2048 * 3 + 5, 'far');
-- What CREATE INDEX CONCURRENTLY leaves when it fails.
CREATE INDEX not_built ON public.given_word (b);
COMMENT ON INDEX public.not_built IS 'left over';
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'public.not_built'::regclass;
-- A trigger that is switched off two levels below the table that has it.
CREATE FUNCTION public.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE public.top (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE public.lower_1 PARTITION OF public.top FOR VALUES FROM ('2020-01-01') TO (MAXVALUE) PARTITION BY LIST (id);
CREATE TABLE public.lower_1_a PARTITION OF public.lower_1 FOR VALUES IN (1, 2);
CREATE TABLE public.lower_2 PARTITION OF public.top DEFAULT;
CREATE TRIGGER noted AFTER INSERT ON public.top FOR EACH ROW EXECUTE FUNCTION public.nothing();
ALTER TABLE public.lower_1_a DISABLE TRIGGER noted;
ALTER TABLE public.lower_2 ENABLE ALWAYS TRIGGER noted;
INSERT INTO public.top VALUES (1, '2021-01-01'), (2, '2019-01-01');
-- Columns that a child got after its own.
CREATE TABLE public.elder (a int);
CREATE TABLE public.younger (own int) INHERITS (public.elder);
ALTER TABLE public.elder ADD late int DEFAULT 7;
INSERT INTO public.younger VALUES (1, 2, 3);
CREATE TYPE public.of_three AS (a int, b text, c int);
CREATE TABLE public.typed OF public.of_three (PRIMARY KEY (a));
ALTER TYPE public.of_three DROP ATTRIBUTE b CASCADE, ADD ATTRIBUTE d text CASCADE;
INSERT INTO public.typed VALUES (1, 2, 'x');
CREATE TYPE public.nobody AS ();
CREATE TYPE public.words AS RANGE (SUBTYPE = text, COLLATION = "C", MULTIRANGE_TYPE_NAME = "several Words");
CREATE TABLE public.kept_words (r public.words, m public."several Words", n public.nobody);
INSERT INTO public.kept_words VALUES ('["a,b","c\\d"]', '{[a,b),[c,d)}', ROW()), ('empty', '{}', NULL);
CREATE AGGREGATE public.ranked (VARIADIC "any" ORDER BY VARIADIC "any") (SFUNC = ordered_set_transition_multi, STYPE = internal, FINALFUNC = rank_final, FINALFUNC_EXTRA, HYPOTHETICAL);
CREATE OPERATOR FAMILY public.loose USING hash;
ALTER OPERATOR FAMILY public.loose USING hash ADD OPERATOR 1 pg_catalog.= (int4, int8);
