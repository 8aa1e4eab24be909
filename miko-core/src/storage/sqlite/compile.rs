//! Compiles the plan of a select into an SQL statement. Each `push_*` function appends one part of it.

use super::sql_builder::SqlBuilder;
use crate::query::{SelectRequest, SortBy, SortKey};
use crate::storage::ids::{ClassId, RowId};
use crate::storage::plan::{AccessPath, Classes, IndexLookup, Plan, Predicate};

/// SQL that selects the row id (`seq`) and the columns that `read_record` reads.
macro_rules! select_record {
    ($rest:literal) => {
        concat!("SELECT seq, pk, bucket, stack, extras, created_at, updated_at ", $rest)
    };
}

/// Compiles the statement that selects the records, with the columns of [`select_record!`]. If the plan has a
/// residual filter, the statement returns every candidate in order of creation, without limit: the evaluator
/// (`query/evaluate.rs`) filters, sorts and limits them.
///
/// `rows` are the candidates for the access path `Pks`: the rows with these pks, and maybe others. `None` if
/// `record` has an index of pks.
pub(super) fn select(plan: &Plan<'_>, rows: Option<&[RowId]>) -> SqlBuilder {
    let select = plan.select;
    let mut statement = SqlBuilder::new();
    if plan.residual_filter_reason.is_some() {
        push_from_and_where(statement.push(select_record!("FROM ")), plan, rows);
        statement.push(" ORDER BY seq");
    } else if select.sorts.is_empty() || select.limit.is_none() {
        // Without a limit, a top-N query would save nothing: its outer query would sort all records again.
        push_from_and_where(statement.push(select_record!("FROM ")), plan, rows);
        push_order_and_limit(&mut statement, select);
    } else {
        push_top_n(&mut statement, plan, rows);
    }
    statement
}

/// Compiles the statement that selects the row ids (`seq`) of the records, in the order of [`select`]. Only
/// for plans without a residual filter. `rows` are those of [`select`].
pub(super) fn select_row_ids(plan: &Plan<'_>, rows: Option<&[RowId]>) -> SqlBuilder {
    let mut statement = SqlBuilder::new();
    match &plan.access_path {
        // Only active records have entries (rows of `membership` and `indexed_value`), so the table `record`
        // need not be read to exclude other rows.
        AccessPath::Members(Classes { ids, .. })
            if ids.len() == 1 && plan.predicates.is_empty() && plan.select.sorts.is_empty() =>
        {
            statement.push("SELECT seq FROM membership WHERE class_id = ").push_bind(ids[0].0);
        }
        // A unique index has entries in `unique_value` as well, so it is not read from this table alone.
        AccessPath::Index(lookup)
            if lookup.has_one_nonunique_key()
                && plan.predicates.is_empty()
                && plan.select.sorts.is_empty() =>
        {
            push_entries(statement.push("SELECT seq FROM indexed_value WHERE "), lookup);
        }
        _ => push_from_and_where(statement.push("SELECT seq FROM "), plan, rows),
    }
    push_order_and_limit(&mut statement, plan.select);
    statement
}

/// Appends `ORDER BY` with the sort keys and finally `seq`, and then the limit.
fn push_order_and_limit(statement: &mut SqlBuilder, select: &SelectRequest) {
    statement.push(" ORDER BY ");
    for sort in &select.sorts {
        push_sort_key(statement, sort);
        push_direction(statement, sort);
    }
    statement.push("seq");
    push_limit(statement, select);
}

/// Appends the tables after `FROM`, and the `WHERE` clause: the conditions of the access path and the
/// predicates.
fn push_from_and_where(statement: &mut SqlBuilder, plan: &Plan<'_>, rows: Option<&[RowId]>) {
    push_access_path(statement, &plan.access_path, rows);
    for predicate in &plan.predicates {
        push_predicate(statement.push(" AND "), predicate);
    }
}

/// Appends a top-N query: a subquery sorts and limits the sort keys alone, because sorting whole rows takes
/// longer. The outer query fetches the records that remain, and sorts them again, because SQL does not
/// guarantee that a join preserves the order.
fn push_top_n(statement: &mut SqlBuilder, plan: &Plan<'_>, rows: Option<&[RowId]>) {
    let select = plan.select;
    let push_order = |statement: &mut SqlBuilder| {
        statement.push(" ORDER BY ");
        for (index, sort) in select.sorts.iter().enumerate() {
            push_direction(statement.push("key_").push_number(index), sort);
        }
        statement.push("seq");
    };
    statement.push(select_record!("FROM (SELECT seq"));
    for (index, sort) in select.sorts.iter().enumerate() {
        push_sort_key(statement.push(", "), sort);
        statement.push(" AS key_").push_number(index);
    }
    push_from_and_where(statement.push(" FROM "), plan, rows);
    push_order(statement);
    push_limit(statement, select);
    statement.push(") CROSS JOIN record USING (seq)");
    push_order(statement);
}

/// Appends the tables of an access path, and the `WHERE` clause that selects the records of the path.
/// `bucket IS NOT NULL` excludes tombstones and stubs. `CROSS JOIN` fixes the join order: SQLite does not
/// reorder the two tables.
fn push_access_path(statement: &mut SqlBuilder, access_path: &AccessPath<'_>, rows: Option<&[RowId]>) {
    match access_path {
        AccessPath::Everything => {
            statement.push("record WHERE bucket IS NOT NULL");
        }
        AccessPath::Pks(pks) => {
            statement.push("record WHERE bucket IS NOT NULL AND ");
            if let Some(rows) = rows {
                statement.push("seq IN rarray(").push_bind(rows).push(") AND ");
            }
            // Also after the candidates, since some of them may have other pks.
            push_pk_predicate(statement, pks);
        }
        // The primary key (class_id, seq) yields the members of one class in order of creation. So
        // `ORDER BY seq` needs no sort, and a limit ends the scan.
        AccessPath::Members(classes) if classes.ids.len() == 1 => {
            statement
                .push("membership CROSS JOIN record USING (seq) WHERE bucket IS NOT NULL AND class_id = ")
                .push_bind(classes.ids[0].0);
        }
        // A record may be a member of several of the classes. With `IN` each record is found once.
        AccessPath::Members(classes) => {
            statement.push("record WHERE bucket IS NOT NULL AND seq IN (SELECT seq FROM membership WHERE ");
            push_class_predicate(statement, &classes.ids);
            statement.push(")");
        }
        AccessPath::Index(lookup) => push_index_scan(statement, lookup),
    }
}

