"""What each test of the plan expects, looked for in what its commands printed and on the servers.

A judge is a function of `Seen`; its docstring says what it looks at, and goes into the table. One
that trips over what it was given has not seen what it was to see.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Sequence

from docker_lab.servers import BACKUP, BACKUP_PATH, Ended, Server

from plan import plan_text

Judge = Callable[["Seen"], bool]
JUDGES: dict[str, Judge] = {}
SERVICES = ("chefwell_backend", "chefwell_front", "chefwell_postgres")


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a test is judged by.

    Attributes:
        ended: how its commands ended, in their order.
        host: production's host.
        backup: the backup server.
        new_backup: name of the backup that was made before T2.2.
    """

    ended: Sequence[Ended]
    host: Server
    backup: Server
    new_backup: str = ""

    @property
    def ok(self) -> bool:
        """Whether all commands ended with 0."""
        return all(one.code == 0 for one in self.ended)


def of(name: str) -> Callable[[Judge], Judge]:
    """Makes a function the judge of a test."""

    def kept(judge: Judge) -> Judge:
        JUDGES[name] = judge
        return judge

    return kept


def seen(name: str, what: Seen) -> bool:
    """Whether a test saw what it was to see."""
    try:
        return len(what.ended) > 0 and JUDGES[name](what)
    except (ValueError, KeyError, IndexError, TypeError):
        return False


def looked_at(name: str) -> str:
    """What the judge of a test looks at, for the table."""
    return " ".join((JUDGES[name].__doc__ or "").split())


def broken(ended: Sequence[Ended]) -> Iterator[tuple[int, list[Ended]]]:
    """What a test saw, with one command at a time as if it were not there, or printed nothing."""
    for number, one in enumerate(ended):
        lost = Ended(127, "", "bash: no such command")
        # A search that finds no error says nothing, as it should; then there is one.
        silent = Ended(0, "" if one.output else "error: something broke", "")
        for instead in (lost, silent):
            yield number, [*ended[:number], instead, *ended[number + 1 :]]


def missing_lines(output: plan_text.Output, page: str) -> list[str]:
    """Lines of a page of the plan that a real page lacks, or has elsewhere; figures may differ."""
    missing = []
    rest = page.splitlines()
    for line in output.lines:
        expected = re.compile(_pattern(line))
        found = next((at for at, real in enumerate(rest) if expected.fullmatch(real)), None)
        if found is None:
            missing.append(line)
        else:
            rest = rest[found + 1 :]
    return missing


def _pattern(line: str) -> str:
    """A page's line with every figure, unit of bytes and unit of time left open."""
    text = re.sub(r"\d[\d.,]*%", "§P", line)
    text = re.sub(r"\d[\d.,]* ?(?:[KMGT]B|B|K|M)\b", "§B", text)
    text = re.sub(r"\d+(?:[.,]\d+)?", "§N", text)
    text = re.escape(text)
    for mark, pattern in (
        ("§P", r"<?\\d[\\d.,]*%"),
        ("§B", r"\\d[\\d.,]* ?(?:[KMGT]i?B?|B|bytes)"),
        ("§N", r"\\d+(?:[.,]\\d+)?"),
    ):
        text = re.sub(mark, pattern, text)
    return text.replace("segundos", "segundos?").replace("minuto", "minutos?")


def silent(one: Ended) -> bool:
    """A `grep -i error` that finds nothing: the plan's "logs sem erros"."""
    return one.code == 1 and one.output == ""


def whole(one: Ended) -> bool:
    """`docker service ls` shows the services of production with all replicas."""
    shown = re.findall(r"^\S+ +(chefwell_\S+) +\S+ +(\d+)/(\d+) ", one.output, re.MULTILINE)
    names = tuple(sorted(name for name, _running, _replicas in shown))
    return (
        one.code == 0
        and names == SERVICES
        and all(running == expected != "0" for _name, running, expected in shown)
    )


def home_page(one: Ended) -> bool:
    """The page of the system, as `curl` shows it."""
    return one.code == 0 and "<title>ChefWell</title>" in one.output


