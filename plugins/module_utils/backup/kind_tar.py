# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives in the tar format: a tar file with a table of contents and a member an entry.

The layout is that of PostgreSQL's `pg_backup_tar.c`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tarfile

from ..common.messages import _
from . import archive_toc, archive_whole
from .archive_toc import Toc, damaged
from .kind import Archive
from .kind_archive import ArchiveKind
from .kind_directory import CONTENTS


class TarKind(ArchiveKind):
    """A file of `pg_dump -Ft`."""

    name, suffix = "tar", ".tar"
    compressed = "never"

    def contents(self, path: str, compression: str = "none", time_limit: float = 60) -> Toc:
        """Return what an archive says that it holds; see `Kind`."""
        toc_path = path + ".toc"
        try:
            with tarfile.open(path) as tar, open(toc_path, "wb") as file:
                member = tar.extractfile(CONTENTS)
                if member is None:
                    raise damaged(_("its toc.dat is no file"), path)
                shutil.copyfileobj(member, file)
            toc = archive_toc.read(toc_path)
            archive_whole.check_contents_end(toc, os.path.getsize(toc_path), path)
            return toc
        except (tarfile.TarError, KeyError) as error:
            raise damaged(str(error), path) from error
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(toc_path)

    def large_objects(self, archive: Archive) -> int:
        """Return how many large objects an archive has; see `ArchiveKind`."""
        return archive_whole.tar_large_objects(archive.ready_path)
