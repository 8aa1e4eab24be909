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

/// Chooses what SQLite goes through, and says what each record has to fulfil. A tombstone has no bucket.
fn condition(statement: &mut Statement, condition: &Condition, plan: &Plan) {
    match (condition.pks.as_deref(), plan.classes.as_deref()) {
        (Some(pks), None) => {
            statement.sql("record WHERE bucket IS NOT NULL AND pk IN rarray(").value(pks).sql(")");
        }
        // Few records, presumably: each is looked up, and then its classes.
        (Some(pks), Some(classes)) => {
            statement.sql("record WHERE bucket IS NOT NULL AND pk IN rarray(").value(pks).sql(")");
            is_member(statement, classes);
        }
        // The index of a value has it for all records of a class; those of its subclasses may be asked for.
        (None, Some(classes)) if plan.lookup.is_some() => {
            statement.sql("record WHERE bucket IS NOT NULL");
            plan.lookup.iter().for_each(|lookup| is_found(statement, lookup));
            is_member(statement, classes);
        }
        // The members of one class come out of the index in order of creation, so a limit ends the search. The order
        // of a cross join is SQLite's order of work.
        (None, Some([class])) => {
            statement
                .sql("membership CROSS JOIN record USING (seq) WHERE bucket IS NOT NULL")
                .sql(" AND class_id = (SELECT id FROM class WHERE uns = ")
                .value(class.clone())
                .sql(")");
        }
        // Those of several classes are gathered and sorted first, which also makes each of them appear once.
        (None, Some(classes)) => {
            statement.sql("record WHERE bucket IS NOT NULL AND seq IN (SELECT seq FROM membership WHERE ");
            is_one_of(statement, classes);
            statement.sql(")");
        }
        (None, None) => {
            statement.sql("record WHERE bucket IS NOT NULL");
        }
    }
    if let Some(path) = &condition.path {
        statement.sql(" AND q0_path(bucket, ").value(path.to_string()).sql(")");
    }
}

fn is_found(statement: &mut Statement, lookup: &Lookup) {
    let number = |statement: &mut Statement| {
        statement.value(lookup.constraint_id).sql(" AND value = ").value(lookup.key.clone());
    };
    statement.sql(" AND seq IN (");
    if lookup.is_unique {
        statement.sql("SELECT seq FROM unique_value WHERE constraint_id = ");
        number(statement);
        // Where a platter has a bucket of its own, the shared one is found here.
        statement.sql(" UNION ALL ");
    }
    statement.sql("SELECT seq FROM indexed_value WHERE constraint_id = ");
    number(statement);
    statement.sql(")");
}

fn is_member(statement: &mut Statement, classes: &[String]) {
    statement.sql(" AND EXISTS (SELECT 1 FROM membership WHERE membership.seq = record.seq AND ");
    is_one_of(statement, classes);
    statement.sql(")");
}

fn is_one_of(statement: &mut Statement, classes: &[String]) {
    statement.sql("class_id IN (SELECT id FROM class WHERE uns IN rarray(").value(classes).sql("))");
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
