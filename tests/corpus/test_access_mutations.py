"""Owners and privileges: each change between production and a restored database is found and named.

Both ways, as in `test_mutations.py`: the restored database is changed, and a dump of the changed
database lies beside the manifest of the one before.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import (
    manifest,
    manifest_snapshot,
    restore,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database import (
    access,
    structure,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.staging.private_cluster import (
    Cluster,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.staging.staging import (
    ExternalSettings,
)
from support.drill_settings import drill_settings, standing_staging
from testbed import production

from corpus.lab import FORMS, Dump, Lab, evidence_of, finding_texts, found

# Names that must be quoted: upper case, a quote, a line break, 63 bytes of two-byte letters.
ODD = 'The "Chief"\nof all', "ção " * 10 + "abc"
CLERK, BAKER = "access_clerk", "access_baker"
ODD_OWNER, ODD_READER = ('"' + name.replace('"', '""') + '"' for name in ODD)
ROLES = f"""
CREATE ROLE {CLERK}; CREATE ROLE {BAKER}; CREATE ROLE access_group; CREATE ROLE access_other;
CREATE ROLE access_root SUPERUSER; CREATE ROLE {ODD_OWNER}; CREATE ROLE {ODD_READER};
GRANT access_group TO {CLERK};
"""
OBJECTS = f"""
CREATE EXTENSION vector; CREATE SCHEMA shop AUTHORIZATION {CLERK}; CREATE SCHEMA kitchen;
GRANT USAGE ON SCHEMA shop TO {BAKER}, PUBLIC; GRANT USAGE ON SCHEMA kitchen TO access_group;
CREATE TABLE shop.sale (id serial PRIMARY KEY, total numeric, note text);
INSERT INTO shop.sale (total) SELECT n FROM generate_series(1, 20) n;
CREATE TABLE shop.item (id integer PRIMARY KEY, sale integer REFERENCES shop.sale);
INSERT INTO shop.item SELECT n, n FROM generate_series(1, 20) n;
CREATE TABLE kitchen.dish (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text);
CREATE SEQUENCE shop.number;
CREATE VIEW shop.sums AS SELECT sum(total) FROM shop.sale;
CREATE MATERIALIZED VIEW shop.kept AS SELECT s.id FROM shop.sale s, kitchen.dish d;
CREATE FUNCTION shop.twice(n integer, m numeric DEFAULT 1) RETURNS integer LANGUAGE sql
 AS 'SELECT n * 2';
