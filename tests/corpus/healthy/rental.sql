-- A shop that lends films: enum, domain, full text, partitions, views, an aggregate, a rule.
CREATE TYPE public.rating AS ENUM ('free', '12', '16', '18');
CREATE DOMAIN public.year AS integer CHECK (VALUE BETWEEN 1888 AND 2155);
CREATE DOMAIN public.money_amount AS numeric(8,2) NOT NULL DEFAULT 0;
CREATE TABLE public.film (
  film_id integer GENERATED ALWAYS AS IDENTITY (START WITH 100 INCREMENT BY 5) PRIMARY KEY,
  title text NOT NULL,
  released public.year,
  rating public.rating DEFAULT 'free'::public.rating,
  features text[] DEFAULT ARRAY['none, really', '(empty)'],
  rate public.money_amount,
  fulltext tsvector,
  CONSTRAINT film_title_check CHECK (length(title) > 0 AND title <> ', NOT NULL (')
);
CREATE INDEX film_fulltext ON public.film USING gin (fulltext);
CREATE INDEX film_recent ON public.film (released DESC NULLS LAST) INCLUDE (title) WHERE released > 1990;
CREATE TRIGGER film_text BEFORE INSERT OR UPDATE ON public.film
  FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger(fulltext, 'pg_catalog.english', title);
CREATE TABLE public.payment (
  payment_id bigserial, film_id integer NOT NULL REFERENCES public.film, amount numeric(5,2) NOT NULL,
  paid_on date NOT NULL, PRIMARY KEY (payment_id, paid_on, film_id)
) PARTITION BY RANGE (paid_on);
CREATE TABLE public.payment_2024 PARTITION OF public.payment FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE public.payment_2025 PARTITION OF public.payment FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')
  PARTITION BY LIST (film_id);
CREATE TABLE public.payment_2025_odd PARTITION OF public.payment_2025 FOR VALUES IN (105, 115);
CREATE TABLE public.payment_2025_rest PARTITION OF public.payment_2025 DEFAULT;
CREATE INDEX payment_amount ON public.payment (amount);
INSERT INTO public.film (title, released, rating, rate)
  SELECT 'Film ' || n, 1980 + n, '16', n FROM generate_series(1, 30) n;
INSERT INTO public.payment (film_id, amount, paid_on)
  SELECT 100 + 5 * (n % 30), n % 9, date '2024-06-01' + n FROM generate_series(1, 200) n;
CREATE VIEW public.takings AS
  SELECT f.title, sum(p.amount) AS total FROM public.film f JOIN public.payment p USING (film_id) GROUP BY f.title;
CREATE MATERIALIZED VIEW public.takings_by_month AS
  SELECT date_trunc('month', paid_on) AS month, sum(amount) AS total FROM public.payment GROUP BY 1;
CREATE UNIQUE INDEX takings_month ON public.takings_by_month (month);
CREATE FUNCTION public.join_words(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT coalesce($1 || ', ', '') || $2$$;
CREATE FUNCTION public.join_words(integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT $1::text$$;
CREATE AGGREGATE public.listed (text) (SFUNC = public.join_words, STYPE = text);
CREATE PROCEDURE public.forget(integer) LANGUAGE sql AS $$DELETE FROM public.payment WHERE payment_id = $1$$;
CREATE TABLE public.film_log (film_id integer, at timestamp without time zone DEFAULT now());
CREATE RULE film_logged AS ON DELETE TO public.film DO ALSO INSERT INTO public.film_log VALUES (OLD.film_id);
COMMENT ON TABLE public.film IS 'Every film''s own row; see "rental".';
COMMENT ON COLUMN public.film.rate IS E'per day\nin the local currency';
