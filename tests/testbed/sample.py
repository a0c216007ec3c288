"""What the stores of a testbed are: names, users, how many rows; all from the seed."""

from __future__ import annotations

import dataclasses
import hashlib
import random
import re
import unicodedata
from concurrent.futures import ThreadPoolExecutor

from . import words

PASSWORD = "admin123"
FLAGSHIP_EMAIL = "admin@chefwell.pro"
# In the order of schema_tenant.sql: a table comes after those it refers to.
TABLES = (
    *("categories", "products", "customers", "tabs"),
    *("orders", "sales", "expenses", "stripe_payments"),
)
# The counts of the plan's validation report; `scale` leaves them alone.
FLAGSHIP_ROWS = {
    "products": 28,
    "categories": 5,
    "sales": 18,
    "customers": 21,
    "tabs": 5,
    "orders": 12,
    "expenses": 0,
    "stripe_payments": 0,
}
# The other stores': least and most rows at scale 1, and whether `scale` multiplies them.
RANGES = {
    "categories": (4, 9, False),
    "products": (20, 60, False),
    "customers": (40, 200, True),
    "tabs": (10, 40, True),
    "orders": (60, 200, True),
    "sales": (60, 200, True),
    "expenses": (5, 40, True),
    "stripe_payments": (10, 60, True),
}
# Cheap on purpose: a login takes about 6 ms, two hundred hashes less than a second.
SCRYPT = {"n": 2048, "r": 8, "p": 1}


@dataclasses.dataclass(frozen=True)
class User:
    """A row of `public.users`."""

    id: int
    company_id: int
    email: str
    name: str
    role: str
    password_hash: str


@dataclasses.dataclass(frozen=True)
class Store:
    """A row of `public.companies`, with its users and the rows its schema gets.

    Attributes:
        key: what every value in its tables follows from.
        rows: rows by table.
    """

    id: int
    name: str
    slug: str
    cnpj: str
    city: str
    key: str
    rows: dict[str, int]
    users: tuple[User, ...]

    @property
    def schema(self) -> str:
        """The name of its schema."""
        return "tenant_" + self.slug.replace("-", "_")

    @property
    def admin(self) -> User:
        """Who may log in with `PASSWORD`, as all its users may."""
        return self.users[0]


def stores(count: int, seed: int, scale: float = 1) -> list[Store]:
    """The first is ChefWell's own, with the plan's rows; the rest are made up from the seed.

    Args:
        count: how many, at least one.
        seed: the same one gives the same stores, to the last byte.
        scale: factor on the rows of the busy tables of the stores other than ChefWell's own.
    """
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda number: _store(number, seed, scale), range(1, count + 1)))


def hash_password(password: str, salt: bytes) -> str:
    """As the backend reads it: `scrypt$n$r$p$salt$hash`."""
    digest = hashlib.scrypt(password.encode(), salt=salt, dklen=32, **SCRYPT)
    return f"scrypt${SCRYPT['n']}${SCRYPT['r']}${SCRYPT['p']}${salt.hex()}${digest.hex()}"


def _store(number: int, seed: int, scale: float) -> Store:
    draw = random.Random(f"{seed}/{number}")
    if number == 1:
        name, slug, rows = "ChefWell", "chefwell", dict(FLAGSHIP_ROWS)
        emails = (FLAGSHIP_EMAIL, "caixa@chefwell.pro")
    else:
        name = f"{draw.choice(words.KINDS)} {draw.choice(words.OWNERS)}"
        slug = f"{_plain(name)}-{number:03d}"
        rows = {
            table: round(draw.randint(least, most) * (scale if scales else 1)) or 1
            for table, (least, most, scales) in RANGES.items()
        }
        emails = (f"admin@{slug}.example", f"caixa@{slug}.example")
    users = tuple(
        User(
            id=2 * number - 1 + place,
            company_id=number,
            email=email,
            name=f"{draw.choice(words.FIRST)} {draw.choice(words.LAST)}",
            role="cashier" if place else "admin",
            password_hash=hash_password(PASSWORD, draw.randbytes(16)),
        )
        for place, email in enumerate(emails)
    )
    cnpj = f"{draw.randint(10, 99)}.{draw.randint(100, 999)}.{draw.randint(100, 999)}/0001-"
    return Store(
        id=number,
        name=name,
        slug=slug,
        cnpj=f"{cnpj}{draw.randint(10, 99)}",
        city=draw.choice(words.CITIES),
        key=f"{seed}/{slug}/",
        rows=rows,
        users=users,
    )


def _plain(name: str) -> str:
    """Lower-case ASCII letters and digits, joined by hyphens."""
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall(r"[a-z0-9]+", ascii_only))
