"""A host without stage 2 gets a configuration by which rclone fetches the copy."""

from __future__ import annotations

import json
from pathlib import Path

from ansible_collections.chefwell.resilience.plugins.module_utils.common import settings
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import destinations
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_config import (
    OffsiteSettings,
)
from support.ansible_run import recap
from support.backup_trees import contents, plan_tree
from support.play_host import PlayHost
from support.rclone_server import configuration, serving

PLAY = """
- hosts: localhost
  gather_facts: false
  roles:
    - {role: chefwell.resilience.resilience}
  tasks:
    - ansible.builtin.include_role:
        name: chefwell.resilience.offsite_backup
        tasks_from: read_rclone
"""


def test_it_is_written_once_and_reads_the_copy(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    plan_tree(copy / "backups")
    (tmp_path / "etc").mkdir()
    play = tmp_path / "play.yml"
    play.write_text(PLAY)
    with serving("sftp", copy) as remote:
        read_from = {
            "name": "far",
            "rclone_remote": "there:backups",
            "rclone_config_file": str(configuration(tmp_path, remote)),
            "time_limit": 60,
        }
        host = PlayHost(tmp_path, offsite_backup_read_from=read_from)
        first, second = (host.run(str(play)) for _round in range(2))
        assert first.returncode == 0, first.stdout + first.stderr
        assert recap(first.stdout)["changed"] == 1 and recap(second.stdout)["changed"] == 0
        file = tmp_path / "etc" / "offsite_read.json"
        assert file.stat().st_mode & 0o777 == 0o600
        assert "secret" not in json.dumps(json.loads(file.read_text()))
        (source,) = destinations.syncs(settings.load(str(file), OffsiteSettings), ())
        listed = source.transport.list_files(("daily", "weekly", "monthly"))
        assert len(listed) == 14
        fetched = tmp_path / "fetched"
        fetched.mkdir()
        source.transport.fetch(sorted(listed)[:3], str(fetched))
        held = contents(copy / "backups")
        assert contents(fetched) == {path: held[path] for path in sorted(listed)[:3]}