/// Appends the tables and the `WHERE` clause that look up values in the index of a constraint, unique or not.
/// For one value of an index that is not unique, the primary key of `indexed_value` yields the records in
/// order of creation.
fn push_index_scan(statement: &mut SqlBuilder, lookup: &IndexLookup) {
    if lookup.has_one_nonunique_key() {
        statement.push("indexed_value CROSS JOIN record USING (seq) WHERE bucket IS NOT NULL AND ");
        return push_entries(statement, lookup);
    }
    // A record may have several matching entries. With `IN` each record is found once.
    statement.push("record WHERE bucket IS NOT NULL AND seq IN (SELECT seq FROM ");
    if lookup.is_unique {
        push_entries(statement.push("unique_value WHERE "), lookup);
        // For a platter with its own bucket, `unique_value` has the value of that bucket, but selects compare
        // the shared bucket. A second entry, in `indexed_value`, has the value of the shared bucket. The path
        // test of the select excludes a record that is found only by the own bucket of a platter.
        statement.push(" UNION ALL SELECT seq FROM ");
    }
    push_entries(statement.push("indexed_value WHERE "), lookup);
    statement.push(")");
}

/// Appends the condition that selects the index entries of a lookup.
fn push_entries(statement: &mut SqlBuilder, lookup: &IndexLookup) {
    statement.push("constraint_id = ").push_bind(lookup.constraint.0);
    match &lookup.keys[..] {
        [key] => statement.push(" AND value = ").push_bind(key.clone()),
        keys => statement.push(" AND value IN rarray(").push_bind(keys).push(")"),
    };
}

/// Appends a predicate. Every predicate evaluates to 0 or 1, never to NULL, so `NOT` inverts it.
fn push_predicate(statement: &mut SqlBuilder, predicate: &Predicate<'_>) {
    match predicate {
        Predicate::Classes(classes) => {
            statement.push("EXISTS (SELECT 1 FROM membership WHERE membership.seq = record.seq AND ");
            push_class_predicate(statement, &classes.ids);
            statement.push(")");
        }
        Predicate::Pks(pks) => push_pk_predicate(statement, pks),
        Predicate::Path(path) => {
            statement.push("q0_path(bucket, ").push_bind(path.to_string()).push(")");
        }
        Predicate::All(parts) => push_joined(statement, parts, " AND ", "1"),
        Predicate::Any(parts) => push_joined(statement, parts, " OR ", "0"),
        Predicate::Not(inverted) => {
            push_predicate(statement.push("NOT "), inverted);
        }
    }
}

/// Appends `parts`, joined by `operator`; appends `empty` if there are no parts.
fn push_joined(
    statement: &mut SqlBuilder,
    parts: &[Predicate<'_>],
    operator: &'static str,
    empty: &'static str,
) {
    match parts {
        [] => {
            statement.push(empty);
        }
        [one] => push_predicate(statement, one),
        [first, others @ ..] => {
            push_predicate(statement.push("("), first);
            for other in others {
                push_predicate(statement.push(operator), other);
            }
            statement.push(")");
        }
    }
}

fn push_pk_predicate(statement: &mut SqlBuilder, pks: &[String]) {
    statement.push("pk ");
    match pks {
        [pk] => statement.push("= ").push_bind(pk.clone()),
        pks => statement.push("IN rarray(").push_bind(pks).push(")"),
    };
}

fn push_class_predicate(statement: &mut SqlBuilder, classes: &[ClassId]) {
    match classes {
        [class] => statement.push("class_id = ").push_bind(class.0),
        classes => statement.push("class_id IN rarray(").push_bind(classes).push(")"),
    };
}

/// Appends the expression of a sort key.
fn push_sort_key(statement: &mut SqlBuilder, sort: &SortKey) {
    match &sort.by {
        SortBy::Pk => statement.push("pk"),
        SortBy::CreatedAt => statement.push("created_at"),
        SortBy::UpdatedAt => statement.push("updated_at"),
        SortBy::Bucket(path) => statement.push("q0_key(bucket, ").push_bind(path.to_string()).push(")"),
    };
}

/// Appends the direction of a sort key and a comma. Records without a value for the key sort last in both
/// directions.
fn push_direction(statement: &mut SqlBuilder, sort: &SortKey) {
    statement.push(if sort.reverse { " DESC NULLS LAST, " } else { " NULLS LAST, " });
}

fn push_limit(statement: &mut SqlBuilder, select: &SelectRequest) {
    match (select.limit, select.offset) {
        (None, 0) => {}
        (None, offset) => {
            // SQLite has no offset without a limit; a negative limit is unlimited.
            statement.push(" LIMIT -1 OFFSET ").push_bind(offset);
        }
        (Some(limit), 0) => {
            statement.push(" LIMIT ").push_bind(limit);
        }
        (Some(limit), offset) => {
            statement.push(" LIMIT ").push_bind(limit).push(" OFFSET ").push_bind(offset);
        }
    }
}