CREATE PROCEDURE shop.nothing() LANGUAGE plpgsql AS 'BEGIN END';
CREATE TYPE shop.mood AS ENUM ('a', 'b'); CREATE DOMAIN shop.share AS numeric;
CREATE FUNCTION shop.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER watched ON ddl_command_end EXECUTE FUNCTION shop.on_ddl();
ALTER EVENT TRIGGER watched OWNER TO access_root;
CREATE FOREIGN DATA WRAPPER wrapper; ALTER FOREIGN DATA WRAPPER wrapper OWNER TO access_root;
CREATE SERVER far FOREIGN DATA WRAPPER wrapper; GRANT USAGE ON FOREIGN SERVER far TO {CLERK};
CREATE PUBLICATION news FOR TABLE shop.sale;
CREATE STATISTICS shop.of_sale (ndistinct) ON id, total FROM shop.sale;
ALTER TABLE shop.sale OWNER TO {CLERK}; ALTER TABLE shop.item OWNER TO {ODD_OWNER};
ALTER MATERIALIZED VIEW shop.kept OWNER TO {BAKER}; ALTER FUNCTION shop.twice OWNER TO {CLERK};
ALTER PUBLICATION news OWNER TO {CLERK}; ALTER STATISTICS shop.of_sale OWNER TO {CLERK};
GRANT SELECT, INSERT ON shop.sale TO {BAKER} WITH GRANT OPTION;
GRANT SELECT ON shop.item TO {ODD_READER}, PUBLIC;
GRANT UPDATE (note, total) ON shop.sale TO access_group;
GRANT SELECT ON shop.sums TO PUBLIC; GRANT USAGE ON SEQUENCE shop.number TO {BAKER};
REVOKE EXECUTE ON FUNCTION shop.twice FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shop.twice TO {BAKER};
REVOKE USAGE ON TYPE shop.mood FROM PUBLIC; REVOKE ALL ON kitchen.dish FROM postgres;
SET SESSION AUTHORIZATION {BAKER}; GRANT SELECT ON shop.sale TO access_other;
RESET SESSION AUTHORIZATION;
ALTER DEFAULT PRIVILEGES FOR ROLE {CLERK} IN SCHEMA shop GRANT SELECT ON TABLES TO {BAKER};
ALTER DEFAULT PRIVILEGES FOR ROLE {CLERK} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER TABLE shop.sale ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON shop.sale TO {BAKER}, {ODD_READER} USING (true);
GRANT CREATE ON SCHEMA public TO {CLERK};
SELECT lo_create(number) FROM generate_series(8001, 8004) number;
ALTER LARGE OBJECT 8001 OWNER TO {CLERK}; ALTER LARGE OBJECT 8002 OWNER TO {ODD_OWNER};
GRANT SELECT ON LARGE OBJECT 8002 TO {ODD_READER}; GRANT SELECT ON LARGE OBJECT 8003 TO PUBLIC;
ALTER DATABASE shop OWNER TO {CLERK}; REVOKE TEMPORARY ON DATABASE shop FROM PUBLIC;
GRANT CREATE ON DATABASE shop TO {ODD_READER}; COMMENT ON DATABASE shop IS 'the shop';
ALTER DATABASE shop SET search_path = shop, public; ALTER DATABASE shop SET shop.key = 'secret';
"""
# What may be restored otherwise than it was, and means the same.
ODDITIES = f"""
ALTER SCHEMA public OWNER TO {BAKER}; REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE EXTENSION vector; REVOKE EXECUTE ON FUNCTION public.vector_in FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text) TO {BAKER};
CREATE TABLE public.watched (id integer GENERATED ALWAYS AS IDENTITY, s serial);
GRANT SELECT ON public.watched TO pg_monitor; ALTER TABLE public.watched OWNER TO {CLERK};
CREATE POLICY p ON public.watched TO pg_monitor USING (true);
CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO access_group; CREATE TABLE app.t (id integer);
GRANT SELECT ON app.t TO {CLERK} WITH GRANT OPTION;
SET SESSION AUTHORIZATION {CLERK}; GRANT SELECT ON app.t TO PUBLIC; RESET SESSION AUTHORIZATION;
CREATE TABLE app.hidden (id integer); ALTER TABLE app.hidden OWNER TO access_group;
CREATE MATERIALIZED VIEW app.m AS SELECT * FROM app.hidden; ALTER TABLE app.m OWNER TO {BAKER};
CREATE FUNCTION app."we(ird"("a b" integer, VARIADIC x text[]) RETURNS bigint LANGUAGE sql
 AS 'SELECT 1'; ALTER FUNCTION app."we(ird" OWNER TO {CLERK};
