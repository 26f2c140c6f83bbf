"""Nexmark: an online auction as one stream of persons, auctions and bids (1 : 3 : 46), and each query's answer in SQL.

Proportions, hot keys and prices are those of the published benchmark: 10,000 events per second of event time; half of
all bids go to the auctions that are hot, three quarters come from a hot bidder. Every value is a function of the
event's number. The last file closes all windows: one person, auction and bid of 2030, which no answer counts.

Invariant: the same arguments give the same bytes; data made once is kept and used again.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

PERSON = "STRUCT(id BIGINT, name VARCHAR, email VARCHAR, card VARCHAR, city VARCHAR, state VARCHAR, ts TIMESTAMPTZ, extra VARCHAR)"  # noqa: E501
AUCTION = (
    "STRUCT(id BIGINT, item VARCHAR, description VARCHAR, first_bid BIGINT, reserve BIGINT, ts TIMESTAMPTZ, "
    "expires TIMESTAMPTZ, seller BIGINT, category BIGINT, extra VARCHAR)"
)
BID = "STRUCT(auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, ts TIMESTAMPTZ, extra VARCHAR)"
COLUMNS = {"kind": "INTEGER", "person": PERSON, "auction": AUCTION, "bid": BID}
"""The columns for DuckDB's `read_json`; `nexmark.ddl` beside this file is the same for Spark."""

CLOSING = 3
"""Events of the file that closes all windows."""

_MACROS = """
CREATE OR REPLACE MACRO pick(i, salt, n) AS (hash(i, salt) % n)::BIGINT;
CREATE OR REPLACE MACRO text(i, salt, n) AS left(md5(i || salt) || md5(salt || i) || md5(i || salt || 'x') || md5(i || salt || 'y'), n::INT);
CREATE OR REPLACE MACRO price(i, salt) AS round(10 ** (pick(i, salt, 1000000) / 1000000.0 * 6) * 100)::BIGINT;
CREATE OR REPLACE MACRO stamp(t) AS strftime(t, '%Y-%m-%dT%H:%M:%S.%gZ');
"""  # noqa: E501

_EVENTS = """
WITH numbered AS (
  SELECT i, i // 50 AS round, i % 50 AS place, TIMESTAMP '2026-01-01' + to_microseconds(i * 100) AS t
  FROM range($first, $last) numbers(i)),
placed AS (
  SELECT *, CASE WHEN place = 0 THEN 0 WHEN place <= 3 THEN 1 ELSE 2 END AS kind,
         1000 + round AS last_person,
         1000 + round * 3 + CASE WHEN place = 0 THEN -1 ELSE least(place, 3) - 1 END AS last_auction
  FROM numbered)
SELECT kind,
  CASE WHEN kind = 0 THEN {
    'id': last_person, 'name': text(i, 'n', 6) || ' ' || text(i, 'N', 8), 'email': text(i, 'e', 12) || '@' || text(i, 'E', 8) || '.com',
    'card': lpad((pick(i, 11, 10000))::VARCHAR, 4, '0') || ' ' || text(i, 'c', 15),
    'city': ['Phoenix', 'Boise', 'Portland', 'Seattle', 'Kent', 'Bend', 'Redmond', 'Cheyenne'][1 + pick(i, 12, 8)],
    'state': ['AZ', 'CA', 'ID', 'OR', 'WA', 'WY'][1 + pick(i, 13, 6)], 'ts': stamp(t), 'extra': text(i, 'x', 100)} END AS person,
  CASE WHEN kind = 1 THEN {
    'id': last_auction, 'item': text(i, 'i', 12), 'description': text(i, 'd', 60), 'first_bid': price(i, 21),
    'reserve': price(i, 21) + price(i, 22), 'ts': stamp(t), 'expires': stamp(t + to_milliseconds(200 + pick(i, 23, 3000))),
    'seller': CASE WHEN pick(i, 24, 4) > 0 THEN 1000 + (last_person - 1000) // 100 * 100
                   ELSE greatest(1000, last_person - pick(i, 25, 1000)) END,
    'category': 10 + pick(i, 26, 5), 'extra': text(i, 'x', 128)} END AS auction,
  CASE WHEN kind = 2 THEN {
    'auction': CASE WHEN pick(i, 31, 2) > 0 THEN 1000 + (last_auction - 1000) // 100 * 100
                    ELSE greatest(1000, last_auction - pick(i, 32, 100)) END,
    'bidder': CASE WHEN pick(i, 33, 4) > 0 THEN 1000 + (last_person - 1000) // 100 * 100 + 1
                   ELSE greatest(1000, last_person - pick(i, 34, 1000)) END,
    'price': price(i, 35),
    'channel': CASE WHEN pick(i, 36, 2) = 0 THEN ['Apple', 'Baidu', 'Facebook', 'Google'][1 + pick(i, 37, 4)] ELSE 'channel-' || pick(i, 38, 10000) END,
    'url': 'https://www.nexmark.com/' || text(i, 'u', 8) || '/item.htm?query=1', 'ts': stamp(t), 'extra': text(i, 'x', 40)} END AS bid
FROM placed
"""  # noqa: E501

_CLOSING = """
SELECT kind,
  CASE WHEN kind = 0 THEN {'id': -1, 'name': '', 'email': '', 'card': '', 'city': '', 'state': '', 'ts': t, 'extra': ''} END AS person,
  CASE WHEN kind = 1 THEN {'id': -1, 'item': '', 'description': '', 'first_bid': 0, 'reserve': 0, 'ts': t, 'expires': t, 'seller': -2, 'category': -1, 'extra': ''} END AS auction,
  CASE WHEN kind = 2 THEN {'auction': -3, 'bidder': -1, 'price': -1, 'channel': '', 'url': '', 'ts': t, 'extra': ''} END AS bid
FROM (SELECT unnest([0, 1, 2]) AS kind, '2030-01-01T00:00:00.000Z' AS t)
"""  # noqa: E501

