"""ChefWell's backend in miniature: one file, the standard library and psycopg2.

    DATABASE_URL=postgresql://... JWT_SECRET=... PORT=3001 python backend.py

Environment: `DATABASE_URL` (a libpq URL; Prisma's own parameters such as `?schema=public` are
ignored), `JWT_SECRET`, `PORT`, `HOST` (127.0.0.1), `NODE_ENV`; for tests `BREAK_ROUTE`, a comma
separated list of `path:how`, and `BREAK_SECONDS`, what `slow` waits (30).

- `GET /` an HTML page; `GET /health` 200, or 503 without a database.
- `POST /api/auth/login` {"email", "password"}: 200 {"token", "user", "company"} or 401.

With `Authorization: Bearer <token>`, about the store of the token's user:

- `GET /api/products`, `categories`, `sales`, `customers`, `tabs`, `orders`, `expenses`:
  {"data": the first 1000 rows by id, "total": all rows}.
- `GET /api/dashboard/stats`: rows by table, `open_tabs`, `revenue`.
- `POST /api/orders` {"product_id"?, "quantity"?, "note"?}: 201 with the order.
- `DELETE /api/orders/<id>`: 200, or 404.

Ways to break a route: `500` responds with 500; `empty` returns nothing; `wrong` counts one row too
few, or returns an invalid token; `slow` waits, then responds.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import decimal
import hashlib
import hmac
import json
import os
import re
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg2
import psycopg2.extensions
from psycopg2 import sql
from psycopg2.extras import RealDictCursor

# Parameters of Prisma's URLs that libpq would refuse.
PRISMA_ONLY = {
    *("schema", "connection_limit", "pool_timeout", "pgbouncer", "socket_timeout"),
    *("statement_cache_size", "sslidentity", "sslaccept"),
}
LISTED = ("products", "categories", "sales", "customers", "tabs", "orders", "expenses")
LARGEST_LISTING = 1000
LARGEST_BODY = 1 << 20
TOKEN_SECONDS = 8 * 3600
PAGE = b"""<!doctype html>
<html lang="pt-BR"><head><meta charset="utf-8"><title>ChefWell</title></head>
<body><h1>ChefWell</h1><p>Sistema no ar.</p></body></html>
"""


class Problem(Exception):
    """An error response to a request: the HTTP status and a message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def libpq_url(url: str) -> str:
    """The URL without the parameters that only Prisma knows."""
    head, mark, query = url.partition("?")
    pairs = [pair for pair in query.split("&") if pair.partition("=")[0] not in PRISMA_ONLY]
    kept = "&".join(pair for pair in pairs if pair)
    return head + mark + kept if kept else head


class Database:
    """A few connections, shared by all requests; a request waits for a free one.

    Args:
        url: where the database is.
        size: the most connections at a time.
    """

    def __init__(self, url: str, size: int = 8) -> None:
        self.url = libpq_url(url)
        self.free = threading.Semaphore(size)
        self.idle: list[psycopg2.extensions.connection] = []

    def query(
        self, statement: str | sql.Composable, values: Sequence[Any] = ()
    ) -> list[dict[str, Any]]:
        """The rows of one statement. A connection that the server has dropped is replaced."""
        for last in (False, True):
            with self._connection(fresh=last) as connection:
                try:
                    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
                        cursor.execute(statement, values)
                        return [dict(row) for row in cursor.fetchall()]
                except (psycopg2.OperationalError, psycopg2.InterfaceError):
                    if last or not connection.closed:
                        raise
        raise AssertionError("the second attempt returns or raises")

    @contextlib.contextmanager
    def _connection(self, fresh: bool) -> Iterator[psycopg2.extensions.connection]:
        with self.free:
            try:
                # Appending and popping are atomic; a new one is opened when idle ones are dead.
                connection = None if fresh else self.idle.pop()
            except IndexError:
                connection = None
            if connection is None:
                connection = psycopg2.connect(self.url, connect_timeout=10)
                connection.autocommit = True
            try:
                yield connection
            finally:
                if not connection.closed:
                    self.idle.append(connection)


