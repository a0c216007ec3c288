-- A land survey: hash partitions, one attached with another order of columns, keys to partitioned tables, text search, casts.
CREATE SCHEMA "Survey";
CREATE TYPE "Survey".soil AS ENUM ('sand', 'clay', 'rock & "stone"');
ALTER TYPE "Survey".soil ADD VALUE 'peat' BEFORE 'clay';
CREATE TYPE "Survey".span AS RANGE (SUBTYPE = date, MULTIRANGE_TYPE_NAME = "Survey".spans);
CREATE TABLE "Survey".region (code text PRIMARY KEY, parent text REFERENCES "Survey".region DEFERRABLE, name text NOT NULL,
  bounds box, centre point, heights numrange, seasons int4multirange DEFAULT '{[1,4),[10,13)}', net inet, mac macaddr8, key uuid DEFAULT gen_random_uuid());
CREATE INDEX region_bounds ON "Survey".region USING gist (bounds);
CREATE INDEX region_centre ON "Survey".region USING spgist (centre);
CREATE INDEX region_net ON "Survey".region USING gist (net inet_ops);
CREATE TABLE "Survey".plot (id bigint NOT NULL, region text NOT NULL REFERENCES "Survey".region, soil "Survey".soil[] NOT NULL DEFAULT '{sand}',
  area double precision CHECK (area > 0), measured "Survey".span, note text, PRIMARY KEY (id, region)) PARTITION BY HASH (id);
CREATE TABLE "Survey".plot_0 PARTITION OF "Survey".plot FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE "Survey".plot_1 PARTITION OF "Survey".plot FOR VALUES WITH (MODULUS 3, REMAINDER 1) WITH (fillfactor = 70);
CREATE TABLE "Survey".plot_2 (note text, measured "Survey".span, area double precision CONSTRAINT plot_area_check CHECK (area > 0), dropped integer,
  soil "Survey".soil[] NOT NULL DEFAULT '{clay}', region text NOT NULL, id bigint NOT NULL);
ALTER TABLE "Survey".plot_2 DROP COLUMN dropped;
ALTER TABLE "Survey".plot ATTACH PARTITION "Survey".plot_2 FOR VALUES WITH (MODULUS 3, REMAINDER 2);
CREATE INDEX "plot of region" ON "Survey".plot (region, area DESC);
CREATE TABLE "Survey".reading (plot bigint, region text, at timestamptz NOT NULL, level numeric(6,3), raw bit(8) DEFAULT B'00000001',
  level_mm integer GENERATED ALWAYS AS ((level * 1000)::integer) STORED,
  FOREIGN KEY (plot, region) REFERENCES "Survey".plot ON DELETE CASCADE) PARTITION BY RANGE (at, region);
CREATE TABLE "Survey".reading_old PARTITION OF "Survey".reading FOR VALUES FROM (MINVALUE, MINVALUE) TO ('2024-01-01', MINVALUE);
CREATE TABLE "Survey".reading_new PARTITION OF "Survey".reading FOR VALUES FROM ('2024-01-01', MINVALUE) TO (MAXVALUE, MAXVALUE) PARTITION BY LIST (region);
CREATE TABLE "Survey".reading_new_n PARTITION OF "Survey".reading_new FOR VALUES IN ('N', 'NE', NULL);
CREATE TABLE "Survey"."reading new, others" PARTITION OF "Survey".reading_new DEFAULT;
CREATE UNIQUE INDEX reading_once ON "Survey".reading (plot, region, at);
ALTER TABLE ONLY "Survey".reading REPLICA IDENTITY FULL;
CREATE FUNCTION "Survey".checked() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.level := round(NEW.level, 2); RETURN NEW; END$$;
CREATE TRIGGER rounded BEFORE INSERT OR UPDATE OF level ON "Survey".reading FOR EACH ROW EXECUTE FUNCTION "Survey".checked();
CREATE TEXT SEARCH DICTIONARY "Survey".plain (TEMPLATE = simple, STOPWORDS = english);
CREATE TEXT SEARCH CONFIGURATION "Survey".notes (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION "Survey".notes ALTER MAPPING FOR asciiword WITH "Survey".plain;
CREATE TABLE "Survey".report (id serial PRIMARY KEY, body text, words tsvector GENERATED ALWAYS AS (to_tsvector('"Survey".notes'::regconfig, coalesce(body, ''))) STORED);
CREATE INDEX report_words ON "Survey".report USING gin (words) WITH (fastupdate = off);
CREATE TYPE "Survey".metres AS (value numeric);
CREATE FUNCTION "Survey".in_metres(numeric) RETURNS "Survey".metres LANGUAGE sql IMMUTABLE AS $$SELECT ROW($1)::"Survey".metres$$;
CREATE CAST (numeric AS "Survey".metres) WITH FUNCTION "Survey".in_metres(numeric) AS ASSIGNMENT;
CREATE FUNCTION "Survey".longer("Survey".metres, "Survey".metres) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$SELECT ($1).value > ($2).value$$;
CREATE OPERATOR "Survey".>>> (LEFTARG = "Survey".metres, RIGHTARG = "Survey".metres, FUNCTION = "Survey".longer);
CREATE FUNCTION "Survey".keep(anyelement, anyelement) RETURNS anyelement LANGUAGE sql IMMUTABLE AS $$SELECT coalesce($1, $2)$$;
CREATE AGGREGATE "Survey".first_seen (anyelement) (SFUNC = "Survey".keep, STYPE = anyelement);
INSERT INTO "Survey".region (code, parent, name, bounds, centre, net) VALUES ('N', NULL, 'North', '((0,0),(1,1))', '(0.5,0.5)', '10.0.0.0/8'),
  ('NE', 'N', 'North''s east', NULL, '(1,2)', '2001:db8::/32'), ('S', NULL, 'South', '((5,5),(7,7))', NULL, NULL);
INSERT INTO "Survey".plot (id, region, soil, area, measured, note) SELECT n, (ARRAY['N', 'NE', 'S'])[1 + n % 3], ARRAY['rock & "stone"', 'clay']::"Survey".soil[], n + 0.5,
  "Survey".span('2023-01-01', date '2023-01-01' + n), repeat('wet, ', n % 4) FROM generate_series(1, 90) n;
INSERT INTO "Survey".reading (plot, region, at, level) SELECT p.id, p.region, timestamptz '2023-11-01 00:00+00' + k * interval '1 month', k + 0.1234 FROM "Survey".plot p, generate_series(0, 5) k;
INSERT INTO "Survey".report (body) SELECT 'The plot ' || n || ' of the north is wet' FROM generate_series(1, 12) n;
CREATE VIEW "Survey".wettest AS SELECT DISTINCT ON (region) region, plot, level FROM "Survey".reading ORDER BY region, level DESC;
CREATE STATISTICS "Survey"."plot facts" (ndistinct, mcv) ON region, area FROM "Survey".plot;
GRANT USAGE ON SCHEMA "Survey" TO PUBLIC;
COMMENT ON TYPE "Survey".soil IS 'what it stands on';
COMMENT ON INDEX "Survey"."plot of region" IS $c$for the map's list$c$;
