"""Event triggers of a backup fire on nothing that its restore and validation do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import (
    manifest,
    manifest_snapshot,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database import postgres
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import private_cluster
from ansible_collections.chefwell.resilience.plugins.module_utils.staging.private_cluster import (
    Cluster,
)
from testbed import production

from corpus.lab import Lab, found

FORMS = {"custom": "-Fc", "directory": "-Fd", "tar": "-Ft", "plain": "-Fp"}
REFRESHED = """
CREATE TABLE public.audit (what text);
CREATE MATERIALIZED VIEW public.counted AS SELECT count(*) FROM public.audit;
CREATE MATERIALIZED VIEW public.again AS SELECT * FROM public.counted;
CREATE FUNCTION public.note() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO public.audit VALUES (tg_tag); END $$;
CREATE FUNCTION public.forbid() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'no DDL here'; END $$;
CREATE FUNCTION public.at_login() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO public.audit VALUES ('login'); END $$;
"""
# What each does in production, and what a finding would be if it did so in staging.
TRIGGERS = {
    "one that writes": "CREATE EVENT TRIGGER noting ON ddl_command_end"
    " EXECUTE FUNCTION public.note()",
    "one that forbids": "CREATE EVENT TRIGGER forbidding ON ddl_command_end"
    " EXECUTE FUNCTION public.forbid()",
    "one that always fires": "CREATE EVENT TRIGGER noting ON ddl_command_start"
    " WHEN TAG IN ('REFRESH MATERIALIZED VIEW') EXECUTE FUNCTION public.note();"
    " ALTER EVENT TRIGGER noting ENABLE ALWAYS; COMMENT ON EVENT TRIGGER noting IS 'always'",
    "one on logins": "CREATE EVENT TRIGGER logins ON login EXECUTE FUNCTION public.at_login()",
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """PostgreSQL 18, which has triggers on logins."""
    of_16 = production.binaries().bin_dir
    root = tmp_path_factory.mktemp("event-triggers")
    for folder in (root, *root.parents[:1]):
        folder.chmod(0o755)
    cluster = Cluster(
        str(root / "cluster"),
        postgres.find_binaries(of_16.replace("pginstall", "pginstall18")),
    )
    # As a server on which they fire; a staging's own does not fire them.
    cluster.create()
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(private_cluster, "SINCE", {})
            server = cluster.start()
        yield Lab(server, root)
    finally:
        cluster.remove()


@pytest.mark.parametrize("what", [name for name in TRIGGERS if "logins" not in name])
def test_they_are_restored_when_all_else_is_there(lab: Lab, what: str) -> None:
    name = what.replace(" ", "_")
    lab.create(name, REFRESHED)
    lab.run(name, TRIGGERS[what])
    try:
        with manifest_snapshot.export({"dsn": lab.server.url(name)}) as snapshot:
            held = manifest.of(snapshot.read())
        for form in FORMS.values():
            dump = lab.prepare(lab.dump(name, form))
            assert manifest.apply(held, dump.expected) == []
            assert lab.restore(dump, "tried") == [], lab.form
            assert found(lab.validate("tried", dump.expected)) == []
        lab.run("tried", "ALTER EVENT TRIGGER " + TRIGGERS[what].split()[3] + " DISABLE")
        assert found(lab.validate("tried", dump.expected)) == ["definition.differs"]
    finally:
        lab.drop(name)


def test_staging_itself_fires_none(lab: Lab, tmp_path: Path) -> None:
    """Else each connection of a check would add a row."""
    lab.create("fired", REFRESHED)
    lab.run("fired", TRIGGERS["one on logins"])
    dump = lab.prepare(lab.dump("fired", "-Fc"))
    lab.drop("fired")
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    staging = Cluster(str(tmp_path / "cluster"), lab.server.binaries)
    staging.create()
    try:
        other = Lab(staging.start(), tmp_path)
        assert other.restore(dump, "tried") == []
        for _again in range(2):
            assert found(other.validate("tried", dump.expected)) == []
    finally:
        staging.remove()
