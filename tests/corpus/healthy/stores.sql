-- A schema a store, all alike; the names of some indexes carry the store's own.
CREATE TABLE public.companies (id integer PRIMARY KEY, schema_name text NOT NULL UNIQUE);
CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN NEW.changed_at := now(); RETURN NEW; END$$;
DO $make$
DECLARE store text;
BEGIN
  FOREACH store IN ARRAY ARRAY['tenant_a', 'tenant_b', 'tenant_c', 'tenant_d', 'tenant_e'] LOOP
    INSERT INTO public.companies SELECT count(*) + 1, store FROM public.companies;
    EXECUTE format('CREATE SCHEMA %I', store);
    EXECUTE format('CREATE TABLE %I.categories (id serial PRIMARY KEY, name text NOT NULL UNIQUE)', store);
    EXECUTE format('CREATE TABLE %I.products (id serial PRIMARY KEY,'
      ' category_id integer NOT NULL REFERENCES %I.categories,'
      ' name character varying(80) NOT NULL, price numeric(10,2) NOT NULL DEFAULT 0 CHECK (price >= 0),'
      ' changed_at timestamp with time zone)', store, store);
    EXECUTE format('CREATE INDEX %I ON %I.products (lower(name))', store || '_products_name', store);
    EXECUTE format('CREATE TRIGGER touch BEFORE UPDATE ON %I.products FOR EACH ROW EXECUTE FUNCTION public.touch()', store);
    EXECUTE format('CREATE VIEW %I.cheap AS SELECT id, name FROM %I.products WHERE price < 10', store, store);
    EXECUTE format('INSERT INTO %I.categories (name) SELECT ''category '' || n FROM generate_series(1, 5) n', store);
    EXECUTE format('INSERT INTO %I.products (category_id, name, price) SELECT 1 + n %% 5, ''product '' || n, n FROM generate_series(1, 40) n', store);
  END LOOP;
END $make$;