_WON = """
SELECT a.id, a.category, b.price, time_bucket(INTERVAL 10 SECOND, b.ts) AS w
FROM auction a JOIN bid b ON a.id = b.auction AND b.ts BETWEEN a.ts AND a.expires
"""

ANSWERS = {
    "q0": "SELECT auction, bidder, price, ts, extra FROM bid",
    "q1": "SELECT auction, bidder, 0.908 * price AS price, ts, extra FROM bid",
    "q2": "SELECT auction, price FROM bid WHERE auction % 123 = 0",
    "q3": "SELECT p.name, p.city, p.state, a.id FROM auction a JOIN person p ON a.seller = p.id "
    "WHERE a.category = 10 AND p.state IN ('OR', 'ID', 'CA')",
    "q4": f"SELECT w, category, avg(final) AS final FROM (SELECT w, id, category, max(price) AS final FROM ({_WON}) "
    "GROUP BY ALL) GROUP BY ALL",
    "q5": "WITH pane AS (SELECT auction, time_bucket(INTERVAL 2 SECOND, ts) AS p, count(*) AS c FROM bid "
    "GROUP BY ALL), hop AS (SELECT auction, p - to_seconds(2 * o) AS start, sum(c)::BIGINT AS num "
    "FROM pane, range(5) r(o) "
    "GROUP BY ALL) "
    "SELECT start, auction, num FROM hop QUALIFY num >= max(num) OVER (PARTITION BY start)",
    "q7": "WITH top AS (SELECT time_bucket(INTERVAL 10 SECOND, ts) AS w, max(price) AS price FROM bid GROUP BY ALL) "
    "SELECT b.auction, b.price, b.bidder, b.ts FROM bid b JOIN top t ON b.price = t.price "
    "AND time_bucket(INTERVAL 10 SECOND, b.ts) = t.w",
    "q8": "SELECT p.id, p.name, p.w FROM (SELECT DISTINCT id, name, time_bucket(INTERVAL 10 SECOND, ts) AS w "
    "FROM person) p "
    "JOIN (SELECT DISTINCT seller, time_bucket(INTERVAL 10 SECOND, ts) AS w FROM auction) a "
    "ON p.id = a.seller AND p.w = a.w",
    "q11": "SELECT bidder, count(*) AS bids, min(ts) AS start, max(ts) + INTERVAL 10 SECOND AS till FROM (SELECT *, "
    "sum(new) OVER (PARTITION BY bidder ORDER BY ts) AS number FROM (SELECT bidder, ts, (coalesce(ts - lag(ts) OVER "
    "(PARTITION BY bidder ORDER BY ts), INTERVAL 1 HOUR) >= INTERVAL 10 SECOND)::INT AS new FROM bid)) "
    "GROUP BY bidder, number",
    "q12": "SELECT bidder, count(*) AS bids FROM bid GROUP BY bidder",
    "q13": "SELECT b.auction, b.bidder, b.price, b.ts, s.value FROM bid b JOIN side s ON b.auction % 10000 = s.key",
}
"""What each query comes to over all events but the closing ones, by DuckDB in one shot."""


def events(folder: Path, count: int, files: int) -> Path:
    """A folder with `count` events in `files` JSON-lines files, one more that closes all windows, and `side.json`."""
    target = folder / f"nexmark-{count}-{files}"
    if (target / "_SUCCESS").exists():
        return target
    target.mkdir(parents=True, exist_ok=True)
    each = count // files
    with duckdb.connect() as connection:
        connection.execute(_MACROS)
        for number in range(files):
            text = _EVENTS.replace("$first", str(number * each)).replace("$last", str((number + 1) * each))
            connection.execute(f"COPY ({text}) TO '{target}/events-{number:05d}.json' (FORMAT json)")
        connection.execute(f"COPY ({_CLOSING}) TO '{target}/events-{files:05d}.json' (FORMAT json)")
        side = "SELECT i AS key, 'value ' || i AS value FROM range(10000) r(i)"
        (target / "_side").mkdir(exist_ok=True)
        connection.execute(f"COPY ({side}) TO '{target}/_side/side.json' (FORMAT json)")
    (target / "_SUCCESS").touch()
    return target


def answer(connection: duckdb.DuckDBPyConnection, source: Path, query: str) -> str:
    """The SQL of a query's answer; the views it names are made on `connection`."""
    columns = ", ".join(f"{name}: '{kind}'" for name, kind in COLUMNS.items())
    scan = f"read_json('{source}/events-*.json', columns = {{{columns}}}, format = 'newline_delimited')"
    for number, kind in enumerate(("person", "auction", "bid")):
        rows = f"SELECT unnest({kind}) FROM {scan} WHERE kind = {number}"
        connection.execute(
            f"CREATE OR REPLACE TEMP VIEW {kind} AS SELECT * FROM ({rows}) WHERE ts < TIMESTAMPTZ '2029-01-01'"
        )
    side = f"read_json('{source}/_side/side.json', columns = {{key: 'BIGINT', value: 'VARCHAR'}})"
    connection.execute(f"CREATE OR REPLACE TEMP VIEW side AS FROM {side}")
    return ANSWERS[query]
