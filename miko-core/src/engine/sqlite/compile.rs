//! From a plan to its statement.

use crate::engine::sqlite::read::select_record;
use crate::engine::sqlite::sql_builder::SqlBuilder;
use crate::engine::store::plan::{Lookup, Plan, Predicate, Source};
use crate::query::{Select, Sort, SortBy};

/// The statement whose rows are the selected records, as `read` takes them; or all that the evaluator has to see, in order
/// of creation.
pub(super) fn select(select: &Select, plan: &Plan<'_>) -> SqlBuilder {
    let mut statement = SqlBuilder::default();
    if plan.residual_filter.is_some() {
        from(statement.sql(select_record!("FROM ")), plan);
        statement.sql(" ORDER BY seq");
    } else if select.sorts.is_empty() || select.limit.is_none() {
        from(statement.sql(select_record!("FROM ")), plan);
        order_and_limit(&mut statement, select);
    } else {
        top_n(&mut statement, select, plan);
    }
    statement
}

/// The statement whose rows are the numbers of the selected records. No evaluator has a word in it.
pub(super) fn numbers(select: &Select, plan: &Plan<'_>) -> SqlBuilder {
    let mut statement = SqlBuilder::default();
    from(statement.sql("SELECT seq FROM "), plan);
    order_and_limit(&mut statement, select);
    statement
}

fn order_and_limit(statement: &mut SqlBuilder, select: &Select) {
    statement.sql(" ORDER BY ");
    for sort in &select.sorts {
        key(statement, sort);
        direction(statement, sort);
    }
    statement.sql("seq");
    limit(statement, select);
}

fn from(statement: &mut SqlBuilder, plan: &Plan<'_>) {
    source(statement, &plan.source);
    for part in &plan.filter {
        predicate(statement.sql(" AND "), part);
    }
}

/// Sorts keys alone, and fetches the records that are left then. Those are put in order again, as nothing says that a join
/// keeps it.
fn top_n(statement: &mut SqlBuilder, select: &Select, plan: &Plan<'_>) {
    let order = |statement: &mut SqlBuilder| {
        statement.sql(" ORDER BY ");
        for (place, sort) in select.sorts.iter().enumerate() {
            direction(statement.sql("key_").number(place), sort);
        }
        statement.sql("seq");
    };
    statement.sql(select_record!("FROM (SELECT seq"));
    for (place, sort) in select.sorts.iter().enumerate() {
        key(statement.sql(", "), sort);
        statement.sql(" AS key_").number(place);
    }
    from(statement.sql(" FROM "), plan);
    order(statement);
    limit(statement, select);
    statement.sql(") CROSS JOIN record USING (seq)");
    order(statement);
}

/// What SQLite goes through. A tombstone has no bucket. The order of a cross join is SQLite's order of work.
fn source(statement: &mut SqlBuilder, source: &Source<'_>) {
    match source {
        Source::Everything => {
            statement.sql("record WHERE bucket IS NOT NULL");
        }
        Source::Pks(pks) => {
            statement.sql("record WHERE bucket IS NOT NULL AND ");
            is_pk(statement, pks);
        }
        // The members of one class come out of the index in order of creation, so a limit ends the search.
        Source::Members(ids) if ids.len() == 1 => {
            statement
                .sql("membership CROSS JOIN record USING (seq) WHERE bucket IS NOT NULL AND class_id = ")
                .value(ids[0]);
        }
        // Those of several classes are gathered and sorted first, which also makes each of them appear once.
        Source::Members(ids) => {
            statement.sql("record WHERE bucket IS NOT NULL AND seq IN (SELECT seq FROM membership WHERE ");
            is_one_of(statement, ids);
            statement.sql(")");
        }
        Source::Index(lookup) => found(statement, lookup),
    }
}

