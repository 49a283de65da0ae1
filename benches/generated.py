"""Tables that are made, not fetched: a wide table of page views, and a star of two sales channels. DuckDB's SQL makes them, from row numbers
and its hash, so that a table is the same wherever it is made.

{table: (domain, format, files, rows at scale 1, whether rows grow with the scale, SELECT over `r(i)`)}
"""

WORDS = "['coffee','bicycle','violin','harbour','lantern','walnut','compass','blanket','thunder','orchard','marble','copper','velvet','saddle','anchor','pepper']"
QUALITIES = "['old','blue','quiet','large','cheap','broken','wooden','local','second','rare','soft','fast']"
COUNTRIES = "['de','fr','us','gb','it','es','pl','nl','se','pt','jp','br']"

# pick: evenly one of n; skew: small numbers far more often; word: one of a list.
MACROS = """
CREATE MACRO pick(i, salt, n) AS (hash(i * 1000 + salt) % n)::BIGINT;
CREATE MACRO skew(i, salt, n) AS floor(pow(pick(i, salt, 1000000) / 1e6, 2) * n)::BIGINT;
CREATE MACRO word(i, salt, list) AS list[1 + pick(i, salt, len(list))];
CREATE MACRO maybe(i, salt, percent, value) AS CASE WHEN pick(i, salt, 100) < percent THEN value END;
"""

_MEASURES = ",\n".join(f"pick(i, {100 + n}, {10 ** (1 + n % 6)})::INTEGER AS measure_{n:02}" for n in range(30))
_TEXTS = ",\n".join(f"word(i, {200 + n}, {WORDS if n % 2 else QUALITIES}) AS text_{n:02}" for n in range(10))

WIDE = {
    "events": ("web", "iceberg", 6, 3_000_000, True, f"""
        SELECT i AS event_id,
          DATE '2026-01-01' + (i * 90 // 3000000)::INTEGER AS event_day,
          TIMESTAMP '2026-01-01' + INTERVAL (i * 90 // 3000000) DAY + INTERVAL (pick(i, 1, 86400)) SECOND AS event_time,
          (hash(skew(i, 2, 700000)) // 2)::BIGINT AS user_id,
          skew(i, 3, 40)::INTEGER AS counter_id,
          skew(i, 4, 5000)::INTEGER AS region_id,
          word(i, 5, {COUNTRIES}) AS country,
          CASE WHEN pick(i, 6, 100) < 4 THEN 1 + pick(i, 7, 30) ELSE 0 END::INTEGER AS campaign_id,
          320 + pick(i, 8, 40) * 40 AS screen_width,
          pick(i, 9, 4294967296) AS client_address,
          'https://shop.example/' || word(i, 10, {QUALITIES}) || '/' || word(i, 11, {WORDS}) || '/' || skew(i, 12, 200000) AS url,
          CASE WHEN pick(i, 13, 10) < 3 THEN '' ELSE 'https://' || word(i, 14, {WORDS}) || '.example/' || skew(i, 15, 50000) END AS referrer,
          word(i, 10, {QUALITIES}) || ' ' || word(i, 11, {WORDS}) || ' in ' || word(i, 5, {COUNTRIES}) AS title,
          CASE WHEN pick(i, 16, 100) < 85 THEN '' ELSE word(i, 17, {QUALITIES}) || ' ' || word(i, 18, {WORDS}) || ' ' || skew(i, 19, 20000) END AS search_phrase,
          word(i, 20, ['phone','tablet','desktop']) AS device,
          skew(i, 21, 600000)::INTEGER AS duration_ms,
          (pick(i, 22, 100) < 10)::INTEGER AS is_refresh,
          {_MEASURES},
          {_TEXTS}
        FROM r"""),
}

_LINE = """
          maybe(i, {salt}1, 98, 1 + pick(i, {salt}2, 1826))::INTEGER AS day_key,
          maybe(i, {salt}3, 98, 1 + skew(i, {salt}4, 100000))::INTEGER AS shopper_key,
          (1 + skew(i, {salt}5, 18000))::INTEGER AS item_key,
          maybe(i, {salt}6, 98, 1 + pick(i, {salt}7, {places}))::INTEGER AS {place}_key,
          maybe(i, {salt}8, 98, 1 + pick(i, {salt}9, 300))::INTEGER AS promotion_key,
          (1 + pick(i, {salt}10, 100))::INTEGER AS quantity,
          (1 + pick(i, {salt}11, 20000) / 100)::DECIMAL(9, 2) AS list_price,
          (1 + pick(i, {salt}12, 15000) / 100)::DECIMAL(9, 2) AS sales_price,
          (1 + pick(i, {salt}13, 10000) / 100)::DECIMAL(9, 2) AS cost"""

