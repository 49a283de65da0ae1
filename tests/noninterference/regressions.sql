-- Statements by which a world once betrayed what it hides, one in a line. Every run of the non-interference test asks them first,
-- of every principal, whatever its seed.
SELECT count(*) FROM shop.events
SELECT * FROM shop.events
