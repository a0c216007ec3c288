"""Bistro, an owner who is not ChefWell: nightly plain SQL in one flat folder, English."""

from __future__ import annotations

from typing import Any

from .hosts import Host

# All that the owner writes down.
VARIABLES: dict[str, Any] = {
    "resilience_owner": "Bistro",
    "resilience_language": "en",
    "resilience_backup_path": "/srv/dumps/bistro-%Y-%m-%d.sql.gz",
    "resilience_database": {"host": "/var/run/postgresql", "dbname": "bistro"},
    "resilience_tenants": {"prefix": "shop_", "query": "SELECT schema_name FROM public.shops"},
    "resilience_offsite": {
        "host": "backup",
        "user": "backupuser",
        "path": "/backups/{{ inventory_hostname }}",
        "inventory_host": "backup",
    },
    "resilience_notify": ["json://backup:8080/alert"],
    "resilience_ping_url": "http://backup:8080/ping/{stage}",
}
# Debian 11 has no package of apprise, and these hosts reach no index of Python packages.
WITHOUT_NOTIFICATIONS = ("bullseye",)
# What takes notifications and pings, on the backup server; a line a request.
RECEIVER = """
cat > /root/receiver.py <<'PYTHON'
import http.server

class Receiver(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with open("/root/received", "a") as file:
            file.write(f"{self.client_address[0]} {self.path} {body[:2000]!r}\\n")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    do_POST = do_HEAD = do_GET

http.server.ThreadingHTTPServer(("", 8080), Receiver).serve_forever()
PYTHON
setsid python3 /root/receiver.py < /dev/null > /root/receiver.log 2>&1 &
"""
DATABASE = """
CREATE TABLE public.shops (schema_name text PRIMARY KEY, opened date NOT NULL);
CREATE FUNCTION public.gross(net numeric) RETURNS numeric LANGUAGE sql IMMUTABLE
  AS 'SELECT net * 1.2';
"""
SHOP = """
CREATE SCHEMA {0};
CREATE TABLE {0}.dishes (id serial PRIMARY KEY, name text NOT NULL UNIQUE, price numeric(8, 2));
CREATE TABLE {0}.bills (id serial PRIMARY KEY, dish int REFERENCES {0}.dishes, paid_at timestamptz);
CREATE INDEX ON {0}.bills (paid_at);
CREATE VIEW {0}.sold AS SELECT d.id, d.name, count(*) FROM {0}.dishes d JOIN {0}.bills b
  ON b.dish = d.id GROUP BY d.id;
INSERT INTO {0}.dishes (name, price) SELECT 'dish ' || n, n * 1.5 FROM generate_series(1, 40) n;
INSERT INTO {0}.bills (dish, paid_at) SELECT 1 + n % 40, now() FROM generate_series(1, 300) n;
INSERT INTO public.shops VALUES ('{0}', '2026-01-01');
"""
# Three nights at two o'clock, and what else lies in the folder.
NIGHTS = """
set -e
mkdir -p /srv/dumps
for days in 0 1 2; do
  name=/srv/dumps/bistro-$(date -d "$days days ago" +%F).sql.gz
  runuser -u postgres -- pg_dump bistro | gzip > $name
  touch -d "$(date -d "$days days ago" +%F) 00:02" $name
done
echo "CREATE ROLE waiter;" > /srv/dumps/roles-2026-11-27.sql
echo "the cook's" > /srv/dumps/notes.txt
echo '# the owner'"'"'s own
2 2 * * * /root/dump-bistro.sh' | crontab -
"""


def open_the_shop(host: Host) -> None:
    """Make the database of the owner and its backups on a host."""
    text = DATABASE + "".join(SHOP.format(name) for name in ("shop_north", "shop_south"))
    host.run("runuser -u postgres -- createdb bistro")
    host.run(f"runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 bistro <<'SQL'\n{text}\nSQL")
    host.run(NIGHTS)