STAR = {
    "store_lines": ("retail", "iceberg", 4, 3_000_000, True, f"""
        SELECT 1 + i // 10 AS ticket, {_LINE.format(salt=3, place="store", places=60)} FROM r"""),
    "web_lines": ("retail", "iceberg", 2, 1_000_000, True, f"""
        SELECT 1 + i // 5 AS ticket, {_LINE.format(salt=4, place="site", places=20)} FROM r"""),
    "store_returns": ("retail", "iceberg", 1, 300_000, True, """
        SELECT 1 + i AS ticket, maybe(i, 51, 98, 1 + pick(i, 52, 1826))::INTEGER AS day_key,
          maybe(i, 53, 98, 1 + skew(i, 54, 100000))::INTEGER AS shopper_key, (1 + skew(i, 55, 18000))::INTEGER AS item_key,
          (1 + pick(i, 56, 60))::INTEGER AS store_key, (1 + pick(i, 57, 30000) / 100)::DECIMAL(9, 2) AS amount FROM r"""),
    "days": ("retail", "delta", 1, 1826, False, """
        SELECT (1 + i)::INTEGER AS day_key, DATE '2021-01-01' + i::INTEGER AS day, year(DATE '2021-01-01' + i::INTEGER)::INTEGER AS year,
          month(DATE '2021-01-01' + i::INTEGER)::INTEGER AS month, quarter(DATE '2021-01-01' + i::INTEGER)::INTEGER AS quarter,
          dayname(DATE '2021-01-01' + i::INTEGER) AS weekday, (i // 7)::INTEGER AS week FROM r"""),
    "items": ("retail", "delta", 1, 18_000, False, f"""
        SELECT (1 + i)::INTEGER AS item_key, 'item-' || i AS item_id, pick(i, 61, 700)::INTEGER AS brand_id,
          word(i, 62, {WORDS}) || ' ' || pick(i, 61, 700) AS brand, word(i, 63, {QUALITIES}) AS category,
          pick(i, 64, 1000)::INTEGER AS manufacturer_id, (1 + pick(i, 65, 9900) / 100)::DECIMAL(9, 2) AS price FROM r"""),
    "shoppers": ("crm", "delta", 1, 100_000, False, f"""
        SELECT (1 + i)::INTEGER AS shopper_key, 'shopper-' || i AS shopper_id, word(i, 71, {QUALITIES}) AS first_name, word(i, 72, {WORDS}) AS last_name,
          (1 + pick(i, 73, 7200))::INTEGER AS household_key, (1 + pick(i, 74, 50000))::INTEGER AS address_key FROM r"""),
    "addresses": ("crm", "delta", 1, 50_000, False, f"""
        SELECT (1 + i)::INTEGER AS address_key, lpad(pick(i, 81, 99999)::VARCHAR, 5, '0') AS postcode, word(i, 82, {COUNTRIES}) AS country,
          word(i, 83, {WORDS}) || 'ton' AS county FROM r"""),
    "households": ("crm", "delta", 1, 7_200, False, """
        SELECT (1 + i)::INTEGER AS household_key, word(i, 91, ['single','couple','family']) AS kind, word(i, 92, ['school','college','degree','unknown']) AS education,
          pick(i, 93, 7)::INTEGER AS dependants FROM r"""),
    "stores": ("retail", "delta", 1, 60, False, f"""
        SELECT (1 + i)::INTEGER AS store_key, 'store ' || i AS store_name, word(i, 94, {COUNTRIES}) AS country, lpad(pick(i, 95, 99999)::VARCHAR, 5, '0') AS postcode FROM r"""),
    "promotions": ("retail", "delta", 1, 300, False, """
        SELECT (1 + i)::INTEGER AS promotion_key, pick(i, 96, 2)::INTEGER AS by_mail, pick(i, 97, 2)::INTEGER AS at_events FROM r"""),
}


def parts(table, scale):
    """The rows of a table, as many Arrow tables as it has files."""
    import duckdb

    _, _, files, rows, grows, select = (WIDE | STAR)[table]
    rows = round(rows * scale) if grows else rows
    connection = duckdb.connect()
    connection.execute(MACROS)
    for n in range(files):
        connection.execute(f"CREATE OR REPLACE TEMP VIEW r AS SELECT range AS i FROM range({rows * n // files}, {rows * (n + 1) // files})")
        yield connection.execute(select).to_arrow_table()