/// The records that an index has, in order of creation.
fn found(statement: &mut SqlBuilder, lookup: &Lookup) {
    let entries = |statement: &mut SqlBuilder| {
        statement.sql("constraint_id = ").value(lookup.constraint_id);
        match &lookup.keys[..] {
            [key] => statement.sql(" AND value = ").value(key.clone()),
            keys => statement.sql(" AND value IN rarray(").value(keys).sql(")"),
        };
    };
    if !lookup.is_unique && lookup.keys.len() == 1 {
        statement.sql("indexed_value CROSS JOIN record USING (seq) WHERE bucket IS NOT NULL AND ");
        return entries(statement);
    }
    // What is gathered first appears once, whatever it has.
    statement.sql("record WHERE bucket IS NOT NULL AND seq IN (SELECT seq FROM ");
    if lookup.is_unique {
        entries(statement.sql("unique_value WHERE "));
        // Where a platter has a bucket of its own, the shared one is found here.
        statement.sql(" UNION ALL SELECT seq FROM ");
    }
    entries(statement.sql("indexed_value WHERE "));
    statement.sql(")");
}

/// Every predicate is 0 or 1, never NULL, so that `NOT` is what it says.
fn predicate(statement: &mut SqlBuilder, part: &Predicate<'_>) {
    match part {
        Predicate::Classes(classes) => {
            statement.sql("EXISTS (SELECT 1 FROM membership WHERE membership.seq = record.seq AND ");
            is_one_of(statement, &classes.ids);
            statement.sql(")");
        }
        Predicate::Pks(pks) => is_pk(statement, pks),
        Predicate::Path(path) => {
            statement.sql("q0_path(bucket, ").value(path.to_string()).sql(")");
        }
        Predicate::All(parts) => joined(statement, parts, " AND ", "1"),
        Predicate::Any(parts) => joined(statement, parts, " OR ", "0"),
        Predicate::Not(part) => {
            predicate(statement.sql("NOT "), part);
        }
    }
}

fn joined(statement: &mut SqlBuilder, parts: &[Predicate<'_>], operator: &'static str, none: &'static str) {
    match parts {
        [] => {
            statement.sql(none);
        }
        [one] => predicate(statement, one),
        [first, others @ ..] => {
            predicate(statement.sql("("), first);
            for other in others {
                predicate(statement.sql(operator), other);
            }
            statement.sql(")");
        }
    }
}

fn is_pk(statement: &mut SqlBuilder, pks: &[String]) {
    statement.sql("pk ");
    match pks {
        [pk] => statement.sql("= ").value(pk.clone()),
        pks => statement.sql("IN rarray(").value(pks).sql(")"),
    };
}

fn is_one_of(statement: &mut SqlBuilder, classes: &[i64]) {
    match classes {
        [class] => statement.sql("class_id = ").value(*class),
        classes => statement.sql("class_id IN rarray(").value(classes).sql(")"),
    };
}

/// What records are ordered by.
fn key(statement: &mut SqlBuilder, sort: &Sort) {
    match &sort.by {
        SortBy::Pk => statement.sql("pk"),
        SortBy::CreatedAt => statement.sql("created_at"),
        SortBy::UpdatedAt => statement.sql("updated_at"),
        SortBy::Bucket(path) => statement.sql("q0_key(bucket, ").value(path.to_string()).sql(")"),
    };
}

/// What has no key is last, in both directions.
fn direction(statement: &mut SqlBuilder, sort: &Sort) {
    statement.sql(if sort.reverse { " DESC NULLS LAST, " } else { " NULLS LAST, " });
}

fn limit(statement: &mut SqlBuilder, select: &Select) {
    match (select.limit, select.offset) {
        (None, 0) => {}
        (None, offset) => {
            // SQLite has no offset without a limit; a negative one is none.
            statement.sql(" LIMIT -1 OFFSET ").value(offset);
        }
        (Some(limit), 0) => {
            statement.sql(" LIMIT ").value(limit);
        }
        (Some(limit), offset) => {
            statement.sql(" LIMIT ").value(limit).sql(" OFFSET ").value(offset);
        }
    }
}
