"""Whether a file is still being written, by a lease and by the open files of all processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ansible_collections.chefwell.resilience.plugins.module_utils.inventory import open_files


def test_a_writer_is_seen_and_a_reader_is_not(tmp_path: Path) -> None:
    idle, read, written = (tmp_path / name for name in ("idle", "read", "written"))
    for file in (idle, read, written):
        file.write_text("x")
    every = [str(file) for file in (idle, read, written, tmp_path / "gone")]
    with read.open(), written.open("ab"):
        assert open_files.being_written(every) == {str(written)}
        assert open_files._found_open(every) == {str(written)}
    assert open_files.being_written(every) == set() == open_files._found_open(every)


def test_another_process_may_write_at_any_moment(tmp_path: Path) -> None:
    """The look neither holds up nor fails the writer, and the kernel's signal does not end us."""
    file = tmp_path / "file"
    file.write_text("x")
    script = (
        "import os, sys, time\n"
        "until = time.monotonic() + 1\n"
        "while time.monotonic() < until:\n"
        "    os.close(os.open(sys.argv[1], os.O_WRONLY))\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", script, str(file)])
    turns = seen = 0
    while writer.poll() is None:
        turns += 1
        seen += bool(open_files.being_written([str(file)]))
    assert writer.returncode == 0
    assert 0 < seen < turns
    print(f"\n{seen} of {turns} times it was open")


def test_where_no_lease_is_to_be_had_the_open_files_are_looked_through(tmp_path: Path) -> None:
    """Another user's file: the kernel grants its lease to its owner alone."""
    file = tmp_path / "file"
    file.write_text("x")
    if os.geteuid() == 0:
        for folder in (tmp_path, *tmp_path.parents):
            if folder.stat().st_uid == 0 and str(folder).startswith("/tmp/"):
                folder.chmod(folder.stat().st_mode | 0o711)
        file.chmod(0o666)
    child = os.fork()
    if not child:
        if os.geteuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        with file.open("ab"):
            seen = open_files.being_written([str(file)])
        os._exit(0 if seen == {str(file)} else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
