"""Faults of the backup file in its rarer forms, and of what stands around it.

C1, C2, C5 and C7 to C10.
"""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import (
    archive,
    backup_digest,
    expectation,
    restore_size,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    BackupError,
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database import postgres
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import proof_settings
from ansible_collections.chefwell.resilience.plugins.module_utils.staging.private_cluster import (
    Cluster,
)
from support.drill_settings import drill_settings
from support.dumps import Dumps, counted, cuts
from support.fault_log import Fault
from testbed import Testbed

PACKERS = {
    "zstd": ["zstd", "-qc"],
    "lz4": ["lz4", "-qc"],
    "xz": ["xz", "-c"],
}
# pg_dump's own ways to pack what it writes.
INNER = {"gzip": "gzip:1", "none": "none"}
CUTS = 120


@pytest.fixture(scope="module")
def dumps(bed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> Dumps:
    return Dumps(bed, tmp_path_factory.mktemp("forms"))


def packed(packer: str, content: bytes) -> bytes:
    return subprocess.run(PACKERS[packer], input=content, capture_output=True, check=True).stdout


def folder_dump(dumps: Dumps, inner: str, name: str) -> Path:
    """A directory dump; pg_dump writes it itself."""
    settings = dumps.bed.record["postgres"]
    folder = dumps.folder / name
    subprocess.run(
        [
            *(dumps.binaries.path("pg_dump"), "-Fd", "-Z", INNER[inner], "-f", str(folder)),
            *("-h", settings["host"], "-p", str(settings["port"]), "-U", settings["user"]),
            settings["dbname"],
        ],
        env={"PGPASSWORD": settings["password"], "LC_ALL": "C.UTF-8"},
        check=True,
    )
    return folder


def refusal(dumps: Dumps, path: Path) -> str | None:
    try:
        archive.prepare(str(path), str(dumps.work), dumps.binaries, time_limit=30)
    except BackupError as error:
        return str(error)
    return None


def rows_of(dumps: Dumps, path: Path) -> dict[tuple[str, str], int | None]:
    return archive.prepare(str(path), str(dumps.work), dumps.binaries, time_limit=60).rows


def settings_for(
    dumps: Dumps, root: Path, work_dir: Path | None = None
) -> proof_settings.ProofSettings:
    place = {"work_dir": str(work_dir or root / "work")}
    return drill_settings(root, dumps.binaries.bin_dir, staging=place)


def check_of(result: dict[str, Any], identifier: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in result["checks"] if one["id"] == identifier)
    return found


@pytest.mark.parametrize("packer", PACKERS)
def test_c1_other_packers_cut_off(fault: Fault, dumps: Dumps, packer: str) -> None:
    whole = packed(packer, dumps.make("custom"))
    assert dumps.refusal(whole) is None
    places = [*cuts(len(whole), CUTS)]
    fault.cause(f"a custom dump in {packer}, {len(whole)} bytes, cut off at {len(places)} places")
    refused, tried = counted(places, lambda end: dumps.refusal(whole[:end]))
    fault.see(f"{refused} of {tried} refused", holds=refused == tried)


def test_c2_written_through_a_redirection(fault: Fault, dumps: Dumps) -> None:
    """PostgreSQL 16's `pg_dump -Fc > file` leaves a second table of contents behind the data."""
    path = dumps.folder / "redirected.dump"
    settings = dumps.bed.record["postgres"]
    command = [
        *(dumps.binaries.path("pg_dump"), "-Fc", "-h", settings["host"]),
        *("-p", str(settings["port"]), "-U", settings["user"], settings["dbname"]),
    ]
    with path.open("wb") as file:
        environment = {"PGPASSWORD": settings["password"], "LC_ALL": "C.UTF-8"}
        subprocess.run(command, env=environment, stdout=file, check=True)
    whole, piped = path.read_bytes(), dumps.make("custom")
    assert len(whole) > len(piped)
    assert rows_of(dumps, path) == rows_of_bytes(dumps, piped)
    second = len(piped)
    places = [*cuts(len(whole) - second - 1, CUTS)]
    fault.cause(
        f"a dump written through `>`, cut off at {len(places)} places of its second table of"
        " contents, something else behind it, and a name changed in it"
    )
    refused, tried = counted(places, lambda end: dumps.refusal(whole[: second + 1 + end]))
    others = [whole + b"\0", whole + whole[second:], whole[:second] + b"\0" * 40]
    place = whole.rindex(b"tenant_chefwell")
    others.append(whole[:place] + b"T" + whole[place + 1 :])
    also = [dumps.refusal(content) for content in others]
    fault.see(
        f"{refused} of {tried} cuts and {sum(map(bool, also))} of {len(also)} others refused;"
        " the whole one is taken, with all its rows",
        holds=refused == tried and all(also),
    )


def rows_of_bytes(dumps: Dumps, content: bytes) -> dict[tuple[str, str], int | None]:
    path = dumps.folder / "piped.dump"
    path.write_bytes(content)
    return rows_of(dumps, path)


def test_c2_packed_in_what_pg_restore_cannot_read(
    fault: Fault, dumps: Dumps, tmp_path: Path
) -> None:
    """The PostgreSQL of the tests was built without zstd and lz4; a backup is not bad for that.

    Its head names the compression in its twelfth byte (WriteHead in pg_backup_archiver.c).
    """
    whole = dumps.make("custom")
    fault.cause("a custom dump whose head names lz4, zstd, and a pg_restore without them")
    reported = []
    for number, name in ((2, "lz4"), (3, "zstd")):
        path = tmp_path / f"{name}.dump"
        path.write_bytes(whole[:11] + bytes([number]) + whole[12:])
        result = drill.run(settings_for(dumps, tmp_path), path=str(path))
        if f"packed in {name}" in (result["problem"] or ""):
            reported.append(result["verdict"])
    fault.see(f"{reported}, named", holds=reported == [proof_settings.COULD_NOT_VERIFY] * 2)


def test_c2_every_form_has_the_same_rows(fault: Fault, dumps: Dumps) -> None:
    """A dump that lost rows is found only by the number of rows of the whole one."""
    forms: dict[str, Path] = {}
    for form in ("custom", "custom, not compressed", "tar", "plain"):
        forms[form] = dumps.folder / f"{form}.dump"
        forms[form].write_bytes(dumps.make(form))
    for inner in INNER:
        forms[f"directory, {inner}"] = folder_dump(dumps, inner, f"rows-{inner}")
    for packer in PACKERS:
        forms[f"plain in {packer}"] = dumps.folder / f"plain.{packer}"
        forms[f"plain in {packer}"].write_bytes(packed(packer, dumps.make("plain")))
    fault.cause(f"one database dumped in {len(forms)} forms: {', '.join(forms)}")
    expected = rows_of(dumps, forms["custom"])
    same = [form for form, path in forms.items() if rows_of(dumps, path) == expected]
    total = sum(count or 0 for count in expected.values())
    fault.see(
        f"{len(same)} of {len(forms)} show the same {total} rows in {len(expected)} tables",
        holds=len(same) == len(forms) and len(expected) == 18 and total > 0,
    )


@pytest.mark.parametrize("inner", INNER)
def test_c5_an_emptied_table_file(fault: Fault, dumps: Dumps, inner: str) -> None:
    whole = folder_dump(dumps, inner, f"emptied-{inner}")
    assert refusal(dumps, whole) is None
    files = sorted(path for path in whole.iterdir() if path.name != "toc.dat")
    believed = refused = 0
    wrong = []
    for path in files:
        content = path.read_bytes()
        for spoilt in (b"", content[: len(content) // 2], None):
            if spoilt is None:
                path.unlink()
            else:
                path.write_bytes(spoilt)
            if refusal(dumps, whole):
                refused += 1
            else:
                wrong.append(path.name)
            if spoilt == b"":
                believed += _pg_restore_takes(dumps, whole)
        path.write_bytes(content)
    tried = 3 * len(files)
    fault.cause(
        f"a directory dump ({inner}), each of its {len(files)} data files emptied, cut, removed"
    )
    fault.note(f"pg_restore ends with 0 over {believed} of {len(files)} with an emptied file")
    fault.see(f"{refused} of {tried} refused {wrong or ''}", holds=refused == tried > 0)


def _pg_restore_takes(dumps: Dumps, folder: Path) -> bool:
    command = [dumps.binaries.path("pg_restore"), "--file=/dev/null", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def newer(dumps: Dumps) -> postgres.Binaries:
    """PostgreSQL 18, from the same Python package as the testbed's 16."""
    return postgres.find_binaries(dumps.binaries.bin_dir.replace("pginstall", "pginstall18"))


@pytest.fixture(scope="module")
def newer_dump(
    newer: postgres.Binaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A custom dump of a PostgreSQL 18 server."""
    root = tmp_path_factory.mktemp("newer")
    root.chmod(0o755)
    cluster = Cluster(str(root / "cluster"), newer)
    cluster.create()
    try:
        server = cluster.start()
        path = root / "of-18.dump"
        with path.open("wb") as out:
            subprocess.run(
                [newer.path("pg_dump"), "-Fc", server.url("postgres")], stdout=out, check=True
            )
        yield path
    finally:
        cluster.remove()


def test_c7_a_dump_of_a_newer_server_or_client(
    fault: Fault, dumps: Dumps, newer: postgres.Binaries, newer_dump: Path, tmp_path: Path
) -> None:
    settings = dumps.bed.record["postgres"]
    url = postgres.Server(
        *(settings[name] for name in ("host", "port", "user", "password")), dumps.binaries
    ).url(settings["dbname"])
    expected = {newer_dump: 18}
    by_newer = {form: tmp_path / f"by-18{form}.dump" for form in ("-Fc", "-Fp")}
    for form, path in by_newer.items():
        with path.open("wb") as out:
            subprocess.run([newer.path("pg_dump"), form, url], stdout=out, check=True)
    expected[by_newer["-Fc"]] = 17
    fault.cause("a dump of PostgreSQL 18; one of 16 by 18's pg_dump, custom (archive 1.16), plain")
    reported = []
    for path, needed in expected.items():
        result = drill.run(settings_for(dumps, tmp_path), path=str(path))
        phases = [phase["name"] for phase in result["phases"]]
        if (
            result["verdict"] == proof_settings.COULD_NOT_VERIFY
            and f"needs client >= {needed}" in result["problem"]
            and "staging" not in phases
        ):
            reported.append(needed)
    # No client reads plain SQL: what 16 lacks is one setting of the session.
    plain = drill.run(settings_for(dumps, tmp_path), path=str(by_newer["-Fp"]))
    evidence = check_of(plain, "restore")["evidence"]
    fault.see(
        f"could not verify, needs client >= {reported}, no staging was built;"
        f" plain: {plain['verdict']}",
        holds=reported == [18, 17]
        and plain["verdict"] == proof_settings.PASSED
        and "SET transaction_timeout (1)" in evidence,
    )


def test_c9_digest_files(fault: Fault, dumps: Dumps, tmp_path: Path) -> None:
    backup = tmp_path / "chefwell_backup_20251120_030000.dump"
    backup.write_bytes(dumps.make("custom"))
    digest = backup_digest.take(str(backup))
    beside = Path(f"{backup}.sha256")
    settings = settings_for(dumps, tmp_path)
    cases = {
        "missing": None,
        "right": f"{digest}  {backup.name}\n",
        "wrong": f"{'0' * 64}  {backup.name}\n",
        "another dump's": f"{digest}  chefwell_backup_20251119_030000.dump\n",
        "no digest at all": "<html>404</html>\n",
    }
    fault.cause(f"a digest file that is {', '.join(cases)}; each drilled")
    seen = {}
    for name, content in cases.items():
        beside.unlink(missing_ok=True)
        if content is not None:
            beside.write_text(content)
        result = drill.run(settings, path=str(backup))
        evidence = result["problem"] or check_of(result, "archive")["evidence"]
        seen[name] = (result["verdict"], evidence)
    fault.see(
        "; ".join(f"{name}: {verdict}" for name, (verdict, _evidence) in seen.items()),
        holds=[verdict for verdict, _evidence in seen.values()]
        == ["passed", "passed", "failed", "could_not_verify", "could_not_verify"]
        and "no digest was recorded" in seen["missing"][1]
        and "SHA-256 as in" in seen["right"][1]
        and "is not what it was" in seen["wrong"][1]
        and "it belongs to" in seen["another dump's"][1]
        and "lines of sha256sum" in seen["no digest at all"][1],
    )


def test_c4_bit_rot_between_two_drills(fault: Fault, dumps: Dumps, tmp_path: Path) -> None:
    backup = tmp_path / "chefwell_backup_20251120_030000.dump"
    backup.write_bytes(dumps.make("custom, not compressed"))
    settings = settings_for(dumps, tmp_path)
    before = drill.run(settings, path=str(backup))
    again = drill.run(settings, path=str(backup))
    content, times = backup.read_bytes(), backup.stat()
    place = content.rindex(b"Produto") if b"Produto" in content else len(content) - 200
    backup.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    os.utime(backup, ns=(times.st_atime_ns, times.st_mtime_ns))
    fault.cause("one bit of data that is not compressed, flipped after a drill; size and time stay")
    rotten = drill.run(settings, path=str(backup))
    found = [one["id"] for check in rotten["checks"] for one in check["findings"]]
    fault.see(
        f"{before['verdict']}, {again['verdict']}, then {rotten['verdict']}: {found}",
        holds=found == ["archive.digest_differs"]
        and "SHA-256 as in the last drill" in check_of(again, "archive")["evidence"],
    )


def test_c9_the_digests_of_a_folder(fault: Fault, dumps: Dumps) -> None:
    folder = folder_dump(dumps, "none", "digested")
    lines = subprocess.run(
        ["sha256sum", *sorted(os.listdir(folder))],
        cwd=folder,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    Path(f"{folder}.sha256").write_text(lines)
    assert backup_digest.verify_digest(str(folder)).source == "digested.sha256"
    files = [path for path in folder.iterdir() if path.stat().st_size]
    fault.cause(f"one bit flipped in each of the {len(files)} files of a directory dump")
    caught = 0
    for path in files:
        content = path.read_bytes()
        path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        try:
            backup_digest.verify_digest(str(folder))
        except BackupError as error:
            caught += path.name in str(error)
        path.write_bytes(content)
    fault.see(f"{caught} of {len(files)} caught and named", holds=caught == len(files) > 0)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 384 MiB, of which the engine leaves 256 free."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=384m", "none", str(place)], check=True)
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_c10_a_decompression_bomb(
    fault: Fault, dumps: Dumps, small_disk: Path, tmp_path: Path
) -> None:
    size = 640 << 20
    bombs = {}
    head = dumps.make("custom, not compressed")[:4096]
    for name, opener in (("gzip", gzip.open), ("xz", lzma.open)):
        bombs[name] = tmp_path / f"bomb.{name}"
        with opener(bombs[name], "wb") as out:
            out.write(head)
            for _number in range((size if name == "gzip" else size // 2) >> 20):
                out.write(bytes(1 << 20))
    sizes = ", ".join(f"{name} {path.stat().st_size >> 10} KiB" for name, path in bombs.items())
    fault.cause(f"bombs of up to 640 MiB ({sizes}), unpacked on a disk of 384 MiB")
    seen = []
    for path in bombs.values():
        result = drill.run(settings_for(dumps, tmp_path, small_disk / "work"), path=str(path))
        seen.append((result["verdict"], result["problem"], os.listdir(small_disk / "work")))
    fault.see(
        f"{[verdict for verdict, _problem, _left in seen]}, left there: {seen[0][2]}",
        holds=all(
            verdict == proof_settings.COULD_NOT_VERIFY
            and "is larger than" in problem
            and left == ["lock"]
            for verdict, problem, left in seen
        ),
    )


def test_c10_no_room_for_the_restore(
    fault: Fault, dumps: Dumps, small_disk: Path, tmp_path: Path
) -> None:
    backup = tmp_path / "backup.dump"
    backup.write_bytes(dumps.make("custom"))
    (small_disk / "ballast").write_bytes(bytes(72 << 20))
    fault.cause("a disk with 56 MiB to be used, and a backup that needs a cluster's 128 at least")
    result = drill.run(settings_for(dumps, tmp_path, small_disk / "work"), path=str(backup))
    fault.see(
        f"{result['verdict']}: {result['problem']}",
        holds=result["verdict"] == proof_settings.COULD_NOT_VERIFY
        and "needs about" in result["problem"]
        and os.listdir(small_disk / "work") == ["lock"],
    )


def test_c10_the_estimate_is_no_guess(fault: Fault, dumps: Dumps, tmp_path: Path) -> None:
    backup = tmp_path / "backup.dump"
    backup.write_bytes(dumps.make("custom"))
    ready = archive.prepare(str(backup), str(dumps.work), dumps.binaries)
    estimate = restore_size.estimate(ready, expectation.from_entries(ready.toc.entries, ready.rows))
    settings = settings_for(dumps, tmp_path)
    fault.cause("a restore that is measured after it was estimated")
    drill.run(settings, path=str(backup), keep=True)
    used = int(
        subprocess.run(
            ["du", "-sB1", settings.staging.work_dir], capture_output=True, check=True, text=True
        ).stdout.split()[0]
    )
    drill.clean_up(settings)
    fault.see(
        f"estimated {estimate >> 20} MiB, taken {used >> 20} MiB, {estimate / used:.2f} times",
        holds=1 <= estimate / used <= 4,
    )


def test_c8_a_folder_that_is_no_dump(fault: Fault, dumps: Dumps, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    shutil.copy(__file__, tmp_path / "etc" / "fstab")
    fault.cause("a folder of other files under a backup's name")
    try:
        archive.prepare(str(tmp_path / "etc"), str(dumps.work), dumps.binaries)
        text = "taken"
    except ResilienceError as error:
        text = str(error)
    fault.see(text[:70], holds="a folder without toc.dat" in text)
