"""The owner's plan on a real Swarm: a stage, its tests, the next one; then all is rolled back.

Every command is cut out of the plan's own text and run as it stands on production's host; names in
`<...>` are filled in. `plan_checks` judges what was printed, `plan_coverage` writes it down.
"""

from __future__ import annotations

import functools
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from docker_lab.availability import PATHS, Availability
from docker_lab.servers import (
    BACKUP_PATH,
    OWN_CRON,
    SCRIPTS,
    Ended,
    Servers,
    differences,
    recap,
)
from docker_lab.swarm import Swarm
from testbed import sample

from plan import plan_checks, plan_text
from plan.plan_checks import Seen
from plan.plan_coverage import Coverage, code, different

# Seconds without a request from outside in which something could have been missed.
LONGEST_GAP = 10
ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "plan-coverage.md"
TESTS = {test.id: test for test in plan_text.tests()}
# How each stage is installed, each another way that the plan's owner may go.
INSTALLS = {
    1: ("site.yml", "--tags", "stage1"),
    2: ("site.yml", "--skip-tags", "stage1,stage3"),
    3: ("playbooks/stage3_staging_restore.yml",),
}
# What each page that the plan shows is compared with: the command that shows it here.
PAGES = {
    (1, "Saída esperada"): "disk-status.sh",
    (2, "Saída esperada"): "verify-offsite-backups.sh",
    (3, "Relatório de Validação"): "validate-staging.sh",
}
# Commands that the plan shows before stage 2 is there: the owner makes the key by hand.
BY_HAND_BEFORE = ("Gerar chave SSH", "Copiar chave pública para servidor remoto", "Testar conexão")
EXPLAINED = "Características do rsync"
WITHOUT_TOKEN = "Testes Automatizados"
REASONS = {
    EXPLAINED: (
        "an explained command: a backslash with a comment behind it continues no line in any shell."
        " The copy that it describes is what `sync-backups-offsite.sh` makes"
    ),
    WITHOUT_TOKEN: ("the plan sends no token here, and the backend responds that one is needed"),
}


LEFT_ALONE = (
    r"/root/backups/(daily|weekly|monthly)/chefwell_backup_|/root/\.ssh/known_hosts"
    r"|/var/log/chefwell-offsite-sync\.log"
)


class Plan:
    """The plan on its host, with what was seen while it was carried out."""

    def __init__(self, servers: Servers, coverage: Coverage) -> None:
        self.servers = servers
        self.host, self.backup = servers.host, servers.backup
        self.coverage = coverage
        self.availability = Availability(servers.engine)
        self.before = self.host.snapshot()
        self.server_before = self.backup.snapshot()
        self.new_backup = ""
        self.seen: dict[str, list[Ended]] = {}
        self.shown: dict[str, Ended] = {}
        self.by_hand: dict[str, bool] = {}
        self.codes: dict[str, int] = {}
        self.commands = 0
        self.seconds: dict[str, float] = {}

    def run(self, command: str, earlier: list[Ended] | None = None, **environment: str) -> Ended:
        """Runs a command of the plan, what stands in `<>` filled in."""
        self.commands += 1
        for name in plan_text.filled(command):
            if name == "<TOKEN>":
                value = json.loads((earlier or [])[0].output)["token"]
            else:
                pattern = {"<prod-postgres>": "chefwell_postgres"}.get(name, "postgres_staging")
                value = self.host.must(f"docker ps --format '{{{{.Names}}}}' | grep {pattern}")
            command = command.replace(name, value.strip())
        if "docker service logs" in command:
            # Docker's own way to a service's log does not always come to an end (20.10, on a
            # machine under load); a person presses Ctrl-C and tries again.
            for _attempt in range(2):
                ended = self.host.sh(command, seconds=30)
                if ended.code != 124:
                    return ended
                print(f"Docker did not come to an end with: {command}")
        return self.host.sh(command, **environment)

    def block(self, block: plan_text.Block, **environment: str) -> list[Ended]:
        """Runs a block that the plan shows, with a row for each command."""
        ended = []
        for command in block.commands:
            one = self.run(command, **environment)
            ended.append(one)
            self.shown[command] = one
            self._row_of_shown(block, command, one)
        return ended

    def _row_of_shown(self, block: plan_text.Block, command: str, one: Ended) -> None:
        passed: bool | None = one.code == 0
        note = ""
        without_token = block.title == WITHOUT_TOKEN and "/api/auth/" not in command
        if block.title == EXPLAINED and one.code != 0:
            passed, note = None, REASONS[EXPLAINED]
        elif without_token and "curl" in command and "a token is needed" in one.output:
            passed, note = None, REASONS[WITHOUT_TOKEN]
        self.coverage.add(
            block.stage,
            "command",
            block.title,
            code(command),
            str(one.code),
            passed=passed,
            note=note,
        )
        assert passed is not False, (command, one)

    def play(self, *arguments: str, **more: object) -> dict[str, dict[str, int]]:
        """A playbook that must succeed; the figures of its recap."""
        began = time.monotonic()
        ended = self.servers.play(*arguments, **more)
        assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr
        took = time.monotonic() - began
        figures = recap(ended.stdout)
        print(f"{' '.join(arguments)}: {took:.1f} s, {figures}")
        return figures

    def cron(self) -> list[str]:
        """The lines of root's crontab that are no comments."""
        return [line for line in self.host.must("crontab -l").splitlines() if line[:1] != "#"]


