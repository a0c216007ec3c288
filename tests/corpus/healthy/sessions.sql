-- Views that need a session, or that do something when they are run: they are there, and that is all.
CREATE TABLE public.account (id integer PRIMARY KEY, tenant text);
INSERT INTO public.account VALUES (1, 'a');
CREATE TABLE public.written (at timestamptz);
CREATE SEQUENCE public.counted;
CREATE FUNCTION public.must_have_user() RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RAISE EXCEPTION 'no user'; END $$;
CREATE FUNCTION public.writes() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.written VALUES (now()); RETURN 1; END $$;
CREATE FUNCTION public.unqualified() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM account); END $$;
CREATE VIEW public.of_tenant AS SELECT * FROM public.account WHERE tenant = current_setting('app.tenant');
CREATE VIEW public.of_user AS SELECT * FROM public.account WHERE tenant = public.must_have_user();
CREATE VIEW public.divides AS SELECT 1 / (id - 1) AS n FROM public.account;
CREATE VIEW public.divides_at_once AS SELECT 1 / 0 AS n;
CREATE VIEW public.writing AS SELECT public.writes() AS n;
CREATE VIEW public.counting AS SELECT nextval('public.counted') AS n;
CREATE VIEW public.by_search_path AS SELECT public.unqualified() AS n;
CREATE VIEW public.for_hours AS SELECT pg_sleep(7200) IS NULL AS n;
