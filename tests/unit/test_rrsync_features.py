"""Guarantees that the server's rrsync could give, read from the real one."""

from __future__ import annotations

import shutil
from pathlib import Path

from ansible_collections.chefwell.resilience.plugins.module_utils.server import rrsync_features


def test_the_features_of_the_installed_rrsync_are_found() -> None:
    program = shutil.which("rrsync")
    assert program, "Debian's package rsync brings it"
    source = Path(program).read_text()
    # Its own source is the other witness.
    declared = [option for option in rrsync_features.OPTIONS if f"'{option}'" in source]
    assert rrsync_features.known(program) == declared
    assert rrsync_features.known(program, ["-no-such-option"]) == []


def test_a_request_of_the_caller_is_not_handed_on(monkeypatch, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    program = tmp_path / "rrsync"
    program.write_text(f'#!/bin/sh\nenv > {seen}\necho "Not invoked via sshd" >&2\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("SSH_ORIGINAL_COMMAND", "rsync --server . /")
    assert rrsync_features.known(str(program), ["-wo"]) == ["-wo"]
    assert "SSH_ORIGINAL_COMMAND" not in seen.read_text()


def test_an_older_one_lacks_some(tmp_path: Path) -> None:
    """A stand-in: it complains as rrsync of rsync 3.2.4 does of what came later."""
    program = tmp_path / "rrsync"
    program.write_text(
        "#!/bin/sh\n"
        'case "$1" in -no-overwrite) echo "error: unrecognized arguments: $1" >&2;;\n'
        '*) echo "error: Not invoked via sshd" >&2;; esac\nexit 1\n'
    )
    program.chmod(0o755)
    found = rrsync_features.known(str(program))
    assert found == ["-wo", "-no-del"]
    assert "lacks -no-overwrite" in rrsync_features.sentence(found)
    assert rrsync_features.known(str(tmp_path / "none")) is None
    assert "no rrsync" in rrsync_features.sentence(None)
