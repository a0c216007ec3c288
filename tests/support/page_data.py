"""Results behind the plan's three pages, as the engine returns them."""

from __future__ import annotations

import copy
import hashlib
from typing import Any

MB = 1 << 20
GB = 1 << 30


def _backup_files() -> list[dict[str, Any]]:
    sizes = {"daily": (7, 24 * MB), "weekly": (4, 16 * MB), "monthly": (3, 12 * MB)}
    files = []
    for tier, (count, total) in sizes.items():
        for number in range(count):
            size = total // count + (total % count if number == 0 else 0)
            path = f"{tier}/chefwell_backup_202511{20 - number:02d}_030000.dump.gz"
            files.append(
                {
                    "path": path,
                    "tier": tier,
                    "bytes": size,
                    "mtime_ns": 1763607600_000000000 - number * 86400_000000000,
                    "sha256": hashlib.sha256(path.encode()).hexdigest(),
                    "taken_at": f"2025-11-{20 - number:02d}T03:00:00",
                }
            )
    return sorted(files, key=lambda file: str(file["path"]))


def inventory() -> dict[str, Any]:
    """An inventory of 7 daily, 4 weekly and 3 monthly backups."""
    return {
        "root": "/root/backups",
        "tiers": {
            "daily": {"count": 7, "bytes": 24 * MB, "newest": None, "oldest": None},
            "weekly": {"count": 4, "bytes": 16 * MB, "newest": None, "oldest": None},
            "monthly": {"count": 3, "bytes": 12 * MB, "newest": None, "oldest": None},
        },
        "total_count": 14,
        "total_bytes": 52 * MB,
        "files": _backup_files(),
        "ignored": [],
        "in_progress": [],
        "problems": [],
    }


def disk() -> dict[str, Any]:
    """A check of a root filesystem at 45.2 % and of the backup folder on it."""
    used = round(45.2 * GB)
    return {
        "level": "ok",
        "targets": [
            {
                "path": "/",
                "folder": False,
                "level": "ok",
                "reason": "space 45.2% used",
                "percent_used": 45.2,
                "bytes_total": 100 * GB,
                "bytes_used": used,
                "bytes_available": 100 * GB - used,
                "inodes_percent_used": 3.1,
            },
            {
                "path": "/root/backups",
                "folder": True,
                "level": "ok",
                "reason": "space 0.1% used",
                "percent_used": 0.05,
                "bytes_total": 100 * GB,
                "bytes_used": 52 * MB,
                "bytes_available": 100 * GB - used,
                "inodes_percent_used": None,
            },
        ],
    }


def verification() -> dict[str, Any]:
    """A verification that finds both sides equal."""
    return {
        "host": "backup.server.com",
        "local": inventory(),
        "remote": {**inventory(), "root": "/backups/chefwell"},
        "comparison": {
            "in_sync": True,
            "missing": [],
            "extra": [],
            "different": [],
            "compared_by": "sha256",
            "unknown": [],
        },
    }


STORE_ROWS = {
    "products": 28,
    "categories": 5,
    "sales": 18,
    "customers": 21,
    "tabs": 5,
    "orders": 12,
    "expenses": 0,
    "stripe_payments": 0,
}
STORE_INTEGRITY = {
    "foreign_keys": {"found": 9, "expected": 9},
    "indexes": {"found": 14, "expected": 14},
    "unique_constraints": {"found": 2, "expected": 2},
}


def store(name: str) -> dict[str, Any]:
    """The validation of one tenant with the plan's tables and counts."""
    return {
        "name": name,
        "status": "passed",
        "tables": [
            {"name": table, "rows": rows, "expected": rows, "status": "passed"}
            for table, rows in STORE_ROWS.items()
        ],
        **copy.deepcopy(STORE_INTEGRITY),
    }


def _public() -> dict[str, Any]:
    return {
        "name": "public",
        "status": "passed",
        "tables": [
            {"name": "companies", "rows": 1, "expected": 1, "status": "passed"},
            {"name": "users", "rows": 2, "expected": 2, "status": "passed"},
        ],
        "foreign_keys": {"found": 1, "expected": 1},
        "indexes": {"found": 4, "expected": 4},
        "unique_constraints": {"found": 2, "expected": 2},
    }


def _call(identifier: str, title: str, kind: str, count: int | None) -> dict[str, Any]:
    return {
        "id": identifier,
        "title": title,
        "kind": kind,
        "status": "passed",
        "http_status": 200,
        "count": count,
        "evidence": "as many as in the database",
        "seconds": 0.02,
    }


CHECKS = (
    ("schemas_exist", "Schemas exist"),
    ("tables_exist", "All tables exist"),
    ("row_counts", "Row counts"),
    ("foreign_keys", "Foreign keys hold"),
    ("indexes", "Indexes present and valid"),
    ("unique_constraints", "Unique constraints"),
    ("sequences", "Sequences ahead of their columns"),
    ("complex_queries", "Complex queries"),
    ("api_login", "Users can log in"),
    ("api_lists", "Listings equal the database"),
)
PHASES = (
    ("digest", 0.0, 0.4),
    ("decode", 0.4, 1.3),
    ("staging", 1.7, 3.1),
    ("restore", 4.8, 45.0),
    ("backend", 49.8, 2.2),
    ("validate", 52.0, 3.4),
    ("cleanup", 55.4, 0.8),
)


def drill(more_stores: int = 0) -> dict[str, Any]:
    """The result of the plan's drill, with more tenants if requested."""
    schemas = [_public(), store("tenant_chefwell")]
    schemas += [store(f"tenant_loja_{number:03d}") for number in range(1, more_stores + 1)]
    counts = {
        key: {
            "found": sum(schema[key]["found"] for schema in schemas),
            "expected": sum(schema[key]["expected"] for schema in schemas),
        }
        for key in STORE_INTEGRITY
    }
    tables = [table for schema in schemas for table in schema["tables"]]
    return {
        "version": 1,
        "time": "2025-11-20T15:30:00-03:00",
        "verdict": "passed",
        "backup": {
            "file": "chefwell_backup_20251120_030000.dump.gz",
            "path": "/root/backups/daily/chefwell_backup_20251120_030000.dump.gz",
            "bytes": 36 * 1024,
            "format": "custom+gzip",
            "sha256": "0" * 64,
            "taken_at": "2025-11-20T03:00:00",
            "tier": "daily",
        },
        "restore": {
            "seconds": 45.0,
            "engine": "embedded",
            "jobs": 4,
            "errors": [],
            "harmless": [],
        },
        "phases": [
            {"name": name, "started": started, "seconds": seconds}
            for name, started, seconds in PHASES
        ],
        "schemas": schemas,
        "totals": {
            "schemas": len(schemas),
            "tables": len(tables),
            "rows": sum(table["rows"] for table in tables),
            **counts,
        },
        "featured_schema": "tenant_chefwell",
        "api": [
            _call("login", "Login", "login", None),
            _call("products", "List products", "list", 28),
            _call("sales", "List sales", "list", 18),
            _call("customers", "List customers", "list", 21),
            _call("stats", "Dashboard stats", "stats", None),
        ],
        "checks": [
            {
                "id": identifier,
                "title": title,
                "status": "passed",
                "evidence": "9 of 9",
                "seconds": 0.1,
            }
            for identifier, title in CHECKS
        ],
        "passed": len(CHECKS),
        "failed": 0,
        "skipped": 0,
        "confidence": 100.0,
        "seconds": 3.4,
        "rto_seconds": 55.4,
        "rpo_seconds": 45000.0,
        "objectives": {"rto_seconds": 600, "rpo_seconds": 86400},
        "problem": None,
    }
