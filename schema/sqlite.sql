-- The tables of a non-temporal Mikobase in SQLite.

-- A row per pk that was ever given out. Deleting a record leaves its row as a tombstone, which says that there was a
-- record, and nothing of what was in it.
CREATE TABLE record (
    -- Order of creation, which is the order of a query without a sort. Rows are never removed, so SQLite's own
    -- numbering (one more than the largest) never gives a number twice.
    seq        INTEGER PRIMARY KEY,
    pk         TEXT    NOT NULL UNIQUE,
    -- JSON text as readers get it, so that reading a record parses nothing. NULL in a tombstone.
    bucket     TEXT,
    stack      TEXT,
    -- An object of `custom_classes` and the pass-through keys, where a record carries any of them.
    extras     TEXT,
    -- Milliseconds since 1970, UTC.
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    -- The place of the last write in the order of all writes. Two records may share a millisecond, never this.
    commit_seq INTEGER NOT NULL,
    CHECK ((bucket IS NULL) = (stack IS NULL)),
    CHECK (extras IS NULL OR bucket IS NOT NULL)
) STRICT;

-- Class names, once each: membership would repeat them per record.
CREATE TABLE class (
    id  INTEGER PRIMARY KEY,
    uns TEXT    NOT NULL UNIQUE
) STRICT;

-- Which active records have a platter of a class. Its key is the index for a select by class: it yields the records of
-- a class in order of creation, and no stack is parsed.
CREATE TABLE membership (
    class_id INTEGER NOT NULL REFERENCES class,
    seq      INTEGER NOT NULL REFERENCES record,
    PRIMARY KEY (class_id, seq)
) STRICT, WITHOUT ROWID;
