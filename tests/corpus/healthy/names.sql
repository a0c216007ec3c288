-- Names that need quotes, and some that try to break out of them.
CREATE SCHEMA "Übersicht; DROP";
CREATE SCHEMA "two words";
CREATE TABLE "two words"."Order" ("select" integer PRIMARY KEY, "a ""quoted"" name" text DEFAULT 'it''s, (here)',
  "100%" numeric(4,1), "with.dot" integer[], "NOT NULL" integer NOT NULL DEFAULT 1,
  CONSTRAINT "CHECK ( it" CHECK ("100%" > 0));
CREATE TABLE "two words"."Order lines" ("order" integer CONSTRAINT "to Order" REFERENCES "two words"."Order",
  line serial, "<script>alert(1)</script>" text);
CREATE TABLE "Übersicht; DROP"."Café ☕" ("ключ" bigint GENERATED ALWAYS AS IDENTITY, "%s %(x)s {0}" text, UNIQUE ("%s %(x)s {0}"));
CREATE INDEX "Index of Order" ON "two words"."Order" ("a ""quoted"" name" text_pattern_ops);
CREATE VIEW "two words"."View.of" AS SELECT "select", "100%" FROM "two words"."Order";
CREATE FUNCTION "two words"."Fn (x)"(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1';
CREATE TYPE "two words"."Mixed Type" AS ENUM ('Ä', 'b ''b''');
CREATE TABLE "two words".typed (m "two words"."Mixed Type" DEFAULT 'Ä'::"two words"."Mixed Type", n "two words"."Mixed Type"[]);
INSERT INTO "two words"."Order" VALUES (1, E'tab\there\\ and newline\n', 1.5, '{1,2}'), (2, '\.', 2, '{}');
INSERT INTO "two words"."Order lines" ("order") VALUES (1), (1), (2);
INSERT INTO "Übersicht; DROP"."Café ☕" ("%s %(x)s {0}") VALUES ('<img src=x onerror=alert(1)>'), (NULL);
INSERT INTO "two words".typed VALUES ('b ''b''', '{Ä,NULL}');
CREATE SCHEMA "-";
CREATE TABLE "-"."-" ("-" integer CONSTRAINT "- k" PRIMARY KEY);
CREATE INDEX "-- Name: x; Type: INDEX" ON "-"."-" ("-");
CREATE FUNCTION "-"."f (x"("a,b" integer) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE SCHEMA "a
b";
CREATE TABLE "a
b"."t
1" ("id
" integer GENERATED ALWAYS AS IDENTITY, v text CONSTRAINT "ch
k" CHECK (v <> ''), CONSTRAINT "p
k" PRIMARY KEY ("id
"));
INSERT INTO "a
b"."t
1" (v) VALUES ('a'), (E'b\nc');
CREATE FUNCTION "a
b"."f
1"() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER "tr
g" BEFORE UPDATE OF v ON "a
b"."t
1" FOR EACH ROW EXECUTE FUNCTION "a
b"."f
1"();
CREATE POLICY "po
l" ON "a
b"."t
1" USING (true);
ALTER TABLE "a
b"."t
1" ENABLE ROW LEVEL SECURITY;
CREATE RULE "ru
le" AS ON DELETE TO "a
b"."t
1" DO INSTEAD NOTHING;
ALTER TABLE "a
b"."t
1" ADD CONSTRAINT "later
" CHECK (v <> 'x') NOT VALID;
CREATE SEQUENCE "a
b"."s
1";
SELECT nextval(E'"a\nb"."s\n1"');
-- As many columns as a table may have, with long names.
DO $$ BEGIN EXECUTE 'CREATE TABLE public.wide (' || (SELECT string_agg(format('%I smallint', rpad('column ' || n, 60, 'x')), ', ')
  FROM generate_series(1, 1600) n) || ')'; END $$;
INSERT INTO public.wide DEFAULT VALUES;
