"""What of a plain dump is executed, and what is left out and named."""

from __future__ import annotations

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup.sql_left_out import (
    LeftOut,
    loss,
)

STAGING, RECOVERY = LeftOut(owners=True, privileges=True, links=True), LeftOut()
# Statement, and what it is called in staging and in a recovery; nothing where it is executed.
STATEMENTS = {
    "CREATE DATABASE restaurante WITH TEMPLATE = template0;": ("CREATE DATABASE",) * 2,
    "drop /* it's */ database\n restaurante;": ("DROP DATABASE",) * 2,
    "DROP /* a /* b */ c */ DATABASE /**/ x;": ("DROP DATABASE",) * 2,
    "ALTER -- x\n SYSTEM RESET ALL;": ("ALTER SYSTEM",) * 2,
    "ALTER DATABASE restaurante SET search_path TO 'x';": ("ALTER DATABASE SET",) * 2,
    "ALTER DATABASE restaurante SET TABLESPACE fast;": ("ALTER DATABASE",) * 2,
    "COMMENT ON DATABASE restaurante IS 'x';": ("COMMENT ON DATABASE",) * 2,
    "GRANT CONNECT ON DATABASE restaurante TO x;": ("GRANT ON DATABASE",) * 2,
    "REVOKE ALL ON TABLESPACE t FROM PUBLIC;": ("REVOKE ON TABLESPACE",) * 2,
    "GRANT SET ON PARAMETER log_statement TO x;": ("GRANT ON PARAMETER",) * 2,
    "CREATE ROLE x SUPERUSER;": ("CREATE ROLE",) * 2,
    "ALTER USER postgres PASSWORD 'x';": ("ALTER USER",) * 2,
    "DROP GROUP x;": ("DROP GROUP",) * 2,
    "GRANT admins, others TO x;": ("GRANT ROLE",) * 2,
    "REVOKE ADMIN OPTION FOR x FROM y;": ("REVOKE ROLE",) * 2,
    "DROP OWNED BY x;": ("DROP OWNED",) * 2,
    "REASSIGN OWNED BY x TO y;": ("REASSIGN",) * 2,
    "CREATE TABLESPACE t LOCATION '/x';": ("CREATE TABLESPACE",) * 2,
    "SET default_tablespace = fast;": ("SET default_tablespace",) * 2,
    "ALTER TABLE t SET TABLESPACE fast;": ("SET TABLESPACE",) * 2,
    "CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p;": ("CREATE SUBSCRIPTION",) * 2,
    "ALTER SUBSCRIPTION s ENABLE;": ("ALTER SUBSCRIPTION",) * 2,
    "ALTER SYSTEM SET archive_command = 'id';": ("ALTER SYSTEM",) * 2,
    "LOAD 'x';": ("LOAD",) * 2,
    "IMPORT FOREIGN SCHEMA x FROM SERVER s INTO y;": ("IMPORT",) * 2,
    "COPY t FROM PROGRAM 'id';": ("COPY",) * 2,
    "COPY t TO '/tmp/x';": ("COPY",) * 2,
    "COPY (SELECT 1) TO STDOUT;": ("COPY",) * 2,
    "UPDATE pg_catalog.pg_database SET datistemplate = true;": ("UPDATE pg_database",) * 2,
    "INSERT INTO pg_catalog.pg_authid VALUES (1);": ("INSERT pg_authid",) * 2,
    'insert into "pg_auth_members" values (1);': ("INSERT pg_auth_members",) * 2,
    "CREATE USER MAPPING FOR x SERVER s OPTIONS (password 'y');": ("CREATE USER MAPPING", ""),
    "SECURITY LABEL FOR x ON TABLE t IS 'y';": ("SECURITY LABEL", ""),
    "SECURITY LABEL FOR x ON ROLE t IS 'y';": ("SECURITY LABEL", "SECURITY ON ROLE"),
    "ALTER TABLE public.t OWNER TO x;": ("OWNER TO", ""),
    "ALTER FUNCTION public.f(integer, text) OWNER TO \"X\";\n": ("OWNER TO", ""),
    "SET SESSION AUTHORIZATION 'x';": ("SET ROLE", ""),
    "SET ROLE x;": ("SET ROLE", ""),
    "GRANT SELECT(id, name), UPDATE ON TABLE public.t TO x;": ("GRANT", ""),
    "REVOKE GRANT OPTION FOR ALL ON SCHEMA public FROM x;": ("REVOKE", ""),
    "ALTER DEFAULT PRIVILEGES FOR ROLE x GRANT SELECT ON TABLES TO y;": (
        "ALTER DEFAULT PRIVILEGES",
        "",
    ),
    "SET SESSION AUTHORIZATION DEFAULT;": ("", ""),
    "SET default_tablespace = '';": ("", ""),
    "SET search_path = database;": ("", ""),
    "CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw;": ("", ""),
    'CREATE TABLE public."DATABASE" (owner integer);': ("", ""),
    "CREATE TABLE public.users (role text, \"user\" text);": ("", ""),
    "CREATE FUNCTION f() RETURNS void AS $$ DROP DATABASE x; $$ LANGUAGE sql;": ("", ""),
    "COMMENT ON TABLE t IS 'ON DATABASE x';": ("", ""),
    "COPY public.t (id) FROM stdin;": ("", ""),
    "INSERT INTO public.pg_database VALUES (1);": ("", ""),
    "INSERT INTO t VALUES ('pg_authid');": ("", ""),
    "ALTER TABLE t ADD COLUMN owner text;": ("", ""),
    "CREATE PUBLICATION p FOR ALL TABLES;": ("", ""),
    "DROP SCHEMA x;": ("", ""),
    ";": ("", ""),
}  # fmt: skip


@pytest.mark.parametrize(("text", "names"), STATEMENTS.items(), ids=STATEMENTS)
def test_what_is_left_out(text: str, names: tuple[str, str]) -> None:
    assert (STAGING.name(text.encode()), RECOVERY.name(text.encode())) == names


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("COPY t FROM PROGRAM 'id';", "rows"),
        ("COPY t (a, \"to\") /* to */ FROM '/a/file' (FORMAT csv);", "rows"),
        ("COPY t TO '/a/file';", ""),
        ("COPY (SELECT * FROM t) TO PROGRAM 'cat';", ""),
        ("IMPORT FOREIGN SCHEMA x FROM SERVER s INTO y;", "tables"),
        ("ALTER SYSTEM RESET ALL;", ""),
    ],
)
def test_what_is_lost_with_it(text: str, lost: str) -> None:
    statement = text.encode()
    found = loss(STAGING.name(statement), statement)
    assert bool(found) == bool(lost) and lost in found