CREATE AGGREGATE app.many(*) (SFUNC = int8inc, STYPE = bigint, INITCOND = 0);
ALTER AGGREGATE app.many(*) OWNER TO {CLERK};
CREATE FUNCTION app.f(integer, integer) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR app.<<% (LEFTARG = integer, RIGHTARG = integer, FUNCTION = app.f);
ALTER OPERATOR app.<<% (integer, integer) OWNER TO {CLERK};
CREATE OPERATOR FAMILY app.family USING btree;
ALTER OPERATOR FAMILY app.family USING btree OWNER TO {CLERK};
CREATE TYPE app.span AS RANGE (subtype = integer); ALTER TYPE app.span OWNER TO {CLERK};
CREATE TYPE app.pair AS (a integer); ALTER TYPE app.pair OWNER TO {CLERK};
CREATE COLLATION app.plain FROM "C"; ALTER COLLATION app.plain OWNER TO {CLERK};
CREATE TEXT SEARCH DICTIONARY app.words (TEMPLATE = simple);
ALTER TEXT SEARCH DICTIONARY app.words OWNER TO {CLERK};
CREATE CONVERSION app.from_latin FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
ALTER CONVERSION app.from_latin OWNER TO {CLERK};
SELECT lo_create(77); ALTER LARGE OBJECT 77 OWNER TO {CLERK};
GRANT USAGE ON LANGUAGE plpgsql TO {CLERK};
CREATE TABLE app.parted (a integer) PARTITION BY LIST (a);
GRANT SELECT (a) ON app.parted TO {BAKER};
CREATE TABLE app.part PARTITION OF app.parted FOR VALUES IN (1);
ALTER TABLE app.part OWNER TO {BAKER};
REVOKE ALL ON app.part FROM {BAKER}; CREATE PUBLICATION everything FOR ALL TABLES;
ALTER DEFAULT PRIVILEGES FOR ROLE {BAKER} REVOKE ALL ON TABLES FROM {BAKER};
ALTER DEFAULT PRIVILEGES FOR ROLE {BAKER} GRANT ALL ON TYPES TO {CLERK} WITH GRANT OPTION;
CREATE FUNCTION app.forbidden() RETURNS event_trigger LANGUAGE plpgsql
 AS $$ BEGIN RAISE 'no'; END $$;