class Tokens:
    """JSON Web Tokens, HS256."""

    HEADER = {"alg": "HS256", "typ": "JWT"}

    def __init__(self, secret: str) -> None:
        self.secret = secret.encode()

    def issue(self, user_id: int) -> str:
        """A token of this user, good for eight hours."""
        now = int(time.time())
        claims = {"sub": str(user_id), "iat": now, "exp": now + TOKEN_SECONDS}
        text = ".".join(_encode(json.dumps(part).encode()) for part in (self.HEADER, claims))
        return f"{text}.{self._signature(text)}"

    def user_id(self, token: str) -> int:
        """Whose token this is; a `Problem` 401 if it is none or no longer one."""
        text, _dot, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(text).encode()):
            raise Problem(401, "invalid token")
        claims = text.partition(".")[2]
        claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        if claims["exp"] < time.time():
            raise Problem(401, "expired token")
        return int(claims["sub"])

    def _signature(self, text: str) -> str:
        return _encode(hmac.digest(self.secret, text.encode("utf-8", "replace"), "sha256"))


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def password_fits(password: str, stored: str) -> bool:
    """Whether a password is the one of a stored `scrypt$n$r$p$salt$hash`."""
    try:
        kind, n, r, p, salt, digest = stored.split("$")
        if kind != "scrypt":
            return False
        got = hashlib.scrypt(
            password.encode(), salt=bytes.fromhex(salt), n=int(n), r=int(r), p=int(p), dklen=32
        )
        return hmac.compare_digest(got, bytes.fromhex(digest))
    except ValueError:
        return False


