-- Row-level security, grants, default privileges. The role is made by the test: dumps hold none.
CREATE TABLE public.account (id integer PRIMARY KEY, owner name NOT NULL DEFAULT current_user, balance numeric NOT NULL);
ALTER TABLE public.account ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.account FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON public.account USING (owner = current_user) WITH CHECK (balance >= 0);
CREATE POLICY clerk ON public.account FOR SELECT TO corpus_clerk, PUBLIC USING (true);
CREATE POLICY clerk_only ON public.account AS RESTRICTIVE FOR DELETE TO corpus_clerk USING (balance = 0);
GRANT SELECT, UPDATE (balance) ON public.account TO corpus_clerk;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO corpus_clerk;
INSERT INTO public.account SELECT n, 'clerk' || n, n FROM generate_series(1, 25) n;
CREATE FUNCTION public.total() RETURNS numeric LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS
  $$SELECT sum(balance) FROM public.account$$;
REVOKE ALL ON FUNCTION public.total() FROM PUBLIC;