def all_ticked(report: Ended) -> bool:
    """The plan's report says 100 %, and no line of it has another mark than ✅."""
    return (
        report.code == 0
        and "✅ RESULTADO: BACKUP VÁLIDO E RESTAURÁVEL" in report.output
        and "🎯 Confiança: 100%" in report.output
        and not re.search("[❌⚪❓⚠]", report.output)
    )


def count(one: Ended) -> int:
    """The number that `psql` shows for a count."""
    found = re.search(r"^ +(\d+)$", one.output, re.MULTILINE)
    if one.code != 0 or not found:
        raise ValueError(f"no count in {one}")
    return int(found[1])


def made_backup(one: Ended) -> str:
    """The name of the backup that the owner's script says it made."""
    found = re.search(r"/daily/(chefwell_backup_\d{8}_\d{6}\.dump\.gz)$", one.output.strip())
    if one.code != 0 or not found:
        raise ValueError(f"no backup was made: {one}")
    return found[1]


def sent(log: Ended) -> list[str]:
    """What the log says was sent in the last sync."""
    last = log.output.rstrip().rsplit(" início\n", 1)[-1]
    return re.findall(r" envia (\S+)$", last, re.MULTILINE)


@of("T1.1")
def t1_1(got: Seen) -> bool:
    """Ends with 0, says nothing on standard error, a line for each filesystem; the log is there."""
    (ran,) = got.ended
    return (
        got.ok
        and ran.errors == ""
        and ' path="/" level=' in ran.output
        and got.host.sh("test -s /var/log/chefwell-disk-monitor.log").code == 0
    )


@of("T1.2")
def t1_2(got: Seen) -> bool:
    """Every line of the log begins with a timestamp; the last run is among them."""
    (log,) = got.ended
    lines = log.output.splitlines()
    stamp = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S* path=")
    return got.ok and len(lines) > 1 and all(map(stamp.match, lines))


@of("T1.3")
def t1_3(got: Seen) -> bool:
    """Usage of the root filesystem and of the backups; in each tier as many as lie there."""
    (page,) = got.ended
    lying = {
        tier: int(got.host.must(f"find /root/backups/{tier} -name '*.dump.gz' | wc -l"))
        for tier in ("daily", "weekly", "monthly")
    }
    shown = re.findall(r"(Daily|Weekly|Monthly|Total): (\d+) backups", page.output)
    expected = [(tier.title(), str(number)) for tier, number in lying.items()]
    used = re.search(r"Root Filesystem: [\d.]+ [GTM]B / [\d.]+ [GTM]B \(\d+%\)", page.output)
    return (
        got.ok
        and bool(used)
        and "   Backups: " in page.output
        and shown == [*expected, ("Total", str(sum(lying.values())))]
        and sum(lying.values()) > 0
    )


@of("T1.4")
def t1_4(got: Seen) -> bool:
    """Exactly the plan's cron line, once."""
    return got.ok and got.ended[0].output.splitlines() == plan_text.cron_lines(1)


@of("T1.5")
def t1_5(got: Seen) -> bool:
    """The page answers through TLS, all replicas of the services run, no error in the log."""
    return home_page(got.ended[0]) and whole(got.ended[1]) and silent(got.ended[2])


@of("T2.1")
def t2_1(got: Seen) -> bool:
    """No password is requested, the output is the backup server's own name; with that key alone."""
    # Without that key, or where it is refused, ssh tries the owner's own; it warns of the first.
    alone = "ssh -o IdentitiesOnly=yes -o IdentityAgent=none -i /root/.ssh/chefwell_backup"
    again = got.host.sh(f"{alone} -o BatchMode=yes backupuser@{BACKUP} hostname")
    warned = got.ended[0].errors + again.errors
    return got.ok and warned == "" and got.ended[0].output == again.output == f"{BACKUP}\n"


@of("T2.2")
def t2_2(got: Seen) -> bool:
    """The new backup is listed as to be sent, and is on the backup server not yet."""
    (ran,) = got.ended
    return (
        got.ok
        and f"enviaria daily/{got.new_backup}" in ran.output
        and got.backup.must(f"find {BACKUP_PATH} -name '{got.new_backup}'") == ""
    )