CREATE EVENT TRIGGER forbids ON ddl_command_start EXECUTE FUNCTION app.forbidden();
ALTER EVENT TRIGGER forbids ENABLE ALWAYS;
"""
# What is changed, and what a finding's text must name. Those of one round are changed together.
FIRST_ROUND = {
    "privilege dropped": (
        f"REVOKE SELECT ON shop.item FROM {ODD_READER}",
        "privileges on relation shop.item is `",
    ),
    "last privilege dropped": (
        "REVOKE SELECT ON shop.sums FROM PUBLIC",
        "privileges on relation shop.sums is `default`, in production it was"
        " `(owner): DELETE, INSERT",
    ),
    "grant option dropped": (
        f"REVOKE GRANT OPTION FOR INSERT ON shop.sale FROM {BAKER}",
        f"{BAKER}: INSERT, SELECT WITH GRANT OPTION; access_other by",
    ),
    "privilege of a column dropped": (
        "REVOKE UPDATE (total) ON shop.sale FROM access_group",
        "privileges on column shop.sale.total is `default`, in production it was"
        " `access_group: UPDATE`",
    ),
    "privilege of a schema dropped": (
        f"REVOKE USAGE ON SCHEMA shop FROM {BAKER}",
        "privileges on schema shop is `(owner): CREATE, USAGE; PUBLIC: USAGE`",
    ),
    "privilege of the schema public": (
        f"REVOKE CREATE ON SCHEMA public FROM {CLERK}",
        "privileges on schema public is `",
    ),
    "privilege of a function": (
        "GRANT EXECUTE ON FUNCTION shop.twice TO PUBLIC",
        "privileges on function shop.twice(n integer, m numeric) is `",
    ),
    "privilege of a sequence": (
        f"REVOKE USAGE ON SEQUENCE shop.number FROM {BAKER}",
        "privileges on relation shop.number is `default`",
    ),
    "privilege of a type": (
        "GRANT USAGE ON TYPE shop.mood TO PUBLIC",
        "privileges on type shop.mood is `default`, in production it was `(owner): USAGE`",
    ),
    "privilege of a foreign server": (
        f"REVOKE USAGE ON FOREIGN SERVER far FROM {CLERK}",
        "privileges on foreign server far is `default`",
    ),
    "everything revoked from the owner": (
        "GRANT ALL ON kitchen.dish TO postgres",
        "privileges on relation kitchen.dish is `default`, in production it was `none`",
    ),
    "default privilege dropped": (
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {CLERK} IN SCHEMA shop"
        f" REVOKE SELECT ON TABLES FROM {BAKER}",
        f"privileges by default FOR ROLE {CLERK} IN SCHEMA shop ON TABLES is `default`, in"
        f" production it was `{BAKER}: SELECT`",
    ),
    "default privilege of functions": (
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {CLERK} GRANT EXECUTE ON FUNCTIONS TO PUBLIC",
        f"privileges by default FOR ROLE {CLERK} ON FUNCTIONS is `default`",
    ),
    "default privilege more": (
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {BAKER} GRANT USAGE ON SCHEMAS TO {CLERK}",
        f"privileges by default FOR ROLE {BAKER} ON SCHEMAS is `",
    ),
    "owner of an odd name": (
        "ALTER TABLE shop.item OWNER TO access_other",
        'owner of relation shop.item is `access_other`, in production it was `The "Chief"',
    ),
    "owner of a sequence": (
        f"ALTER SEQUENCE shop.number OWNER TO {BAKER}",
        f"owner of relation shop.number is `{BAKER}`, in production it was `postgres`",
    ),
    "owner of a materialized view": (
        f"ALTER MATERIALIZED VIEW shop.kept OWNER TO {CLERK}",
        f"owner of relation shop.kept is `{CLERK}`, in production it was `{BAKER}`",
    ),
    "owner of a schema": (
        f"ALTER SCHEMA kitchen OWNER TO {BAKER}",
        f"owner of schema kitchen is `{BAKER}`, in production it was `postgres`",
    ),
    "owner of the schema public": (
        f"ALTER SCHEMA public OWNER TO {BAKER}",
        f"owner of schema public is `{BAKER}`, in production it was `pg_database_owner",
    ),
    "owner of a function": (
        f"ALTER FUNCTION shop.twice OWNER TO {BAKER}",
        f"owner of function shop.twice(n integer, m numeric) is `{BAKER}`",
    ),
    "owner of a procedure": (
        f"ALTER PROCEDURE shop.nothing OWNER TO {BAKER}",
        f"owner of function shop.nothing() is `{BAKER}`",
    ),
    "owner of a type": (
        f"ALTER DOMAIN shop.share OWNER TO {BAKER}",
        f"owner of type shop.share is `{BAKER}`",
    ),
    "owner of statistics": (
        f"ALTER STATISTICS shop.of_sale OWNER TO {BAKER}",
        f"owner of statistics shop.of_sale is `{BAKER}`",
    ),
    "owner of a publication": (
        f"ALTER PUBLICATION news OWNER TO {BAKER}",
        f"owner of publication news is `{BAKER}`",
    ),
    "owner of an event trigger": (
        "ALTER EVENT TRIGGER watched OWNER TO postgres",
        "owner of event trigger watched is `postgres`, in production it was `access_root`",
    ),
    "owner of a large object": (
        f"ALTER LARGE OBJECT 8001 OWNER TO {BAKER}",
        f"the owner of large object 8001 is `{BAKER}`, in production it was `{CLERK}`",
    ),
    "owner of a large object of an odd name": (
        f"ALTER LARGE OBJECT 8002 OWNER TO {BAKER}",
        "the owner of large object 8002 is `access_baker`, in production it was `The",
    ),
    "privilege of a large object": (
        "REVOKE SELECT ON LARGE OBJECT 8003 FROM PUBLIC",
        "privileges on large object 8003 is `default`, in production it was `(owner): SELECT",
    ),
    "privilege more of a large object": (
        f"GRANT UPDATE ON LARGE OBJECT 8004 TO {ODD_READER}",
        "privileges on large object 8004 is `",
    ),
    "comment of an extension": (
        "COMMENT ON EXTENSION vector IS 'unlike'",
        "comment of extension vector is `unlike`, in production it was `",
    ),
    "roles of a policy": (
        f"ALTER POLICY mine ON shop.sale TO {BAKER}",
        "policy shop.sale.mine is `",
    ),
}
SECOND_ROUND = {
    "privilege more": (
        "GRANT DELETE ON shop.sums TO PUBLIC",
        "PUBLIC: DELETE, SELECT`, in production",
    ),
    "grant of another role dropped": (
        f"SET SESSION AUTHORIZATION {BAKER}; REVOKE SELECT ON shop.sale FROM access_other;"
        " RESET SESSION AUTHORIZATION",
        f"access_other by {BAKER}: SELECT",
    ),
    "owner of a table": (
        f"ALTER TABLE shop.sale OWNER TO {BAKER}",
        f"owner of relation shop.sale is `{BAKER}`, in production it was `{CLERK}`",
    ),
}
ROUNDS = [FIRST_ROUND, SECOND_ROUND]


@dataclasses.dataclass
class Bench:
    """Production's server and a throw-away one, with a manifest and a restored copy."""

    old: Lab
    new: Lab
    held: manifest.Manifest
    dump: Dump

    def restore(self, dump: Dump, database: str) -> restore.RestoreResult:
        done = restore.restore(
            dump.ready, self.new.server, database, jobs=2, replace=True, roles=self.held.roles
        )
        assert done.errors == []
        return done

    def texts(self, database: str, dump: Dump) -> str:
        """Return the texts of all findings of a restored database, with this manifest."""
        expected = copy.deepcopy(dump.expected)
        texts = [one.text for one in manifest.apply(self.held, expected)]
        assert self.held.access
        itself = dump.ready.kind.holds_the_database
        expected.access = access.of_dump(
            self.held.access, itself=itself, privileges=True, refused=()
        ).to_dict()
        result = self.new.validate(database, expected)
        texts += [one["text"] for check in result["checks"] for one in check["findings"]]
        return "; ".join(texts)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    clusters = []
    try:
        labs = []
        for name in ("production", "staging"):
            root = tmp_path_factory.mktemp(name)
            for folder in (root, *root.parents[:1]):
                folder.chmod(0o755)
            clusters.append(Cluster(str(root / "cluster"), production.binaries()))
            clusters[-1].create()
            labs.append(Lab(clusters[-1].start(), root))
        old, new = labs
        old.run("postgres", ROLES)
        old.create("shop", OBJECTS)
        with manifest_snapshot.export({"dsn": old.server.url("shop")}) as snapshot:
            held = manifest.of(snapshot.read())
        assert held.unreadable == {}
        made = Bench(old, new, held, new.prepare(old.dump("shop")))
        assert made.restore(made.dump, "restored").access == ""
        yield made
    finally:
        for cluster in clusters:
            cluster.remove()