@pytest.fixture(scope="module")
def plan(swarm: Swarm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plan]:
    began = time.monotonic()
    with Servers.up(swarm, tmp_path_factory.mktemp("servers")) as servers:
        made = Plan(servers, Coverage())
        made.seconds["two servers"] = time.monotonic() - began
        with made.availability.watched():
            yield made
        print("\n".join(f"{took:6.1f} s {part}" for part, took in made.seconds.items()))


@pytest.fixture(autouse=True)
def timed(plan: Plan, request: pytest.FixtureRequest) -> Iterator[None]:
    began = time.monotonic()
    yield
    name = re.sub(r"^test_\w+\[(.+)\]$", r"\1", request.node.name)
    plan.seconds[name] = time.monotonic() - began


def install(plan: Plan, stage: int) -> None:
    """The stage alone is installed; the later ones are not there yet."""
    if stage == 2:
        for block in plan_text.shown(2):
            if block.title in BY_HAND_BEFORE or block.title == EXPLAINED:
                (one,) = plan.block(block)
                if block.title == BY_HAND_BEFORE[-1]:
                    assert one.output == "Conexão OK\n", one
    figures = plan.play(*INSTALLS[stage])
    assert figures["producao"]["changed"] > 0 and figures["producao"]["failed"] == 0
    for later in range(stage + 1, 4):
        for path in plan_text.files_created(later):
            # The key is the owner's own.
            assert plan.host.sh(f"test -e {path}").code != 0 or "chefwell_backup" in path, path


def of_the_plan(plan: Plan, name: str) -> None:
    """One test of the plan; and that it would have failed had one of its commands not worked."""
    test = TESTS[name]
    if name == "T2.2":
        # The night's backup, so that there is something to list: the copy is complete by now.
        plan.new_backup = plan_checks.made_backup(plan.host.sh(f"{SCRIPTS}/backup-database.sh"))
    ended: list[Ended] = []
    for command in test.commands:
        ended.append(plan.run(command, ended))
    plan.seen[name] = ended
    what = Seen(ended, plan.host, plan.backup, plan.new_backup)
    passed = plan_checks.seen(name, what)
    for number, instead in plan_checks.broken(ended):
        other = Seen(instead, plan.host, plan.backup, plan.new_backup)
        assert not plan_checks.seen(name, other), (name, number, instead[number])
    expected = test.expected or "; ".join(re.findall(r"^# (.+)$", test.block, re.MULTILINE))
    title = f"{test.id} - {test.title}"
    plan.coverage.add(
        test.stage, "test", title, expected, plan_checks.looked_at(name), passed=passed
    )
    for command, one in zip(test.commands, ended, strict=True):
        plan.coverage.add(
            test.stage, "command", test.id, code(command), str(one.code), passed=passed
        )
    assert passed, "\n".join(f"$ {one.code}\n{one.output}{one.errors}" for one in ended)


