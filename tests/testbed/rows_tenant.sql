-- Rows of one store, from each table's number `.._from` to `.._to`; every value follows from `key`
-- (seed and store) and the row's number, so the same key gives the same rows on any day. A sale or
-- order names a tab opened before it: the share of tabs is that of the row. Run after
-- draw_functions.sql, with the store's schema first on the search path.
INSERT INTO categories (name, color)
SELECT (%(categories)s::text[])[n], '#' || substr(md5(%(key)s || n), 1, 6)
FROM generate_series(%(categories_from)s, %(categories_to)s) AS n;

INSERT INTO products (category_id, code, name, description, price, available)
SELECT
    1 + mod(n - 1, %(categories_all)s),
    'P' || lpad(n::text, 6, '0'),
    (%(dishes)s::text[])[1 + mod(n - 1, cardinality(%(dishes)s::text[]))]
        || CASE WHEN n > cardinality(%(dishes)s::text[]) THEN ' nº ' || n ELSE '' END,
    pg_temp.pick(%(key)s || 'description', n, %(descriptions)s::text[]),
    pg_temp.draw(%(key)s || 'price', n, 12000) / 100.0 + 4,
    pg_temp.draw(%(key)s || 'available', n, 10) > 0
FROM generate_series(%(products_from)s, %(products_to)s) AS n;

INSERT INTO customers (name, email, phone, address, born_on, created_at)
SELECT
    who.name,
    CASE WHEN mod(n, 7) > 0 THEN 'cliente' || n || '@correio.example' END,
    '(' || 11 + pg_temp.draw(%(key)s || 'area', n, 80) || ') 9'
        || lpad(pg_temp.draw(%(key)s || 'phone', n, 100000000)::text, 8, '0'),
    jsonb_build_object(
        'rua', pg_temp.pick(%(key)s || 'street', n, %(streets)s::text[]),
        'número', pg_temp.draw(%(key)s || 'number', n, 3000) + 1,
        'cidade', %(city)s
    ),
    CASE WHEN mod(n, 5) > 0
        THEN date '1950-01-01' + pg_temp.draw(%(key)s || 'born', n, 20000)::integer END,
    timestamptz '2024-01-01 12:00+00' + n * interval '1 minute'
FROM generate_series(%(customers_from)s, %(customers_to)s) AS n
CROSS JOIN LATERAL (
    SELECT CASE WHEN mod(n, 20) = 3 THEN pg_temp.pick(%(key)s || 'odd', n, %(odd)s::text[])
        ELSE pg_temp.pick(%(key)s || 'first', n, %(first)s::text[]) || ' '
            || pg_temp.pick(%(key)s || 'last', n, %(last)s::text[]) END AS name
) AS who;

INSERT INTO tabs (customer_id, label, status, opened_at)
SELECT
    1 + pg_temp.draw(%(key)s || 'tab', n, %(customers_all)s),
    CASE WHEN mod(n, 4) = 1 THEN 'Balcão "' || n || '"' ELSE 'Mesa ' || n END,
    CASE WHEN mod(n, 3) = 0 THEN 'open' ELSE 'closed' END,
    timestamptz '2025-01-01 11:00+00' + n * interval '7 minutes'
FROM generate_series(%(tabs_from)s, %(tabs_to)s) AS n;

INSERT INTO orders (tab_id, product_id, customer_id, quantity, total, status, note, created_at)
SELECT
    nullif(n * %(tabs_all)s / %(orders_all)s, 0),
    which.product,
    CASE WHEN mod(n, 3) > 0
        THEN 1 + pg_temp.draw(%(key)s || 'eater', n, %(customers_all)s) END,
    which.quantity,
    (SELECT p.price * which.quantity FROM products AS p WHERE p.id = which.product),
    pg_temp.pick(%(key)s || 'state', n, ARRAY['ready', 'served', 'paid']),
    CASE WHEN mod(n, 4) = 2 THEN pg_temp.pick(%(key)s || 'note', n, %(notes)s::text[]) ELSE '' END,
    timestamptz '2025-01-01 12:00+00' + n * interval '3 minutes'
FROM generate_series(%(orders_from)s::bigint, %(orders_to)s) AS n
CROSS JOIN LATERAL (
    SELECT
        1 + pg_temp.draw(%(key)s || 'product', n, %(products_all)s)::integer AS product,
        1 + pg_temp.draw(%(key)s || 'quantity', n, 4)::integer AS quantity
) AS which;

INSERT INTO sales (tab_id, customer_id, user_id, total, payment, receipt, sold_at)
SELECT
    nullif(n * %(tabs_all)s / %(sales_all)s, 0),
    CASE WHEN mod(n, 4) > 0 THEN 1 + pg_temp.draw(%(key)s || 'buyer', n, %(customers_all)s) END,
    (%(user_ids)s::integer[])[1 + pg_temp.draw(
        %(key)s || 'cashier', n, cardinality(%(user_ids)s::integer[]))],
    pg_temp.draw(%(key)s || 'sum', n, 50000) / 100.0 + 5,
    pg_temp.pick(%(key)s || 'payment', n, ARRAY['pix', 'credit', 'debit', 'cash']),
    decode(md5(%(key)s || 'receipt' || n), 'hex'),
    timestamptz '2025-01-01 12:30+00' + n * interval '3 minutes'
FROM generate_series(%(sales_from)s::bigint, %(sales_to)s) AS n;

INSERT INTO expenses (supplier, description, amount, due_on)
SELECT
    pg_temp.pick(%(key)s || 'supplier', n, %(suppliers)s::text[]),
    'Nota fiscal ' || 1000 + n,
    pg_temp.draw(%(key)s || 'amount', n, 300000) / 100.0 + 20,
    date '2025-01-10' + pg_temp.draw(%(key)s || 'due', n, 300)::integer
FROM generate_series(%(expenses_from)s, %(expenses_to)s) AS n;

INSERT INTO stripe_payments (sale_id, intent, amount_cents, event, created_at)
SELECT
    paid.sale,
    'pi_' || md5(%(key)s || 'intent' || n),
    paid.cents,
    jsonb_build_object('type', 'payment_intent.succeeded', 'amount', paid.cents, 'currency', 'brl'),
    timestamptz '2025-01-01 13:00+00' + n * interval '9 minutes'
FROM generate_series(%(stripe_payments_from)s::bigint, %(stripe_payments_to)s) AS n
CROSS JOIN LATERAL (
    SELECT
        greatest(1, n * %(sales_all)s / %(stripe_payments_all)s) AS sale,
        500 + pg_temp.draw(%(key)s || 'cents', n, 50000) AS cents
) AS paid;