@pytest.mark.parametrize("form", FORMS)
def test_no_change_is_silent(bench: Bench, form: str) -> None:
    dump = bench.new.prepare(bench.old.dump("shop", FORMS[form]))
    assert bench.restore(dump, "again").access == ""
    assert bench.texts("again", dump) == ""


@pytest.mark.parametrize("form", ["custom", "plain"])
def test_what_means_the_same_is_silent(bench: Bench, form: str) -> None:
    if form == "custom":
        bench.old.create("odd", ODDITIES)
    dump = bench.new.prepare(bench.old.dump("odd", FORMS[form]))
    with manifest_snapshot.export({"dsn": bench.old.server.url("odd")}) as snapshot:
        other = dataclasses.replace(bench, held=manifest.of(snapshot.read()))
    assert other.restore(dump, "odd again").access == ""
    assert other.texts("odd again", dump) == ""


@pytest.mark.parametrize("mutations", ROUNDS, ids=["most", "beside them"])
def test_a_changed_staging(bench: Bench, mutations: dict[str, tuple[str, str]]) -> None:
    bench.new.drop("staging")
    bench.new.create("staging", template="restored")
    bench.new.run("staging", *(sql for sql, _named in mutations.values()))
    texts = bench.texts("staging", bench.dump)
    assert [name for name, (_sql, named) in mutations.items() if named not in texts] == [], texts


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mutations", ROUNDS, ids=["most", "beside them"])
def test_a_dump_of_a_changed_database(
    bench: Bench, mutations: dict[str, tuple[str, str]], form: str
) -> None:
    name = f"changed {ROUNDS.index(mutations)}"
    if form == "custom":
        bench.old.create(name, template="shop")
        bench.old.run(name, *(sql for sql, _named in mutations.values()))
    dump = bench.new.prepare(bench.old.dump(name, FORMS[form]))
    assert bench.restore(dump, "from changed").access == ""
    texts = bench.texts("from changed", dump)
    assert [name for name, (_sql, named) in mutations.items() if named not in texts] == [], texts