@of("T2.3")
def t2_3(got: Seen) -> bool:
    """The new backup is sent, and lies on the backup server with the same SHA-256."""
    (ran,) = got.ended
    file = f"daily/{got.new_backup}"
    here = got.host.must(f"sha256sum < /root/backups/{file}")
    there = got.backup.must(f"sha256sum < {BACKUP_PATH}/{file}")
    return got.ok and f"envia {file}" in ran.output and here == there


@of("T2.4")
def t2_4(got: Seen) -> bool:
    """Both sides are shown with the same number in every tier, and as in sync."""
    (page,) = got.ended
    here, there = page.output.split("BACKUPS REMOTOS")
    numbers = re.compile(r"(\w+): (\d+) backups")
    return (
        got.ok
        and numbers.findall(here) == numbers.findall(there)
        and len(numbers.findall(here)) == 4
        and "✅ Local e remoto sincronizados!" in there
    )


@of("T2.5")
def t2_5(got: Seen) -> bool:
    """The log of the last sync names one file as sent: the backup that was just made."""
    return (
        got.ok
        and sent(got.ended[2]) == [f"daily/{made_backup(got.ended[0])}"]
        and (f"envia daily/{made_backup(got.ended[0])}" in got.ended[1].output)
    )


@of("T2.6")
def t2_6(got: Seen) -> bool:
    """Exactly the plan's cron line, once."""
    return got.ok and got.ended[0].output.splitlines() == plan_text.cron_lines(2)


@of("T2.7")
def t2_7(got: Seen) -> bool:
    """The login gives a token, all replicas of the services run, no error in the log."""
    login, services, log = got.ended
    return bool(json.loads(login.output)["token"]) and whole(services) and silent(log)


@of("T3.1")
def t3_1(got: Seen) -> bool:
    """The set-up ends with 0; staging's PostgreSQL and its way in are up on their own ports."""
    listed = got.ended[1].output
    return (
        got.ok
        and "✅ Staging no ar" in got.ended[0].output
        and bool(re.search(r" Up .*postgres_staging", listed))
        and bool(re.search(r" Up .*127\.0\.0\.1:5433->5432/tcp", listed))
    )


@of("T3.2")
def t3_2(got: Seen) -> bool:
    """Ends with 0; the report says that the newest backup is valid, and every mark is ✅."""
    newest = got.host.must("ls -t /root/backups/daily | head -1").strip()
    return all_ticked(got.ended[0]) and f"📁 Backup: {newest}" in got.ended[0].output


@of("T3.3")
def t3_3(got: Seen) -> bool:
    """Ends with 0; 100 %, and every mark of the report is ✅."""
    return all_ticked(got.ended[0])


@of("T3.4")
def t3_4(got: Seen) -> bool:
    """The login gives a token; with it 28 products and 18 sales, the sample's own figures."""
    login, products, sales = (json.loads(one.output) for one in got.ended)
    return got.ok and bool(login["token"]) and (products["total"], sales["total"]) == (28, 18)


@of("T3.5")
def t3_5(got: Seen) -> bool:
    """Both counts are equal, and not 0."""
    return count(got.ended[0]) == count(got.ended[1]) > 0


@of("T3.6")
def t3_6(got: Seen) -> bool:
    """All commands end with 0; after volumes were removed the report is all ✅ again."""
    return (
        got.ok
        and all_ticked(got.ended[2])
        and all_ticked(got.ended[3])
        and (
            got.ended[1].output.strip() == "staging_postgres_data"
            and "Removed" in got.ended[0].errors
        )
    )


@of("T3.7")
def t3_7(got: Seen) -> bool:
    """No container, volume or network of staging is left, its ports are free; production runs."""
    left = got.host.sh(
        "docker ps -a | grep staging; docker volume ls | grep staging; docker network ls | grep"
        " staging; ss -Hltn | grep -E ':(3001|5433) '"
    )
    services = got.host.sh("docker service ls | grep chefwell")
    output = "✅ Staging removido, produção intacta" in got.ended[0].output
    return got.ok and output and left.output == "" and whole(services)


@of("T3.8")
def t3_8(got: Seen) -> bool:
    """All replicas of the services run, the page answers, the log shows requests served."""
    services, page, log = got.ended
    return got.ok and whole(services) and home_page(page) and " 200 " in log.output