def shown(plan: Plan, stage: int) -> None:
    """What else the plan shows in a stage: commands on the way, and pages."""
    environment = {}
    if stage == 3:
        secret = plan.host.must("cat /root/restaurante/staging/postgres_staging.env")
        environment = {"PGHOST": "127.0.0.1", "PGPORT": "5433"}
        environment["PGPASSWORD"] = secret.split("=", 1)[1].strip()
    for block in plan_text.shown(stage):
        if block.title not in (*BY_HAND_BEFORE, EXPLAINED):
            plan.block(block, **environment)
    text = {
        **plan.shown,
        f"{SCRIPTS}/validate-staging.sh": plan.seen.get("T3.3", [Ended(1, "")])[0],
    }
    for output in plan_text.outputs(stage):
        command = PAGES[stage, output.title]
        missing = plan_checks.missing_lines(output, text[f"{SCRIPTS}/{command}"].output)
        plan.coverage.add(
            *(stage, "page", output.title),
            f"{len(output.lines)}, in this order; {len(missing)} missing",
            f"what {code(command)} showed, figures left open",
            passed=not missing,
        )
        assert not missing, (missing, text[f"{SCRIPTS}/{command}"].output)


def there(plan: Plan, stage: int) -> None:
    """The stage's files and its cron line; what the owner has stands beside it."""
    for path in plan_text.files_created(stage):
        kind = plan.host.sh(f"test -s {path} && test -f {path} && stat -c '%A %U' {path}")
        plan.coverage.add(
            stage, "file", code(path), f"stage {stage}", kind.output.strip(), passed=kind.code == 0
        )
        assert kind.code == 0, path
    for line in plan_text.cron_lines(stage):
        found = plan.cron().count(line)
        own = all(one in plan.cron() for one in OWN_CRON)
        beside = "the owner's own lines" if own else "the owner's own lines are gone"
        plan.coverage.add(stage, "cron", code(line), str(found), beside, passed=found == 1 and own)
        assert found == 1 and own, plan.cron()


def working(plan: Plan, stage: int) -> None:
    """The plan's list on the host, with all seven items, and no secret in it."""
    page = plan.host.sh(f"{SCRIPTS}/checkpoint.sh")
    held = json.loads(plan.host.must(f"{SCRIPTS}/checkpoint.sh --json"))
    assert page.code == 0 and held["status"] == "passed", page
    output = page.output + page.errors + json.dumps(held)
    for secret in (sample.PASSWORD, plan.servers.swarm.settings["password"]):
        assert secret not in output
    mode = plan.host.must("stat -c %a /etc/chefwell-resilience/checkpoint.json").strip()
    assert mode == "600"
    assert "✅ Sistema Funcionando:" in page.output and "7 de 7 itens" in page.output
    for number, item in enumerate(plan_text.checkpoint_items(), 1):
        expected = f"{number}. ✅ {item.split(' (https')[0]}"
        passed = expected in page.output
        if stage == plan_text.STAGES[-1]:
            plan.coverage.add(0, "item", item, code("checkpoint.sh"), passed=passed)
        assert passed, page.output


# After which test what the plan shows on the way is looked at: while staging stands, in stage 3.
SHOWN_AFTER = {1: "T1.3", 2: "T2.4", 3: "T3.3"}
Step = Callable[[Plan], None]


def steps() -> dict[str, Step]:
    """All there is to do, in order, by name."""
    found: dict[str, Step] = {}
    for stage in plan_text.STAGES:
        found[f"install {stage}"] = functools.partial(install, stage=stage)
        for name in (name for name, test in TESTS.items() if test.stage == stage):
            found[name] = functools.partial(of_the_plan, name=name)
            if name == SHOWN_AFTER[stage]:
                found[f"shown {stage}"] = functools.partial(shown, stage=stage)
        found[f"files {stage}"] = functools.partial(there, stage=stage)
        found[f"working {stage}"] = functools.partial(working, stage=stage)
    return found


@pytest.mark.parametrize("name", list(steps()))
def test_forwards(plan: Plan, name: str) -> None:
    steps()[name](plan)


def test_every_command_of_the_plan_was_run(plan: Plan) -> None:
    tests = sum(len(test.commands) for test in plan_text.tests())
    shown_too = sum(len(block.commands) for n in plan_text.STAGES for block in plan_text.shown(n))
    print(f"{plan.commands} commands of {len(plan.seen)} tests and of what the plan shows")
    assert set(plan.seen) == set(TESTS) == set(plan_checks.JUDGES) and len(TESTS) == 20
    assert plan.commands == tests + shown_too == 35 + 13