def test_each_is_silent_without_the_comparison(bench: Bench) -> None:
    """But for the policy, which is a definition: nothing else looks at owners and privileges."""
    bench.new.drop("staging")
    bench.new.create("staging", template="restored")
    bench.new.run("staging", *(sql for sql, _named in FIRST_ROUND.values()))
    expected = copy.deepcopy(bench.dump.expected)
    manifest.apply(bench.held, expected)
    result = bench.new.validate("staging", expected)
    texts = finding_texts(result, found(result)).split("; ")
    assert len(texts) == 2 and texts[0].startswith("comment of extension vector is `"), texts
    assert texts[1].startswith("policy shop.sale.mine is `"), texts


def _with_manifest(bench: Bench, *options: str, made: Path | None = None) -> str:
    """Dumps the database, unless that was done, with its manifest beside it."""
    path = str(made or bench.old.dump("shop", *options))
    with manifest_snapshot.export({"dsn": bench.old.server.url("shop")}) as snapshot:
        manifest.write(path, snapshot.read())
    return path


def test_drills(bench: Bench, tmp_path: Path) -> None:
    """In one staging after the other: a backup is not judged by the roles of the one before."""
    bin_dir = bench.old.server.binaries.bin_dir
    grant = f"DELETE ON shop.sums TO {BAKER}, access_root"
    with standing_staging(tmp_path, bin_dir) as settings:

        def run(path: str) -> tuple[dict[str, Any], str]:
            result = drill.run(settings, path=path)
            return result, evidence_of(result, "restore")

        whole = _with_manifest(bench, "-Fp", "--no-comments")
        passed, evidence = run(whole)
        assert passed["verdict"] == "passed", found(passed)
        assert "owners and privileges restored, with 8 roles" in evidence
        for form in ("-Fp", "-Fd"):
            bench.old.run("shop", f"GRANT {grant}")
            path = bench.old.dump("shop", form, "--no-sync")
            bench.old.run("shop", f"REVOKE {grant.replace(' TO ', ' FROM ')}")
            failed, _evidence = run(_with_manifest(bench, made=path))
            assert found(failed) == ["privileges.differ"]
            assert f"{BAKER}: DELETE" in finding_texts(failed, ["privileges.differ"])
        ownerless, evidence = run(_with_manifest(bench, "-Fp", "--no-owner"))
        assert "not compared: the dump names no owners" in evidence
        assert ownerless["verdict"] == "passed", found(ownerless)
        for form in ("-Fp", "-Fc"):
            ungranted, evidence = run(_with_manifest(bench, form, "--no-privileges"))
            assert "owners restored, with 8 roles; no privileges: the dump has none" in evidence
            assert ungranted["verdict"] == "passed", found(ungranted)
        plain = Path(manifest.path_of(whole))
        older = json.loads(plain.read_text())
        del older["access"], older["roles"]
        plain.write_text(json.dumps(older))
        lacking, evidence = run(whole)
        assert "owners and privileges are not compared: the manifest has none" in evidence
        assert f"needed by policies: {BAKER}" in evidence
        assert {"restore.role_missing", "policy.missing"} <= set(found(lacking))


