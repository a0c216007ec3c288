-- Choices that look random and follow from their arguments alone; gone with the session.
CREATE FUNCTION pg_temp.draw(what text, number bigint, choices bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE AS
$$SELECT mod(hashtextextended(what, number) & 9223372036854775807, choices)$$;

CREATE FUNCTION pg_temp.pick(what text, number bigint, choices text[]) RETURNS text
LANGUAGE sql IMMUTABLE AS
$$SELECT choices[1 + mod(hashtextextended(what, number) & 9223372036854775807,
    cardinality(choices))]$$;
