"""Plain SQL is cut where PostgreSQL cuts it, wherever the blocks of the input end."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Iterator

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import (
    sql_encoding,
    sql_lexer,
    sql_words,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.backup.sql_lexer import Piece

# Ahead of a statement this much is read; small, so that the blocks below end within statements.
HEAD = 48


def lexed(content: bytes, block: int = 1 << 20, keep: int | None = None) -> list[Piece]:
    lexer = sql_lexer.Lexer(io.BytesIO(content).read, block=block, head=HEAD, keep=keep)
    return list(lexer.pieces())


def statements(content: bytes, block: int = 1 << 20) -> list[str]:
    return [
        piece.text.decode("utf-8", "surrogateescape").removesuffix("\n")
        for piece in lexed(content, block)
        if piece.kind == sql_lexer.STATEMENT
    ]


def shape(pieces: list[Piece]) -> list[tuple[object, ...]]:
    """What must not depend on where blocks end: rows come in blocks, blanks in runs."""
    made: list[tuple[object, ...]] = []
    rows = b""
    for piece in pieces:
        if piece.kind == sql_lexer.ROWS:
            rows += piece.text
        elif piece.kind == sql_lexer.END:
            made.append((piece.kind, rows, piece.text, piece.line))
            rows = b""
        elif piece.kind != sql_lexer.SPACE:
            flags = (piece.whole, piece.groups, piece.copy_in, piece.size)
            made.append((piece.kind, piece.text, piece.line, *flags))
    return made


# Each is one statement.
SINGLE = {
    "quote doubled": "SELECT 'it''s; one';",
    "a backslash is a mere backslash": r"SELECT 'C:\', ';';",
    "escape string": r"SELECT E'a\'; b\\', e'\\';",
    "escape string, quote doubled, then a backslash": r"SELECT E'a''\'; b';",
    "escape string that goes on below": "SELECT E'a'\n  '\\'; b';",
    "escape string that goes on below a comment": "SELECT E'a' -- it's\n '\\'; b';",
    "no escape string: a word that ends in e": r"SELECT date'2025-01-01\';",
    "bits and bytes": r"SELECT b'01', x'\';",
    "Unicode": "SELECT U&'d\\0061t''; +', u&\"a;\"\"b\";",
    "identifier with a semicolon": 'SELECT "a;""b" FROM "t;";',
    "identifier with quotes": 'SELECT "it\'s" FROM t;',
    "dollar quotes": "SELECT $$a; 'b$$, $x$;$$;$y$;$x$;",
    "a dollar quote's tag within a tag": "SELECT $a$ $b$ ; $ab$ ; $a$;",
    "dollar quote in another language": "SELECT $ação$;$ação$;",
    "dollars in names": "SELECT a$b$c, d$$ FROM e$f;",
    "a parameter": "PREPARE p AS SELECT $1 || ';';",
    "comment with a quote": "SELECT 1 -- it's\n;",
    "nested comments": "SELECT 1 /* a /* ; */ ' */ + /**/ 2 /* ** / ; **/;",
    "a comment right behind an operator": "SELECT 1 +-- ;\n 2 */* ; */ 3;",
    "minus and slash": "SELECT 1 - 2 / 3 -4/5;",
    "rule with actions": "CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM a; SELECT (1); );",
    "a body in SQL": (
        "CREATE FUNCTION f(a int DEFAULT (1)) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1;"
        " SELECT CASE WHEN a > 1 THEN CASE a WHEN 2 THEN 3 END ELSE (CASE WHEN true THEN 1 END)"
        " END; END;"
    ),
    "a body in SQL, replaced, begun below a comment": (
        "create or /* x */ replace\nPROCEDURE p()\nBEGIN -- it's\n ATOMIC\n INSERT INTO t"
        " VALUES (1); END;"
    ),
    "a function whose name is begin": (
        "CREATE FUNCTION begin() RETURNS int RETURN CASE WHEN true THEN 1 END;"
    ),
    "names like keywords": (
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 AS weekend, case_id FROM endings;"
        " SELECT 2; END;"
    ),
    "copy to": "COPY (SELECT 1 FROM stdin) TO STDOUT;",
    "parentheses that close too often": "SELECT 1));",
    "only a semicolon": ";",
    "lines of Windows": "SELECT 'a\r\n;'\r\n  , $$\r\n;$$;",
}


@pytest.mark.parametrize("text", SINGLE.values(), ids=SINGLE)
def test_one_statement_is_one(text: str) -> None:
    assert statements(f"{text}\n{text} SELECT 2;".encode()) == [text, text, "SELECT 2;"]


BODY = b"""CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $_$
BEGIN
COPY t (id) FROM stdin;
1
\\.
\\! touch /tmp/x
\\connect other
-- Name: ghost; Type: TABLE; Schema: public; Owner: x
-- PostgreSQL database dump complete
SET row_security = on;
END $_$;
"""


def test_a_body_is_text() -> None:
    found = lexed(BODY)
    assert [piece.kind for piece in found] == [sql_lexer.STATEMENT]
    value = b"INSERT INTO t VALUES ('\n" + BODY.replace(b"'", b"''") + b"');\n"
    assert [piece.kind for piece in lexed(value)] == [sql_lexer.STATEMENT]
    commented = b"/*" + BODY + b"*/\n"
    assert [piece.kind for piece in lexed(commented)] == [sql_lexer.COMMENT, sql_lexer.SPACE]


ROWS = {
    "some": b"1\t2\n3\t4\n",
    "none": b"",
    "a dot behind a backslash within a row": b"a\\.b\n\\.c\nd\\.\n",
    "long": b"x" * 5000 + b"\n",
    "no text": bytes(range(11, 92)) + bytes(range(93, 256)) + b"\n",
}


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"], ids=["unix", "windows"])
@pytest.mark.parametrize("block", [1, 2, 3, 7, 1 << 20])
@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_rows_end_at_their_mark(rows: bytes, block: int, newline: bytes) -> None:
    content = b"COPY t FROM stdin;\n" + rows + b"\\.\n"
    content = content.replace(b"\n", newline) + b"SELECT 1;"
    found = lexed(content, block)
    assert b"".join(piece.text for piece in found) == content
    held = b"".join(piece.text for piece in found if piece.kind == sql_lexer.ROWS)
    assert held == rows.replace(b"\n", newline)
    assert [piece.text for piece in found if piece.kind == sql_lexer.END] == [b"\\." + newline]
    assert statements(content, block)[-1] == "SELECT 1;"


def test_rows_without_their_mark() -> None:
    lexer = sql_lexer.Lexer(io.BytesIO(b"COPY t FROM stdin;\n1\n2").read)
    for piece in lexer.pieces():
        if piece.copy_in:
            assert b"".join(lexer.rows()) == b"1\n2"
    assert not lexer.complete
    at_the_end = sql_lexer.Lexer(io.BytesIO(b"COPY t FROM stdin;\n1\n\\.").read)
    assert [piece.kind for piece in at_the_end.pieces()][-2:] == [sql_lexer.ROWS, sql_lexer.END]
    assert at_the_end.complete


COPIES = {
    b"COPY t FROM stdin;": b"t",
    b'copy public."a b" ("x(", y) from STDIN with (format csv);': b'public."a b"',
    b"COPY /* c */ a.b ( x ) FROM\n-- c\nstdin;": b"a.b",
    b"COPY BINARY t FROM STDIN;": b"t",
    b'COPY U&"d\\0061" FROM stdin;': b'U&"d\\0061"',
    b"COPY t FROM stdout;": b"t",
    b"COPY t FROM '/etc/passwd';": None,
    b"COPY t FROM PROGRAM 'id';": None,
    b"COPY t TO STDOUT;": None,
    b"COPY t FROM stdin_of_mine;": None,
    b"COPYING FROM stdin;": None,
    b"COPY" + b" " * 50000 + b"x;": None,
    b"COPY t (" + b"a," * 50000 + b";": None,
    b"COPY t" + b" " * 50000 + b"x;": None,
}


@pytest.mark.parametrize(("text", "target"), COPIES.items(), ids=range(len(COPIES)))
def test_the_table_that_a_copy_fills(text: bytes, target: bytes | None) -> None:
    assert sql_words.copy_target(text) == target


def test_meta_commands_are_pieces_of_their_own() -> None:
    content = (
        b"\\restrict abc\n\\connect -reuse-previous=on \"dbname='x'\"\n SELECT 1;\n\\! id; id\n"
        b"SELECT 'drop' \\gexec\nSELECT 2;\n\\\n\\."
    )
    found = lexed(content)
    names = [sql_words.meta_name(piece.text) for piece in found if piece.kind == sql_lexer.META]
    assert names == ["\\restrict", "\\connect", "\\!", "\\gexec", "\\", "\\."]
    cut = [piece for piece in found if piece.kind == sql_lexer.STATEMENT and not piece.whole]
    assert [piece.text for piece in cut] == [b"SELECT 'drop' "]
    assert statements(content) == ["SELECT 1;", "SELECT 'drop' ", "SELECT 2;"]


@pytest.mark.parametrize(
    "cut",
    ["SELECT 'a", 'SELECT "a', "SELECT $a$ $b$", "SELECT E'a\\'", "SELECT (1", "SELECT 1",
     "CREATE FUNCTION f() BEGIN ATOMIC SELECT 1;", "SELECT 1 /* a /* */"],
)  # fmt: skip
def test_what_is_cut_off_is_not_whole(cut: str) -> None:
    (piece,) = lexed(cut.encode())
    assert piece.kind == sql_lexer.STATEMENT and not piece.whole and piece.text == cut.encode()


def test_strings_as_set_statements_say() -> None:
    content = rb"""SET standard_conforming_strings = off;