class Application:
    """The routes, apart from HTTP.

    Args:
        database: what they read.
        tokens: what they issue and take.
    """

    def __init__(self, database: Database, tokens: Tokens) -> None:
        self.database = database
        self.tokens = tokens

    def answer(self, method: str, path: str, body: Any, authorization: str) -> tuple[int, Any]:
        """Status and response of one request; raises a `Problem` for an error."""
        if path == "/health":
            return self.health()
        if (method, path) == ("POST", "/api/auth/login"):
            return 200, self.login(body)
        if not path.startswith("/api/"):
            raise Problem(404, "not found")
        schema = self.schema_of(authorization)
        listed = path.removeprefix("/api/")
        order = re.fullmatch(r"/api/orders/(\d{1,18})", path)
        if method == "GET" and listed in LISTED:
            return 200, self.listing(schema, listed)
        if (method, path) == ("GET", "/api/dashboard/stats"):
            return 200, self.stats(schema)
        if (method, path) == ("POST", "/api/orders"):
            return 201, self.create_order(schema, body)
        if method == "DELETE" and order:
            return 200, self.delete_order(schema, int(order[1]))
        raise Problem(404, "not found")

    def health(self) -> tuple[int, Any]:
        """Whether the database responds."""
        environment = os.environ.get("NODE_ENV", "")
        try:
            self.database.query("SELECT 1")
        except psycopg2.Error:
            return 503, {"status": "error", "database": "unreachable", "environment": environment}
        return 200, {"status": "ok", "database": "ok", "environment": environment}

    def login(self, body: Any) -> dict[str, Any]:
        """A token for the right e-mail address and password."""
        email, password = (_text(body, name) for name in ("email", "password"))
        found = self.database.query(
            "SELECT u.id, u.email, u.name, u.role, u.password_hash, c.id AS company_id,"
            " c.name AS company_name, c.slug FROM public.users u"
            " JOIN public.companies c ON c.id = u.company_id WHERE u.email = %s",
            [email.strip().lower()],
        )
        if not found or not password_fits(password, found[0]["password_hash"]):
            raise Problem(401, "wrong e-mail address or password")
        user = found[0]
        return {
            "token": self.tokens.issue(user["id"]),
            "user": {name: user[name] for name in ("id", "email", "name", "role")},
            "company": {
                "id": user["company_id"],
                "name": user["company_name"],
                "slug": user["slug"],
            },
        }

    def schema_of(self, authorization: str) -> str:
        """The schema of the store that the token's user works for."""
        kind, _space, token = authorization.partition(" ")
        if kind.lower() != "bearer" or not token:
            raise Problem(401, "a token is needed")
        found = self.database.query(
            "SELECT c.schema_name FROM public.users u"
            " JOIN public.companies c ON c.id = u.company_id WHERE u.id = %s",
            [self.tokens.user_id(token.strip())],
        )
        if not found:
            raise Problem(401, "the user is gone")
        return str(found[0]["schema_name"])

    def listing(self, schema: str, table: str) -> dict[str, Any]:
        """The first rows of a table, and how many there are."""
        name = sql.Identifier(schema, table)
        rows = self.database.query(
            sql.SQL("SELECT * FROM {} ORDER BY id LIMIT %s").format(name), [LARGEST_LISTING]
        )
        total = self.database.query(sql.SQL("SELECT count(*) AS n FROM {}").format(name))
        return {"data": rows, "total": total[0]["n"]}

    def stats(self, schema: str) -> dict[str, Any]:
        """Rows by table and money, in one query."""
        counts = [
            sql.SQL("(SELECT count(*) FROM {}) AS {}").format(
                sql.Identifier(schema, table), sql.Identifier(table)
            )
            for table in LISTED
        ]
        others = sql.SQL(
            "(SELECT count(*) FROM {} WHERE status = 'open') AS open_tabs,"
            " (SELECT coalesce(sum(total), 0) FROM {}) AS revenue"
        ).format(sql.Identifier(schema, "tabs"), sql.Identifier(schema, "sales"))
        return self.database.query(
            sql.SQL("SELECT {}").format(sql.SQL(", ").join([*counts, others]))
        )[0]

    def create_order(self, schema: str, body: Any) -> dict[str, Any]:
        """A new order; without a product it takes the store's first."""
        body = body if isinstance(body, dict) else {}
        product, quantity = body.get("product_id"), body.get("quantity", 1)
        if not _whole(quantity, 1, 1000) or not (product is None or _whole(product, 1, 2**31 - 1)):
            raise Problem(400, "product_id and quantity are whole numbers")
        made = self.database.query(
            sql.SQL(
                "INSERT INTO {} (product_id, quantity, total, status, note)"
                " SELECT id, %s, price * %s, 'test', %s FROM {}"
                " WHERE %s::integer IS NULL OR id = %s ORDER BY id LIMIT 1 RETURNING *"
            ).format(sql.Identifier(schema, "orders"), sql.Identifier(schema, "products")),
            [quantity, quantity, _storable(str(body.get("note", "")))[:500], product, product],
        )
        if not made:
            raise Problem(404, "there is no such product")
        return made[0]

    def delete_order(self, schema: str, number: int) -> dict[str, Any]:
        """Removes an order."""
        gone = self.database.query(
            sql.SQL("DELETE FROM {} WHERE id = %s RETURNING id").format(
                sql.Identifier(schema, "orders")
            ),
            [number],
        )
        if not gone:
            raise Problem(404, "there is no such order")
        return {"deleted": gone[0]["id"]}


def _text(body: Any, name: str) -> str:
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, str):
        raise Problem(400, f"{name} is missing or no text")
    return _storable(value)