def undone(plan: Plan, command: str) -> bool:
    """Whether what a command of a rollback takes away is gone."""
    line = re.search(r"crontab -e +# Deletar linha do (\S+)", command)
    if line:
        return not [one for one in plan.cron() if line[1] in one]
    path = re.fullmatch(r"rm -r?f (\S+)", command)
    if path:
        return plan.host.sh(f"ls -d {path[1]}").code != 0
    assert command.endswith("cleanup-staging.sh"), command
    kinds = ("ps --all", "volume ls", "network ls")
    return not any("staging" in plan.host.must(f"docker {kind}") for kind in kinds)


def backups(plan: Plan) -> str:
    """The backups here and their copies, by content."""
    here = plan.host.must("cd /root/backups && sha256sum */*.gz")
    return here + plan.backup.must(
        f"cd {BACKUP_PATH} && find . -name '*.gz' | sort | xargs sha256sum"
    )


# The plan has no schedule for stage 3; the role's is a drill a week.
DRILL_CRON = "30 5 * * 0 /root/restaurante/scripts/test-restore-staging.sh > /dev/null 2>&1"
# What a person does in the editor that `crontab -e` opens.
EDITOR = "#!/bin/sh\nsleep 1\nexec sed -i '/{}/d' \"$1\"\n"


@pytest.mark.parametrize("stage", [3, 2, 1])
def test_a_rollback_by_hand(plan: Plan, stage: int) -> None:
    """The plan's own list, as it stands. The stages before stay, and what is the owner's."""
    held = backups(plan)
    for command in plan_text.rollback(stage).commands:
        word = re.search(r"# Deletar linha do (\S+)", command)
        if word:
            script = EDITOR.format(word[1])
            plan.host.must(f"cat > /tmp/editor <<'END'\n{script}END\nchmod +x /tmp/editor")
        one = plan.run(command, EDITOR="/tmp/editor", VISUAL="/tmp/editor")
        plan.by_hand[command] = one.code == 0 and undone(plan, command)
        plan.codes[command] = one.code
        assert plan.by_hand[command], (command, one)
    plan.host.must("rm -f /tmp/editor")
    assert backups(plan) == held
    assert set(OWN_CRON) <= set(plan.cron())
    for earlier in range(1, stage):
        assert plan.host.must(f"test -s {plan_text.files_created(earlier)[0]}") == ""


def test_what_was_taken_away_by_hand_comes_back(plan: Plan) -> None:
    """The whole of `site.yml` on a host of which half is left: as if nothing had been."""
    figures = plan.play("site.yml")
    assert figures["producao"]["changed"] > 0
    for stage in plan_text.STAGES:
        for path in plan_text.files_created(stage):
            assert plan.host.sh(f"test -s {path}").code == 0, path
    lines = [line for stage in plan_text.STAGES for line in plan_text.cron_lines(stage)]
    # Beyond the plan: the verification runs from cron, too.
    (synced,) = plan_text.cron_lines(2)
    verified = synced.replace("0 4 ", "30 7 ", 1).replace("sync-backups-off", "verify-off", 1)
    verified = verified.replace("verify-offsite.sh", "verify-offsite-backups.sh")
    assert sorted(plan.cron()) == sorted([*OWN_CRON, *lines, verified, DRILL_CRON])


def test_a_system_that_is_not_whole_is_reported(plan: Plan) -> None:
    engine = plan.servers.engine
    engine.docker(
        *("service", "create", "--detach", "--quiet", "--name", "chefwell_more"),
        *("chefwell-test/base:1", "sh", "-c", "exit 3"),
    )
    try:
        page = plan.host.sh(f"{SCRIPTS}/checkpoint.sh")
        assert page.code == 2 and "❌" in page.output, page
        assert "7. ❌ Serviços Docker ativos" in page.output and "6 de 7 itens" in page.output
    finally:
        engine.docker("service", "rm", "chefwell_more")


