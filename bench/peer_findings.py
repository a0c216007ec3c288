"""`python -m bench.peer_findings`: compare the findings of this collection and firedrill.

Both get the same healthy and broken backups, made from the corpus (`tests/corpus`). Their findings
are printed side by side and written to build/bench/peer_findings.json.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
for folder in (ROOT / "tests", ROOT / "build" / "collections"):
    sys.path.insert(0, str(folder))

from ansible_collections.chefwell.resilience.plugins.module_utils.backup import (
    manifest,
    manifest_snapshot,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import proof_settings
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import staging
from ansible_collections.chefwell.resilience.plugins.module_utils.staging.private_cluster import (
    Cluster,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.validation import (
    check_context,
)
from corpus.lab import HEALTHY, ROLE, TENANT_QUERY, Lab
from docker_lab import Engine, images
from testbed import production

from .rows import firedrill_run

RESULTS = ROOT / "build" / "bench" / "peer_findings.json"
# What is done to a healthy database before it is dumped.
SPOILT = {
    "an orphan under a key that is not validated": (
        "growing",
        "SET session_replication_role = replica; UPDATE public.child SET parent_id = 4711"
        " WHERE id = 7",
    ),
    "a sequence behind its column": ("stores", "SELECT setval('tenant_a.products_id_seq', 12)"),
    "an empty materialized view": (
        "growing",
        "REFRESH MATERIALIZED VIEW public.stored WITH NO DATA",
    ),
    "a view that does not run": (
        "growing",
        "CREATE OR REPLACE VIEW public.first AS SELECT 1 / (id - id) AS id FROM public.parent",
    ),
    "a tenant that lacks an index": ("stores", "DROP INDEX tenant_a.tenant_a_products_name"),
    "a tenant that lacks a column": (
        "stores",
        "ALTER TABLE tenant_d.products DROP COLUMN changed_at",
    ),
    "a tenant without its schema": ("stores", "DROP SCHEMA tenant_b CASCADE"),
}


def main() -> int:
    """Return 0 when the collection passed every healthy backup and no broken one, otherwise 1."""
    program = firedrill_run._firedrill()
    compared: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory(prefix="chefwell-bench-") as name,
        Engine.up(ROOT / "build" / "docker" / "gw0", report=print) as engine,
    ):
        images.make(engine, ["postgres"], report=print)
        folder = Path(name)
        folder.chmod(0o755)
        environment = firedrill_run.environment_for(engine, folder)
        cluster = Cluster(str(folder / "cluster"), production.binaries())
        cluster.create()
        try:
            lab = Lab(cluster.start(), folder)
            lab.run("postgres", f"CREATE ROLE {ROLE} NOLOGIN")
            for what, is_broken, path in _backups(lab):
                row = {
                    "backup": what,
                    "broken": is_broken,
                    "collection": _collection(lab, path, what),
                }
                row["firedrill"] = _firedrill(program, environment, folder, path)
                compared.append(row)
                print(f"{what}\n    collection {_outcome(row['collection'])}")
                print(f"    firedrill  {_outcome(row['firedrill'])}", flush=True)
        finally:
            cluster.remove()
    summary = {}
    for side in ("collection", "firedrill"):
        summary[side] = {
            "broken_ones_not_passed": sum(
                row[side]["verdict"] != "passed" for row in compared if row["broken"]
            ),
            "healthy_ones_not_passed": sum(
                row[side]["verdict"] != "passed" for row in compared if not row["broken"]
            ),
        }
    broken = sum(row["broken"] for row in compared)
    print(f"{broken} broken, {len(compared) - broken} healthy backups: {summary}")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(
        json.dumps({"summary": summary, "backups": compared}, indent=2, ensure_ascii=False) + "\n"
    )
    print(f"results: {RESULTS}")
    return int(
        summary["collection"] != {"broken_ones_not_passed": broken, "healthy_ones_not_passed": 0}
    )


def _backups(lab: Lab) -> Iterator[tuple[str, bool, Path]]:
    for path in HEALTHY:
        lab.create(path.stem, path.read_text(encoding="utf-8"))
    for path in HEALTHY:
        if path.stem != "security":  # its policies need a role that no target has
            yield f"healthy: {path.stem}", False, lab.dump(path.stem)
    for what, (base, sql) in SPOILT.items():
        lab.create("spoilt", template=base)
        lab.run("spoilt", sql)
        yield what, True, lab.dump("spoilt")
        lab.drop("spoilt")
    yield "a policy for a role that is not there", True, lab.dump("security")
    whole = lab.dump("rental").read_bytes()
    for what, content in (
        ("a custom dump cut off", whole[: len(whole) - 400]),
        ("an HTML page", b"<html><body>502 Bad Gateway</body></html>"),
    ):
        path = lab.folder / "broken.dump"
        path.write_bytes(content)
        yield what, True, path
    emptied = lab.dump("rental", "-Fd", "-Z0")
    max(emptied.glob("*.dat"), key=lambda one: one.stat().st_size).write_bytes(b"")
    yield "a directory dump with an emptied table file", True, emptied
    flipped = lab.dump("library", "-Fc", "-Z0")
    with manifest_snapshot.export({"dsn": lab.server.url("library")}) as snapshot:
        manifest.write(str(flipped), snapshot.read())
    content = flipped.read_bytes()
    place = content.index(b"a globe")
    flipped.write_bytes(content[:place] + b"A" + content[place + 1 :])
    yield "one letter changed in data that is not compressed", True, flipped


def _collection(lab: Lab, path: Path, what: str) -> dict[str, Any]:
    query = TENANT_QUERY if "tenant" in what or what.endswith("behind its column") else None
    settings = proof_settings.ProofSettings(
        staging=staging.StagingSettings(
            "embedded", str(lab.folder / "work"), bin_dir=lab.server.binaries.bin_dir
        ),
        # A folder of its own: the drill before counted another database.
        state_dir=tempfile.mkdtemp(prefix="state-", dir=lab.folder),
        backup_path=str(lab.folder),
        validation=check_context.ValidationSettings(tenant_query=query),
    )
    result = drill.run(settings, path=str(path))
    found = {one["id"] for check in result["checks"] for one in check["findings"]}
    return {"verdict": result["verdict"], "findings": sorted(found)}


def _firedrill(
    program: Path, environment: dict[str, str], folder: Path, path: Path
) -> dict[str, Any]:
    for one in [path, *path.rglob("*")]:
        one.chmod(0o755 if one.is_dir() else 0o644)
    report = folder / "firedrill.json"
    report.unlink(missing_ok=True)
    command = [str(program), "run", str(path), "--no-config", "--quiet", "--json", str(report)]
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        timeout=300,
        check=False,
    )
    verdict = {0: "passed", 1: "failed"}.get(ended.returncode, f"exit {ended.returncode}")
    if not report.exists():
        return {"verdict": verdict, "findings": [ended.stderr.strip()[-120:]]}
    found_report = json.loads(report.read_text())
    found = {f"{one['rule']} ({one['severity']})" for one in found_report["findings"]}
    return {"verdict": verdict, "findings": sorted(found)}


def _outcome(side: dict[str, Any]) -> str:
    return f"{side['verdict']}: {', '.join(side['findings']) or 'nothing'}"


if __name__ == "__main__":
    sys.exit(main())