SELECT 'a\'; b', b'\', x'\';
SET standard_conforming_strings TO 'on';
SELECT 'a\'; SELECT 2;
SELECT pg_catalog.set_config('standard_conforming_strings', 'off', false);
SELECT 'a\'; b';
"""
    assert len(statements(content)) == 7


def test_strings_as_configured_by_the_caller() -> None:
    lexer = sql_lexer.Lexer(io.BytesIO(rb"SELECT 1; SELECT 'a\'; b'; SELECT 2;").read, follow=False)
    found = []
    for piece in lexer.pieces():
        lexer.standard_strings = False
        found.append(piece.text)
    assert found[2] == rb"SELECT 'a\'; b';"


# A character of each whose second byte is a backslash or a semicolon.
TRAPS = {
    "SJIS": "\u8868".encode("cp932"),
    "SHIFT_JIS_2004": "\u8868".encode("shift_jis_2004"),
    "BIG5": "\u529f".encode("big5"),
    "GBK": b"\x95\x5c",
    "GB18030": b"\x95\x5c",
    "UHC": b"\x81\x5c",
    "JOHAB": b"\x88\x3b",
}


@pytest.mark.parametrize("block", [1, 2, 3, 1 << 20])
@pytest.mark.parametrize("name", TRAPS)
def test_bytes_of_characters_that_look_like_ascii(name: str, block: int) -> None:
    trap = TRAPS[name]
    assert set(trap) & set(b"\\;"), trap
    content = (
        b"SET client_encoding = '" + name.encode() + b"';\nSELECT E'" + trap + b"'; SELECT "
        b'1 AS "' + trap + b'"' + trap + b";\nCOPY t FROM stdin;\n" + trap + b"\n\\.\n"
        b"COMMENT ON TABLE " + trap + b" IS '" + trap + b"';SELECT 3;"
    )
    assert len(statements(content, block)) == 6, statements(content, block)
    assert b"".join(piece.text for piece in lexed(content, block)) == content
    # As UTF-8 the same bytes are something else.
    assert sql_encoding.mask_of("UTF8") is None


def test_encodings_by_all_their_names() -> None:
    assert sql_encoding.mask_of("Windows-936") and sql_encoding.mask_of("mskanji")
    assert sql_encoding.decoded("é".encode("latin-1"), "LATIN1") == "é"
    assert sql_encoding.decoded("€".encode("cp1252"), "WIN1252") == "€"
    assert sql_encoding.decoded("é".encode(), "SQL_ASCII") == "é"
    assert sql_encoding.decoded(b"\xe9", "no such one") == "\udce9"


def test_the_mark_of_utf_8_is_no_statement() -> None:
    assert statements(b"\xef\xbb\xbfSELECT 1;", 1) == ["SELECT 1;"]


def test_of_long_text_only_the_beginning_is_kept() -> None:
    literal = b"x" * 300_000
    content = b"\n--" + literal + b"\nSELECT '\n" + literal + b"';\nSELECT 2;"
    found = lexed(content, block=1000, keep=100)
    kept = {piece.kind: piece for piece in found}
    assert len(kept[sql_lexer.COMMENT].text) == sql_lexer.KEPT_OF_OTHERS
    long = next(piece for piece in found if piece.kind == sql_lexer.STATEMENT)
    assert (len(long.text), long.size, long.line) == (100, 300_012, 3)
    assert found[-1].text == b"SELECT 2;" and found[-1].line == 5
    assert sum(piece.size for piece in found) == len(content)


def test_inserts_of_one_row() -> None:
    alike = {
        b"INSERT INTO public.t VALUES (1, 'it''s; (one', -2.5, NULL, '2025-01-01');\n": 1,
        b'INSERT INTO "a;b"."t(" (id, "x)") OVERRIDING SYSTEM VALUE VALUES (1, \'\');\n': 2,
    }
    others = [
        b"INSERT INTO t VALUES (1), (2);\n",
        b"INSERT INTO t VALUES (1, E'\\';');\n",
        b"INSERT INTO t VALUES (1, $$;$$);\n",
        b"INSERT INTO t VALUES (1 -- ;\n);\n",
        b"INSERT INTO t VALUES (nextval('s'));\n",
        b"INSERT INTO t SELECT 1;\n",
    ]
    for text, groups in alike.items():
        (piece,) = lexed(text)
        assert piece.plain_insert and piece.groups == groups and piece.text == text
    for text in others:
        (piece,) = lexed(text)
        assert not piece.plain_insert and piece.whole and piece.text == text
    (backslash, _other) = lexed(b"SET standard_conforming_strings=off;\n" + next(iter(alike)))
    assert not _other.plain_insert and not backslash.plain_insert
    # What does not end costs no more time than what does.
    assert not lexed(b"INSERT INTO t VALUES (" + b"'a', -1 " * 50_000)[0].whole


ROWS_BELOW = {
    "plain": b"(1, 'a', NULL)",
    "quotes": b"(2, 'it''s; (', 'x),\n\t(y')",
    "negative": b"(-3, '--', -4.5)",
    "bits": b"(4, B'01', X'FF')",
    "escapes": b"(5, E'a\\'b;', 'c')",
    "dollars": b"(6, $$a;b$$, '$$')",
    "nested": b"(7, ('a'), ('b'))",
    "comment": b"(8, 'a' /* ; */, 'b')",
    "long": b"(9, '" + b"wide " * 20_000 + b"')",
}


@pytest.mark.parametrize("number", range(12))
def test_inserts_of_many_rows(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The short way over rows in pg_dump's form finds what the long way finds."""
    draw = random.Random(number)
    statements = []
    for _statement in range(6):
        chosen = draw.choices(list(ROWS_BELOW.values()), k=draw.randint(1, 9))
        columns = draw.choice([b"", b'(id, "a (b", c) '])
        rows = b",\n\t".join(chosen)
        statements.append(b"INSERT INTO public.t " + columns + b"VALUES\n\t" + rows + b";\n")
    content = b"-- a\n" + b"\n".join(statements) + b"SELECT 1;\n"
    block = draw.choice([1, 7, 64, 4096, 1 << 20])
    quick = [(one.kind, one.text, one.groups, one.line) for one in lexed(content, block)]
    never = re.compile(rb"(?!)")
    monkeypatch.setattr(sql_lexer, "_MANY_ROWS", never)
    assert quick == [(one.kind, one.text, one.groups, one.line) for one in lexed(content, block)]
    assert b"".join(text for _kind, text, _groups, _line in quick) == content