@pytest.mark.parametrize("stage", [3, 2, 1])
def test_a_rollback_by_its_playbook(plan: Plan, stage: int) -> None:
    """By its full name. What the plan's own list takes away is gone; the stages before stay."""
    held = backups(plan)
    name = f"chefwell.resilience.rollback_stage{stage}"
    assert plan.play(name, offsite_backup_remove_key=True)["producao"]["changed"] > 0
    for command in plan_text.rollback(stage).commands:
        gone = undone(plan, command)
        plan.coverage.add(
            *(stage, "rollback", code(command), str(plan.codes.get(command, "not run"))),
            "gone" if gone else "still there",
            passed=gone and plan.by_hand.get(command, False),
        )
        assert gone, command
    assert backups(plan) == held
    for earlier in range(1, stage):
        for path in plan_text.files_created(earlier):
            assert plan.host.sh(f"test -s {path}").code == 0, path
        assert set(plan_text.cron_lines(earlier)) <= set(plan.cron())


def test_the_servers_are_as_they_were(plan: Plan) -> None:
    left = [
        line
        for line in differences(plan.before, plan.host.snapshot())
        # The backups that the plan's own tests made and what their rotation removed, what ssh
        # itself learned of the server, and the log that the plan's list leaves.
        if not re.search(LEFT_ALONE, line)
    ]
    assert left == [], "\n".join(left)
    # The key that was removed by hand, as the plan lets it be, is still let in by a line there.
    there = differences(plan.server_before, plan.backup.snapshot())
    print("\n".join(there))


def test_the_plans_tests_fail_on_a_host_without_it(plan: Plan) -> None:
    """Nothing of it is there any more, and each of its tests that looks at it says so."""
    for name in ("T1.1", "T1.2", "T1.3", "T1.4", "T2.1", "T2.2", "T2.3", "T2.4", "T2.6", "T3.3"):
        ended = [plan.host.sh(command) for command in TESTS[name].commands]
        assert not plan_checks.seen(name, Seen(ended, plan.host, plan.backup, plan.new_backup)), (
            name,
            ended,
        )


def test_no_request_from_outside_failed(plan: Plan) -> None:
    watch = plan.availability
    print(
        f"{watch.requests} requests from outside in {watch.seconds:.0f} s, {watch.rate:.1f} a"
        " second,"
        f" {watch.longest_gap:.1f} s between two rounds at most; {len(watch.failed)} failed"
    )
    plan.coverage.figures = {
        "requests": watch.requests,
        "failed": watch.failed,
        "longest_gap_seconds": round(watch.longest_gap, 2),
        "seconds": {part: round(took, 1) for part, took in plan.seconds.items()},
    }
    often = watch.rate > 2 and watch.longest_gap < LONGEST_GAP
    plan.coverage.add(
        *(0, "outside", "the app's page and the API's health, through TLS"),
        f"over 2 requests a second, no {LONGEST_GAP} s without one",
        passed=often and not watch.failed,
    )
    assert watch.failed == [] and often


def test_requests_from_outside_see_a_failure(plan: Plan) -> None:
    engine = plan.servers.engine
    (front,) = plan.servers.swarm.containers("chefwell_front")
    impatient = Availability(engine, patience=0.5)
    with impatient.watched():
        engine.docker("pause", front)
        time.sleep(1.5)
        engine.docker("unpause", front)
    wrong = Availability(engine, paths=((PATHS[0][0], "/no/such/page"),))
    with wrong.watched():
        time.sleep(0.5)
    print(f"while production stood still: {len(impatient.failed)} of {impatient.requests} failed")
    assert impatient.failed and "timed out" in impatient.failed[0]
    assert len(wrong.failed) == wrong.requests > 0 and "HTTP 404" in wrong.failed[0]


def test_the_page_is_what_was_seen(plan: Plan) -> None:
    coverage = plan.coverage
    watch = plan.availability
    coverage.judge_criteria(available=watch.requests > 0 and not watch.failed)
    coverage.write(ROOT / "build" / "plan" / "results.json")
    assert coverage.lacking() == []
    seen = coverage.page()
    held = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if held != seen:
        PAGE.write_text(seen, encoding="utf-8")
    assert different(held, seen) == [], f"{PAGE.name} was written anew: look at it and commit it"
    assert [row.cells for row in coverage.rows if row.passed is False] == []
