# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exceptions of the engine: the problem, the option and value that caused it, the remedy."""

from __future__ import annotations

from collections.abc import Collection

from .messages import Message, join


class ResilienceError(Exception):
    """A problem that the caller can fix.

    Args:
        problem: what is wrong, one sentence without a full stop.
        option: the option, key or argument that caused it, if one did.
        value: the value that was given for it.
        remedy: what to do about it.
    """

    def __init__(
        self,
        problem: str,
        *,
        option: str | None = None,
        value: object = None,
        remedy: str | None = None,
    ) -> None:
        self.problem = problem
        self.option = option
        self.value = value
        self.remedy = remedy
        super().__init__(str(self))

    def message(self) -> Message:
        """Return the whole text, for pages of every language."""
        parts = [self.problem]
        if self.option is not None:
            parts.append(f" [{self.option}={self.value!r}]")
        if self.remedy:
            parts += [" - ", self.remedy]
        return join(parts, "")

    def of_file(self, path: str) -> ResilienceError:
        """Return the error of an option that a file holds."""
        return ResilienceError(
            f"{path}: {self.problem}", option=self.option, value=self.value, remedy=self.remedy
        )

    def __str__(self) -> str:
        return str(self.message())


class BackupError(ResilienceError):
    """The backup itself is bad: damaged, cut off, not what it was, or no dump at all.

    Never raised for a problem of the place that it is restored to: that says nothing about the
    backup, neither good nor bad.

    Args:
        finding: its stable identifier, see `findings.py`.
    """

    def __init__(
        self,
        problem: str,
        *,
        option: str | None = None,
        value: object = None,
        remedy: str | None = None,
        finding: str = "archive.damaged",
    ) -> None:
        self.finding = finding
        super().__init__(problem, option=option, value=value, remedy=remedy)


def known_names(name: str, known: Collection[str], otherwise: str = "") -> str:
    """Return the remedy for a name that nothing has: the one that was probably meant, or all.

    Args:
        name: the unknown name.
        known: the names that exist.
        otherwise: the remedy in place of all names where none is like it.
    """
    import difflib  # only a wrong name needs it, and each run of the monitor would load it

    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return otherwise or f"known keys: {', '.join(sorted(known))}"


def explanation(error: Exception) -> str:
    """Return an error for people: its whole text, or the kind of one that no code foresaw."""
    if isinstance(error, ResilienceError):
        return error.message()
    return f"{type(error).__name__}: {error}"
