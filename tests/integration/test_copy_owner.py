"""What root does with a copy on the backup server belongs to the copy's account."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.server import copy_owner

NOBODY = 65534
# Each later import would need a right to read this folder.
SCRIPT = f"""
import os, pwd, sys
sys.path[:0] = sys.argv[1:]
from {copy_owner.__name__} import act_as_owner
act_as_owner(".")
open("made", "w").close()
print(os.getuid(), os.getgroups())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone becomes another account")
@pytest.mark.parametrize("uid", [NOBODY, 54321, 0])
def test_root_acts_as_the_account_that_owns_it(tmp_path: Path, uid: int) -> None:
    """Also as one whose account is gone; root's own copy stays root's."""
    copy = tmp_path / "copy"
    copy.mkdir()
    os.chown(copy, uid, uid)
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, *sys.path],
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stderr == ""
    assert ended.stdout.split()[0] == str(uid)
    status = (copy / "made").stat()
    assert (status.st_uid, status.st_gid) == (uid, uid)


def test_a_folder_that_is_missing_changes_nothing(tmp_path: Path) -> None:
    copy_owner.act_as_owner(str(tmp_path / "missing"))
    assert os.geteuid() == os.getuid()
