-- What production may hold and a restore prints, counts or names in another way.
CREATE TABLE public.parent (id serial PRIMARY KEY, a integer DEFAULT 1 NOT NULL, t text DEFAULT 'p', CONSTRAINT inherited CHECK (a < 1000), CONSTRAINT own CHECK (a > 0) NO INHERIT);
CREATE TABLE public.child (b integer) INHERITS (public.parent);
ALTER TABLE public.child ALTER a SET DEFAULT 5, ALTER t DROP DEFAULT;
INSERT INTO public.parent (a) VALUES (1), (2);
INSERT INTO public.child (id, a) VALUES (3, 7), (4, 8);
CREATE TABLE public.leaf (id integer PRIMARY KEY, parent_id integer);
INSERT INTO public.leaf VALUES (1, 1);
CREATE TABLE public.leaf_more () INHERITS (public.leaf);
INSERT INTO public.leaf_more VALUES (2, 999);
ALTER TABLE public.leaf ADD CONSTRAINT of_parent FOREIGN KEY (parent_id) REFERENCES public.parent NOT VALID;
CREATE TABLE public.ranged (k integer, d text) PARTITION BY RANGE (k);
CREATE TABLE public.ranged_1 PARTITION OF public.ranged FOR VALUES FROM (0) TO (10);
CREATE TABLE public.ranged_2 PARTITION OF public.ranged DEFAULT PARTITION BY LIST (d);
CREATE TABLE public.ranged_2_x PARTITION OF public.ranged_2 FOR VALUES IN ('x', NULL);
INSERT INTO public.ranged SELECT n, 'x' FROM generate_series(0, 40) n;
CREATE INDEX of_the_whole_alone ON ONLY public.ranged (k);
CREATE DOMAIN public.positive AS integer;
CREATE TABLE public.with_domain (d public.positive);
INSERT INTO public.with_domain VALUES (5);
ALTER DOMAIN public.positive ADD CONSTRAINT above_zero CHECK (VALUE > 0) NOT VALID;
CREATE TABLE public.judged (v character varying(10), w character varying, i integer, e character varying[], m money DEFAULT 5.25,
  CONSTRAINT within_and CHECK (i BETWEEN -5 AND 5 AND (i > -3 OR (i < 2 AND i <> -1))),
  CONSTRAINT any_of CHECK (w = ANY (ARRAY[e[1], 'k)'::character varying, ('z' || w)::character varying])),
  CONSTRAINT in_list CHECK (v IN ('a', E'x\\y', 'it''s')));
CREATE VIEW public.rows_of_values AS (SELECT 1 AS x UNION (SELECT 2 EXCEPT ALL SELECT 3) ORDER BY 1) UNION ALL VALUES (4), (5);
CREATE FUNCTION public.next_id() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id := (SELECT coalesce(max(id), 0) + 1 FROM public.by_trigger); RETURN NEW; END $$;
CREATE TABLE public.by_trigger (id serial PRIMARY KEY);
CREATE TRIGGER next_id BEFORE INSERT ON public.by_trigger FOR EACH ROW EXECUTE FUNCTION public.next_id();
INSERT INTO public.by_trigger DEFAULT VALUES;
SELECT setval('public.by_trigger_id_seq', 1, false);
CREATE TYPE public.word AS (w text);
CREATE FUNCTION public.same(public.word, public.word) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT bttextcmp(lower(($1).w), lower(($2).w))';
CREATE FUNCTION public.equal(public.word, public.word) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT public.same($1, $2) = 0';
CREATE FUNCTION public.less(public.word, public.word) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT public.same($1, $2) < 0';
CREATE OPERATOR public.= (LEFTARG = public.word, RIGHTARG = public.word, FUNCTION = public.equal, COMMUTATOR = OPERATOR(public.=));
CREATE OPERATOR public.< (LEFTARG = public.word, RIGHTARG = public.word, FUNCTION = public.less);
CREATE OPERATOR CLASS public.words DEFAULT FOR TYPE public.word USING btree AS OPERATOR 1 public.<, OPERATOR 3 public.=, FUNCTION 1 public.same(public.word, public.word);
CREATE TABLE public.named (w public.word PRIMARY KEY);
CREATE TABLE public.naming (w public.word);
INSERT INTO public.named VALUES (ROW('Loja'));
INSERT INTO public.naming VALUES (ROW('LOJA'));
ALTER TABLE public.naming ADD CONSTRAINT of_named FOREIGN KEY (w) REFERENCES public.named NOT VALID;
CREATE PUBLICATION all_here FOR TABLE public.with_domain, public.judged, public.leaf, public.child;
