# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that no code foresaw, on one line: of a broken installation, or of the engine itself.

It loads nothing but Python's own library, because anything else may be what is broken.
"""

from __future__ import annotations

import os
import sys

ENGINE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Environment variable: where it is set, an unforeseen error is printed with its traceback.
DEBUG = "RESILIENCE_DEBUG"
# How errors of Python's own cache of compiled code begin (marshal.c).
_CACHE = ("marshal data", "bad marshal data", "EOF read where")
# Characters of an error's own text.
_LONGEST = 400


def explained(error: BaseException) -> tuple[str, str]:
    """Return an error's cause, with the place in the code, and its remedy."""
    file, line, loading = _place(error)
    text = f"{type(error).__name__}: {_clean(str(error))[:_LONGEST]}"
    at = f" (at {os.path.basename(file)}:{line})" if file else ""
    library = _library(error)
    if library in getattr(sys, "stdlib_module_names", ()):
        return (
            f"{sys.executable} lacks a part of Python itself, {library}: {text}",
            "install all of it (Debian: python3), or name another interpreter in host_kit_python",
        )
    if library:
        return (
            f"the Python library {library} cannot be loaded: {text}",
            f"install it for {sys.executable} (Debian: python3-{library}), or run the stage's"
            " playbook again, which does",
        )
    if loading and str(error).startswith(_CACHE):
        return (
            f"Python's cache of compiled code is damaged: {text}",
            f"remove it: find '{ENGINE}' -name __pycache__ -exec rm -r {{}} +",
        )
    if loading and file and not _is_of_engine(file):
        return (
            f"a library of Python is damaged: {text} (at {file}:{line})",
            f"install it again for {sys.executable}",
        )
    if loading or _lacks_a_name(error):
        return (
            f"the installation is broken: {text}{at}",
            "run the stage's playbook again, which installs what is missing or damaged",
        )
    return (
        f"unexpected error, {text}{at}",
        "run the stage's playbook again, which installs damaged files; if that does not help, run"
        f" this with {DEBUG}=1 for the traceback, and report it",
    )


def report(error: BaseException) -> str:
    """Return cause and remedy on one line; the traceback is printed where DEBUG is set."""
    cause, remedy = explained(error)
    if not os.environ.get(DEBUG):
        return f"{cause} - {remedy}"
    if sys.stderr is not None:
        import traceback  # it loads more of Python's library, which may be what is broken

        parts = traceback.format_exception(type(error), error, error.__traceback__)
        sys.stderr.write(_masked("".join(parts)))
    return cause


def _place(error: BaseException) -> tuple[str, int, bool]:
    """Return where an error was raised: file and line, and whether code was being loaded there."""
    file, line = "", 0
    loading = isinstance(error, (ImportError, SyntaxError))
    place = error.__traceback__
    while place is not None:
        code = place.tb_frame.f_code
        name = code.co_filename
        if "importlib" in name:
            loading = True
        else:
            file, line = name, place.tb_lineno
            loading = loading or code.co_name == "<module>"
        place = place.tb_next
    if isinstance(error, SyntaxError) and error.filename:
        file, line = error.filename, error.lineno or 0
    return file, line, loading


def _library(error: BaseException) -> str:
    """Return the library that cannot be loaded; empty where it is a part of the engine."""
    if not isinstance(error, ImportError) or not error.name:
        return ""
    name, _dot, _rest = error.name.partition(".")
    return "" if name in (os.path.basename(ENGINE), "ansible_collections") else name


def _is_of_engine(file: str) -> bool:
    return os.path.abspath(file).startswith(ENGINE + os.sep)


def _lacks_a_name(error: BaseException) -> bool:
    """Return whether a module lacks what is taken from it, as where its file was cut off."""
    if not isinstance(error, AttributeError):
        return False
    holder = getattr(error, "obj", None)  # since Python 3.10
    return isinstance(holder, type(sys)) or str(error).startswith("module '")


def _clean(text: str) -> str:
    line = " ".join(text.split())
    return _masked("".join(one if one.isprintable() else ascii(one)[1:-1] for one in line))


def _masked(text: str) -> str:
    """Return a text without the secrets that this run knows."""
    try:
        from .mask import mask
    except Exception:  # then no secret was read either
        return text
    return mask(text)