def test_no_roles_are_made_on_a_server_of_others(bench: Bench, tmp_path: Path) -> None:
    server = bench.old.server
    external = ExternalSettings(server.host, server.port, server.user, server.password)
    staging = {"engine": "external", "external": external}
    settings = drill_settings(tmp_path, server.binaries.bin_dir, staging=staging)
    result = drill.run(settings, path=_with_manifest(bench, "-Fc"))
    assert result["verdict"] == "passed", found(result)
    evidence = evidence_of(result, "restore")
    assert "owners and privileges are not compared: no roles are made on this server" in evidence


OF_THE_DATABASE = {
    "owner": (
        f"ALTER DATABASE {{}} OWNER TO {BAKER}",
        f"the owner of database is `{BAKER}`, in production it was `{CLERK}`",
    ),
    "privilege": (
        f"REVOKE CREATE ON DATABASE {{}} FROM {ODD_READER}",
        "privileges on database is `(owner): CONNECT, CREATE, TEMPORARY; PUBLIC: CONNECT`, in",
    ),
    "comment": (
        "COMMENT ON DATABASE {} IS 'another'",
        "the comment of the database is `another`, in production it was `the shop`",
    ),
    "setting": (
        "ALTER DATABASE {} SET search_path = public",
        "the setting search_path of the database is `public`, in production it was `shop, public`",
    ),
    "setting more": (
        "ALTER DATABASE {} SET work_mem = '8MB'",
        "the setting work_mem of the database is `8MB`, in production it was `default`",
    ),
    "secret": (
        "ALTER DATABASE {} SET shop.key = 'found out'",
        "the setting shop.key of the database is `md5 ",
    ),
}


@pytest.mark.parametrize("form", [form for form in FORMS if form != "plain"])
def test_the_database_itself(bench: Bench, form: str) -> None:
    """A plain dump does not hold it. This is the last test: it changes production."""
    if form == "custom":
        assert bench.restore(bench.dump, "itself").access == ""
        bench.new.run("itself", *(sql.format("itself") for sql, _named in OF_THE_DATABASE.values()))
        _assert_named(bench.texts("itself", bench.dump))
        bench.old.run("shop", *(sql.format("shop") for sql, _named in OF_THE_DATABASE.values()))
    dump = bench.new.prepare(bench.old.dump("shop", FORMS[form], "--no-sync", "--verbose"))
    assert bench.restore(dump, "itself").access == ""
    _assert_named(bench.texts("itself", dump))


def _assert_named(texts: str) -> None:
    missed = [name for name, (_sql, named) in OF_THE_DATABASE.items() if named not in texts]
    assert missed == [] and "found out" not in texts, texts


def test_large_objects_of_one_entry(new: Lab) -> None:
    """Since PostgreSQL 17 an archive has those of one owner and the same privileges together."""
    new.run("postgres", f"CREATE ROLE {CLERK}", f"CREATE ROLE {ODD_READER}")
    new.create(
        "images",
        "SELECT lo_create(number) FROM generate_series(1, 1205) number;"
        " DO $$ BEGIN FOR number IN 1..1203 LOOP"
        f" EXECUTE format('ALTER LARGE OBJECT %s OWNER TO {CLERK}', number);"
        f" EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO {ODD_READER}', number);"
        " END LOOP; END $$; GRANT UPDATE ON LARGE OBJECT 1204 TO PUBLIC;"
        f" REVOKE ALL ON LARGE OBJECT 1203 FROM {CLERK}, {ODD_READER}",
    )
    with new.connected("images") as connection:
        before = access.restored(connection, structure.Structure())
    for form in ("-Fc", "-Fp"):
        dump = new.prepare(new.dump("images", form))
        done = restore.restore(dump.ready, new.server, "images again", replace=True, roles={})
        assert (done.errors, done.access) == ([], "")
        with new.connected("images again") as connection:
            assert access.differences(before, access.restored(connection, before)) == []
    new.run("images again", "ALTER LARGE OBJECT 700 OWNER TO postgres")
    with new.connected("images again") as connection:
        found = access.differences(before, access.restored(connection, before))
    assert [(one.name, one.before, one.after) for one in found][:1] == [("700", CLERK, "postgres")]
