-- The index of pks, the index entries and the claims of a Mikobase in a file. One in memory has maps in place of
-- these (storage/sqlite/entry_maps.rs), and virtual tables of index entries with these names and columns, which
-- read them (entry_tables.rs).

-- Finds the row of a pk. In files of earlier programs, the column `pk` is declared as unique instead.
CREATE UNIQUE INDEX record_by_pk ON record (pk);

-- Which active records have a platter of a class, or a marker that names it. Its key is the index for a select by class:
-- it yields the records of a class in order of creation, and no stack is parsed.
CREATE TABLE membership (
    class_id INTEGER NOT NULL REFERENCES class,
    seq      INTEGER NOT NULL REFERENCES record,
    PRIMARY KEY (class_id, seq)
) STRICT, WITHOUT ROWID;

-- The tuples of `unique`, `uniques` and `join`, in a form in which equal values are equal text. Its key is what makes
-- them unique, and how queries find a record by such a field.
CREATE TABLE unique_value (
    constraint_id INTEGER NOT NULL REFERENCES class_constraint,
    value         TEXT    NOT NULL,
    seq           INTEGER NOT NULL REFERENCES record,
    PRIMARY KEY (constraint_id, value)
) STRICT, WITHOUT ROWID;

-- The values of fields with `index`. Its key yields the records with a value in order of creation.
CREATE TABLE indexed_value (
    constraint_id INTEGER NOT NULL REFERENCES class_constraint,
    value         TEXT    NOT NULL,
    seq           INTEGER NOT NULL REFERENCES record,
    PRIMARY KEY (constraint_id, value, seq)
) STRICT, WITHOUT ROWID;

-- The last claim of a record, until that is finished, and how often the record was claimed until then.
CREATE TABLE claim (
    seq       INTEGER PRIMARY KEY REFERENCES record,
    id        TEXT    NOT NULL,
    attempts  INTEGER NOT NULL,
    -- When its lease ends: milliseconds since 1970, UTC.
    lease_end INTEGER NOT NULL,
    -- The select of a claim that outlives its connection, as JSON. Any other claim ends with the process, too.
    lasting   TEXT
) STRICT;
