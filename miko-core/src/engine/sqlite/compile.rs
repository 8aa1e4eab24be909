//! From a select to its statement.

use crate::engine::sqlite::plan::{Lookup, Plan};
use crate::engine::sqlite::read::select_record;
use crate::engine::sqlite::statement::Statement;
use crate::query::{Condition, Select};

/// The statement whose rows are the selected records, as `read` takes them.
pub(super) fn select(select: &Select, plan: &Plan) -> Statement {
    let mut statement = Statement::default();
    statement.sql(select_record!("FROM "));
    condition(&mut statement, &select.condition, plan);
    statement.sql(" ORDER BY seq");
    limit(&mut statement, select);
    statement
}

/// Chooses what SQLite goes through, and says what each record has to fulfil. A tombstone has no bucket. The order of a
/// cross join is SQLite's order of work.
fn condition(statement: &mut Statement, condition: &Condition, plan: &Plan) {
    let mut path = condition.path.as_ref();
    match (condition.pks.as_deref(), plan.classes.as_deref(), &plan.lookup) {
        // Few records, presumably: each is looked up, and then its classes.
        (Some(pks), classes, _) => {
            statement.sql("record WHERE bucket IS NOT NULL AND pk ");
            match pks {
                [pk] => statement.sql("= ").value(pk.clone()),
                pks => statement.sql("IN rarray(").value(pks).sql(")"),
            };
            classes.into_iter().for_each(|classes| is_member(statement, classes));
        }
        // The index of a value has it for all records of a class; those of its subclasses may be asked for.
        (None, Some(classes), Some(lookup)) => {
            found(statement, lookup);
            if !lookup.is_of_class {
                is_member(statement, classes);
            }
            path = path.filter(|_| !lookup.is_exact);
        }
        // The members of one class come out of the index in order of creation, so a limit ends the search.
        (None, Some([class]), None) => {
            statement
                .sql("membership CROSS JOIN record USING (seq) WHERE bucket IS NOT NULL AND class_id = ")
                .value(*class);
        }
        // Those of several classes are gathered and sorted first, which also makes each of them appear once.
        (None, Some(classes), None) => {
            statement.sql("record WHERE bucket IS NOT NULL AND seq IN (SELECT seq FROM membership WHERE ");
            is_one_of(statement, classes);
            statement.sql(")");
        }
        (None, None, _) => {
            statement.sql("record WHERE bucket IS NOT NULL");
        }
    }
    if let Some(path) = path {
        statement.sql(" AND q0_path(bucket, ").value(path.to_string()).sql(")");
    }
}

/// The records that an index has, in order of creation.
fn found(statement: &mut Statement, lookup: &Lookup) {
    let number = |statement: &mut Statement| {
        statement.sql("constraint_id = ").value(lookup.constraint_id);
        statement.sql(" AND value = ").value(lookup.key.clone());
    };
    if !lookup.is_unique {
        statement.sql("indexed_value CROSS JOIN record USING (seq) WHERE bucket IS NOT NULL AND ");
        return number(statement);
    }
    statement.sql("record WHERE bucket IS NOT NULL AND seq IN (SELECT seq FROM unique_value WHERE ");
    number(statement);
    // Where a platter has a bucket of its own, the shared one is found here.
    statement.sql(" UNION ALL SELECT seq FROM indexed_value WHERE ");
    number(statement);
    statement.sql(")");
}

fn is_member(statement: &mut Statement, classes: &[i64]) {
    statement.sql(" AND EXISTS (SELECT 1 FROM membership WHERE membership.seq = record.seq AND ");
    is_one_of(statement, classes);
    statement.sql(")");
}

fn is_one_of(statement: &mut Statement, classes: &[i64]) {
    match classes {
        [class] => statement.sql("class_id = ").value(*class),
        classes => statement.sql("class_id IN rarray(").value(classes).sql(")"),
    };
}

fn limit(statement: &mut Statement, select: &Select) {
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
