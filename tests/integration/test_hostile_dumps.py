"""A dump that runs programs and calls other servers, drilled whole: it reaches nothing."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.database import postgres
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.staging.private_cluster import (
    Cluster,
)
from corpus.lab import Lab
from support import thorough
from support.drill_settings import drill_settings
from support.waiting import wait_for
from testbed import production

# Debian's PostgreSQL has dblink and postgres_fdw; those of the wheel have no extensions, and are of
# the majors that read other dumps. 16 is tried by `make faults`.
OF_WHEEL = production.binaries().bin_dir
BIN_DIRS = {
    "15": "/usr/lib/postgresql/15/bin",
    "16": OF_WHEEL,
    "18": OF_WHEEL.replace("pginstall", "pginstall18"),
}
VERSIONS = ["15", "18", *["16"] * thorough.rounds(0, 1)]
SLEEP = "54321"
# Each view is filled while this is harmless, and refreshed by the restore when it is not.
HARMLESS = """
CREATE EXTENSION dblink; CREATE EXTENSION postgres_fdw;
CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw
 OPTIONS (host '127.0.0.1', port '{port}', dbname 'x', connect_timeout '2');
CREATE USER MAPPING FOR PUBLIC SERVER other OPTIONS (user 'x', password 'production''s');
CREATE FOREIGN TABLE public.far (id integer) SERVER other;
CREATE SUBSCRIPTION news CONNECTION 'host=127.0.0.1 port={port} password=x' PUBLICATION p
 WITH (connect = false, slot_name = NONE);
CREATE FUNCTION public.run() RETURNS integer LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION public.call() RETURNS integer LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE TABLE public.kept (id integer DEFAULT public.run(), CHECK (public.call() > 0));
INSERT INTO public.kept VALUES (1), (2);
CREATE MATERIALIZED VIEW public.ran AS SELECT public.run() AS done;
CREATE MATERIALIZED VIEW public.called AS SELECT public.call() AS done;
CREATE VIEW public.running AS SELECT public.run() AS done;
CREATE INDEX by_call ON public.kept ((id + 1));
"""
HOSTILE = """
CREATE OR REPLACE FUNCTION public.run() RETURNS integer LANGUAGE plpgsql AS $run$
BEGIN EXECUTE $copy$COPY (SELECT 1) TO PROGRAM $program${program}$program$$copy$; RETURN 1; END
$run$;
CREATE OR REPLACE FUNCTION public.call() RETURNS integer LANGUAGE plpgsql AS $call$
BEGIN
 PERFORM public.dblink_connect('host={address} port={port} user=x password=y connect_timeout=2');
 RETURN 1;
EXCEPTION WHEN OTHERS THEN
 BEGIN PERFORM count(*) FROM public.far; EXCEPTION WHEN OTHERS THEN NULL; END;
 RETURN 1;
END $call$;
"""
# The same without an extension: both functions run programs of the server.
BY_PROGRAM = """
CREATE OR REPLACE FUNCTION public.run() RETURNS integer LANGUAGE plpgsql AS $run$
BEGIN EXECUTE $copy$COPY (SELECT 1) TO PROGRAM $program${program}$program$$copy$; RETURN 1; END
$run$;
CREATE OR REPLACE FUNCTION public.call() RETURNS integer LANGUAGE plpgsql AS $call$
BEGIN
 EXECUTE $copy$COPY (SELECT 2) TO PROGRAM $program${program}$program$$copy$; RETURN 1;
EXCEPTION WHEN OTHERS THEN RETURN 1;
END $call$;
"""
# What only plain text can hold, before its completion line.
PLAIN = """
DO $do$ BEGIN PERFORM public.run(); PERFORM public.call(); END $do$;
SELECT public.run(), public.call();
\\connect - - 127.0.0.1 {port}
\\! {program}
"""


@pytest.fixture
def reached() -> Iterator[tuple[int, list[str]]]:
    """A port of this host, and who connected to it."""
    seen: list[str] = []
    server = socket.create_server(("0.0.0.0", 0))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                other, address = server.accept()
                seen.append(str(address))
                other.close()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server.getsockname()[1], seen
    finally:
        server.close()


def sleeping() -> list[int]:
    return [
        one.pid
        for one in psutil.process_iter(["cmdline"])
        if one.info["cmdline"] == ["sleep", SLEEP]
    ]


def own_address() -> str:
    """Return an address of this host that is not loopback, if it has one."""
    addresses = [
        one.address
        for name, found in psutil.net_if_addrs().items()
        for one in found
        if one.family == socket.AF_INET and name != "lo"
    ]
    return addresses[0] if addresses else "127.0.0.1"


@pytest.mark.parametrize("version", VERSIONS)
def test_it_reaches_nothing(tmp_path: Path, reached: tuple[int, list[str]], version: str) -> None:
    port, seen = reached
    bin_dir, with_extensions = BIN_DIRS[version], version == "15"
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    taken = tmp_path / "taken"
    taken.mkdir()
    taken.chmod(0o777)
    secret = tmp_path / "secret"
    secret.write_text("what only this host knows")
    program = (
        f"cat {secret} /etc/shadow > {taken}/copy; touch {taken}/mark;"
        f" bash -c 'echo > /dev/tcp/127.0.0.1/{port}';"
        f" bash -c 'echo > /dev/tcp/{own_address()}/{port}';"
        f" setsid sleep {SLEEP} > /dev/null 2>&1 & true"
    )
    values = {"port": port, "program": program, "address": own_address()}
    cluster = Cluster(str(tmp_path / "cluster"), postgres.find_binaries(bin_dir))
    cluster.create()
    try:
        lab = Lab(cluster.start(), tmp_path)
        lab.create("hostile")
        harmless = (
            HARMLESS if with_extensions else HARMLESS[HARMLESS.index("CREATE SUBSCRIPTION") :]
        )
        lab.run("hostile", *harmless.format(**values).split(";\n")[:-1])
        lab.run("hostile", (HOSTILE if with_extensions else BY_PROGRAM).format(**values))
        dumps = [lab.dump("hostile", "-Fc"), lab.dump("hostile", "-Fp")]
    finally:
        cluster.remove()
    text = dumps[1].read_text()
    end = "--\n-- PostgreSQL database dump complete\n"
    assert end in text
    dumps[1].write_text(text.replace(end, PLAIN.format(**values) + end))
    settings = drill_settings(tmp_path / "drill", bin_dir)
    (tmp_path / "drill").mkdir()
    for path in dumps:
        result = drill.run(settings, path=str(path))
        checks = {check["id"]: check for check in result["checks"]}
        assert checks["isolation"]["status"] == "passed", checks["isolation"]
        errors = result["restore"]["errors"]
        if path == dumps[0]:
            assert (result["verdict"], errors) == ("passed", []), result["problem"]
        else:
            # A meta-command that pg_dump never writes is named, and nothing else went wrong.
            assert len(errors) == 1 and "\\! was not obeyed" in errors[0]
        for name in ("SUBSCRIPTION", "USER MAPPING")[: 2 if with_extensions else 1]:
            assert name in checks["restore"]["evidence"]
        assert list(taken.iterdir()) == [] and seen == []
        wait_for(lambda: not sleeping())
        assert not sleeping()
    # The listener hears who does connect.
    socket.create_connection(("127.0.0.1", port)).close()
    wait_for(lambda: len(seen) == 1)
    assert len(seen) == 1
