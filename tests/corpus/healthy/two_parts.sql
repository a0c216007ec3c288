-- Views that pg_dump writes in two parts, because their columns need a primary key or each other.
CREATE TABLE public.customer (id integer PRIMARY KEY, name text NOT NULL, city text);
CREATE TABLE public.invoice (id integer PRIMARY KEY, customer_id integer REFERENCES public.customer, amount numeric(10,2));
INSERT INTO public.customer SELECT n, 'name ' || n, 'city ' || n % 3 FROM generate_series(1, 20) n;
INSERT INTO public.invoice SELECT n, 1 + n % 20, n * 1.5 FROM generate_series(1, 100) n;
CREATE VIEW public.by_customer AS SELECT c.id, c.name, c.city, sum(i.amount) AS total FROM public.customer c LEFT JOIN public.invoice i ON i.customer_id = c.id GROUP BY c.id;
CREATE MATERIALIZED VIEW public.stored_totals AS SELECT c.id, c.name, count(i.*) AS invoices FROM public.customer c LEFT JOIN public.invoice i ON i.customer_id = c.id GROUP BY c.id;
CREATE UNIQUE INDEX stored_totals_id ON public.stored_totals (id);
CREATE VIEW public.over_stored AS SELECT s.name, b.total FROM public.stored_totals s JOIN public.by_customer b USING (id);
CREATE VIEW public.circle AS SELECT 1 AS n;
CREATE FUNCTION public.of_circle(c public.circle) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 2';
CREATE OR REPLACE VIEW public.circle AS SELECT 1 AS n, public.of_circle(NULL) AS twice;
CREATE VIEW public."of ""quotes"" and 100%" AS SELECT id AS "100%", name AS "a ""b""" FROM public.customer WHERE name LIKE '%1' GROUP BY id;
