-- What a temporal Mikobase has besides the tables of sqlite.sql. Whether it is temporal is whether this is there.

-- Every version of a record but its last, which is its row in `record`. Nothing here is ever overwritten.
CREATE TABLE version (
    seq         INTEGER NOT NULL REFERENCES record,
    -- From when it held, to the next one. Of versions that share it, as two databases may have written them before a
    -- merge, the order is that of their pks.
    updated_at  INTEGER NOT NULL,
    instance_pk TEXT    NOT NULL UNIQUE,
    -- As in `record`; NULL in a tombstone.
    bucket      TEXT,
    stack       TEXT,
    extras      TEXT,
    commit_seq  INTEGER NOT NULL,
    UNIQUE (seq, updated_at, instance_pk),
    CHECK ((bucket IS NULL) = (stack IS NULL)),
    CHECK (extras IS NULL OR bucket IS NOT NULL)
) STRICT;

-- A version is found by its own pk, wherever it is.
CREATE UNIQUE INDEX record_by_instance ON record (instance_pk);

-- The records that are class definitions, or ever were: whoever looks at the past needs the classes of then.
CREATE TABLE ever_definition (
    seq INTEGER PRIMARY KEY REFERENCES record
) STRICT;
