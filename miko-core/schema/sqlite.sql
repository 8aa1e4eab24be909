-- The tables of a Mikobase in SQLite. One in a file has those of entries.sql besides, a temporal one those of
-- temporal.sql.

-- A row per pk that was ever given out. Deleting a record leaves its row as a tombstone, which says that there was a
-- record, and nothing of what was in it.
CREATE TABLE record (
    -- Order of creation, which is the order of a query without a sort. Rows are never removed, so SQLite's own
    -- numbering (one more than the largest) never gives a number twice.
    seq        INTEGER PRIMARY KEY,
    -- Unique: see `record_by_pk` in entries.sql. In memory, a map finds the row of a pk.
    pk         TEXT    NOT NULL,
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
    -- The pk of this version of the record, if the database is temporal.
    instance_pk TEXT,
    CHECK ((bucket IS NULL) = (stack IS NULL)),
    CHECK (extras IS NULL OR bucket IS NOT NULL)
) STRICT;

-- Class names, once each: membership would repeat them per record. `custom_classes NAME` stands for the records whose
-- markers name the class.
CREATE TABLE class (
    id  INTEGER PRIMARY KEY,
    uns TEXT    NOT NULL UNIQUE
) STRICT;

-- What class definitions declare of the values of their records: a row per constraint in force.
CREATE TABLE class_constraint (
    id     INTEGER PRIMARY KEY,
    class  TEXT NOT NULL,
    kind   TEXT NOT NULL CHECK (kind IN ('unique', 'join', 'index')),
    -- The fields as JSON: an array of arrays of keys.
    fields TEXT NOT NULL,
    UNIQUE (class, kind, fields)
) STRICT;

-- The one constraint that nobody declares: a class has one definition.
INSERT INTO class_constraint (id, class, kind, fields) VALUES (1, 'puck.uno/class', 'unique', '[["name"]]');

-- Which records point at a pk, by fields that a class declares as references.
CREATE TABLE reference (
    target    TEXT    NOT NULL,
    seq       INTEGER NOT NULL REFERENCES record,
    -- Where in the bucket, as a JSON pointer.
    pointer   TEXT    NOT NULL,
    -- Does it keep the target from being deleted?
    restricts INTEGER NOT NULL CHECK (restricts IN (0, 1)),
    PRIMARY KEY (target, seq, pointer)
) STRICT, WITHOUT ROWID;

-- What a worldlet says of itself as a whole, and is exported again: `executable`, `meta` and the pass-through keys.
CREATE TABLE worldlet_key (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Files. One that was not written to its end has no hash, and nobody sees it.
CREATE TABLE file (
    id         INTEGER PRIMARY KEY,
    pk         TEXT    NOT NULL UNIQUE,
    sha256     TEXT,
    -- A JSON object: `type` is the media type.
    mime       TEXT    NOT NULL,
    size       INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX file_by_sha256 ON file (sha256);

-- What is in the files, in chunks that are counted from 0.
CREATE TABLE file_chunk (
    file_id INTEGER NOT NULL REFERENCES file,
    number  INTEGER NOT NULL,
    data    BLOB    NOT NULL,
    PRIMARY KEY (file_id, number)
) STRICT;