def test_keywords_are_distinguished_from_names_and_values() -> None:
    text = b"/* it's */ alter  Table only \"Drop\".x -- y\n owner TO 'e';"
    assert sql_words.words(text) == [
        "ALTER", "TABLE", "ONLY", '"Drop"', ".", "X", "OWNER", "TO", "'e'", ";",
    ]  # fmt: skip


ATOMS = [
    *(b"SELECT 1;", b" ", b"\n", b"\r\n", b"word", b"12", b".", b"-", b"/", b"*", b"+", b";"),
    *(b"'a''b'", b"E'a\\''", b"e'\n'", b"U&'\\'", b'"q;"', b"'\\'", b"'", b'"', b"(", b")"),
    *(b"$$;$$", b"$t$ $$ ; $t$", b"a$b$", b"$1", b"$$", b"-- it's;\n", b"/* ; /* */ */"),
    *(b"COPY t FROM stdin;\n1\t\\N\n\\.\n", b"COPY x (a) FROM stdin;\n\\.\n"),
    *(b"\\connect x\n", b"\\.", b"\\", b"\xc3\xa9", b"\x95\x5c", b"\xff"),
    *(b"CREATE FUNCTION f() BEGIN ATOMIC SELECT 1; END;", b"CREATE PROCEDURE"),
    *(b"BEGIN", b"ATOMIC", b"END", b"CASE", b"INSERT INTO t VALUES (1, 'a''b', -2);\n"),
    *(b"INSERT INTO a.t (x, \"y;\") VALUES (1, 'a'", b", E'\\n');\n", b", (1));\n"),
    *(b"SET standard_conforming_strings = off;\n", b"SET standard_conforming_strings = on;\n"),
    *(b"SET client_encoding = 'SJIS';\n", b"SET client_encoding = 'GB18030';\n"),
]


def drawn(number: int) -> Iterator[bytes]:
    draw = random.Random(number)
    for _text in range(40):
        yield b"".join(draw.choice(ATOMS) for _atom in range(draw.randrange(1, 25)))


@pytest.mark.parametrize("number", range(10))
def test_blocks_may_end_anywhere(number: int) -> None:
    """Random texts out of everything above, sense or nonsense."""
    for content in drawn(number):
        whole = lexed(content)
        assert b"".join(piece.text for piece in whole) == content
        for block in (1, 2, 3, 5, 8, 13, 33):
            cut = lexed(content, block)
            assert b"".join(piece.text for piece in cut) == content, (block, content)
            assert shape(cut) == shape(whole), (block, content)


def test_blocks_may_end_anywhere_in_a_dump_of_everything() -> None:
    content = b"\n".join(text.encode() for text in SINGLE.values()) + b"\n" + BODY
    content += b"COPY t FROM stdin;\n" + ROWS["some"] + b"\\.\n"
    whole = shape(lexed(content))
    for block in range(1, 200):
        assert shape(lexed(content, block)) == whole, block