def _storable(text: str) -> str:
    """A text that PostgreSQL takes: without zero bytes and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _plain(value: Any) -> Any:
    """What JSON has no type for."""
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, (bytes, memoryview)):
        return bytes(value).hex()
    raise TypeError(type(value).__name__)


class Breaks:
    """Routes that are broken on purpose.

    Args:
        text: of `BREAK_ROUTE`.
        seconds: what `slow` waits.
    """

    KINDS = ("500", "empty", "wrong", "slow")

    def __init__(self, text: str, seconds: float) -> None:
        self.seconds = seconds
        self.kinds: dict[str, str] = {}
        for one in filter(None, (part.strip() for part in text.split(","))):
            path, _colon, kind = one.rpartition(":")
            if kind not in self.KINDS:
                raise SystemExit(f"BREAK_ROUTE: {one!r} is not path:{'|'.join(self.KINDS)}")
            self.kinds[path] = kind

    def spoil(self, path: str, status: int, answer: Any) -> tuple[int, Any]:
        """The response of a broken route."""
        kind = self.kinds.get(path)
        if kind == "500":
            return 500, {"error": "broken on purpose"}
        if kind == "slow":
            time.sleep(self.seconds)
        if kind == "empty" and isinstance(answer, dict):
            return status, {"data": [], "total": 0} if "data" in answer else {}
        if kind == "wrong" and isinstance(answer, dict):
            return status, {name: self._falsify(name, value) for name, value in answer.items()}
        return status, answer

    @staticmethod
    def _falsify(name: str, value: Any) -> Any:
        if name == "token":
            return value[:-4]
        if name == "data":
            return value[:-1]
        return value - 1 if isinstance(value, int) else value


class Handler(BaseHTTPRequestHandler):
    """HTTP around the application."""

    protocol_version = "HTTP/1.1"
    server_version = "ChefWell"
    # A response is sent in one piece: no waiting for the client's delayed acknowledgement.
    wbufsize = -1
    timeout = 60
    application: Application
    breaks: Breaks

    def do_GET(self) -> None:
        """Every method goes the same way."""
        self._handle()

    do_POST = do_DELETE = do_PUT = do_PATCH = do_GET

    def _handle(self) -> None:
        started = time.monotonic()
        path = urllib.parse.urlsplit(self.path).path
        if path != "/":
            path = path.rstrip("/")
        try:
            body = self._body()
            if (self.command, path) == ("GET", "/"):
                status, content, kind = 200, PAGE, "text/html; charset=utf-8"
            else:
                authorization = self.headers.get("Authorization", "")
                status, answer = self.application.answer(self.command, path, body, authorization)
                status, answer = self.breaks.spoil(path, status, answer)
                content, kind = json.dumps(answer, default=_plain).encode(), "application/json"
        except Problem as problem:
            status, kind = problem.status, "application/json"
            content = json.dumps({"error": str(problem)}).encode()
        except psycopg2.Error as error:
            status, kind = 500, "application/json"
            content = json.dumps({"error": "database"}).encode()
            self._report(f"ERROR database: {str(error).strip().splitlines()[:1]}")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self._report(f"{self.command} {path} {status} {(time.monotonic() - started) * 1000:.1f} ms")

    def _body(self) -> Any:
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError as error:
            self.close_connection = True
            raise Problem(400, "Content-Length is no number") from error
        if not 0 <= length <= LARGEST_BODY:
            self.close_connection = True
            raise Problem(413, "the body is too large")
        raw = self.rfile.read(length)
        if not raw:
            return None
        try:
            return json.loads(raw)
        except ValueError as error:
            raise Problem(400, "the body is not JSON") from error

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing here: the line of a request is written with its response."""
        if not format.startswith('"%s"'):
            self._report(format % args)

    def _report(self, text: str) -> None:
        moment = datetime.datetime.now().isoformat(timespec="milliseconds")
        line = f"{moment} {text}".encode("ascii", "backslashreplace").decode()
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


class Server(ThreadingHTTPServer):
    """Takes a burst of connections."""

    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    """Serve until a signal ends it."""
    lacking = [name for name in ("DATABASE_URL", "JWT_SECRET", "PORT") if not os.environ.get(name)]
    if lacking:
        raise SystemExit(f"the environment lacks {', '.join(lacking)}")
    database = Database(os.environ["DATABASE_URL"])
    Handler.application = Application(database, Tokens(os.environ["JWT_SECRET"]))
    Handler.breaks = Breaks(
        os.environ.get("BREAK_ROUTE", ""), float(os.environ.get("BREAK_SECONDS", "30"))
    )
    address = os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"])
    with Server(address, Handler) as server, contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
