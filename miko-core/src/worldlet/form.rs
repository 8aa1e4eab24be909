//! The forms of an entry of a worldlet: translates places in a record to places in its entry, for faults.

use serde_json::{Map, Value};

/// The form of an entry: how it spells the bucket and the stack of its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordForm {
    bucket: Spelling,
    stack: Spelling,
}

/// How an entry spells a part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spelling {
    /// The JSON pointer of the part in the record.
    in_record: &'static str,
    /// A JSON pointer in the entry: that of the value which spells the part.
    in_entry: &'static str,
    /// Whether the value in the entry has the same members as the part in the record. If not, each place
    /// inside the part becomes the place of the value.
    has_members: bool,
}

impl Spelling {
    const fn with_members(in_record: &'static str, in_entry: &'static str) -> Self {
        Self { in_record, in_entry, has_members: true }
    }

    const fn without_members(in_record: &'static str, in_entry: &'static str) -> Self {
        Self { in_record, in_entry, has_members: false }
    }

    /// Translates a JSON pointer into the record to a pointer into the entry; `None` if the given pointer
    /// leads to another part.
    fn translate(self, pointer: &str) -> Option<String> {
        let rest =
            pointer.strip_prefix(self.in_record).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
        Some(format!("{}{}", self.in_entry, if self.has_members { rest } else { "" }))
    }
}

const BUCKET: Spelling = Spelling::with_members("/bucket", "/bucket");

impl RecordForm {
    /// `bucket` and `stack`: the exported form.
    pub(crate) const EXPORTED: Self =
        Self { bucket: BUCKET, stack: Spelling::with_members("/stack", "/stack") };

    /// A class definition whose settings are the members of the entry.
    pub(crate) const DEFINITION: Self = Self {
        bucket: Spelling::with_members("/bucket", ""),
        stack: Spelling::without_members("/stack", "/class"),
    };

    /// A bare value, which is the member `value` of the bucket.
    pub(super) const BARE: Self = Self {
        bucket: Spelling::with_members("/bucket/value", ""),
        stack: Spelling::without_members("/stack", ""),
    };

    /// The form of an entry that is an object, but no [`DEFINITION`](Self::DEFINITION).
    pub(super) fn of(parts: &Map<String, Value>) -> Self {
        let bucket = if parts.contains_key("value") {
            Spelling::with_members("/bucket/value", "/value")
        } else {
            BUCKET
        };
        let stack = match (parts.get("stack"), parts.get("class"), parts.get("classes")) {
            (Some(_), ..) => Self::EXPORTED.stack,
            (_, Some(_), _) => Spelling::without_members("/stack", "/class"),
            (.., Some(Value::Object(_))) => Spelling::with_members("/stack", "/classes"),
            (.., Some(_)) => Spelling::without_members("/stack", "/classes"),
            (None, None, None) => Spelling::without_members("/stack", ""),
        };
        Self { bucket, stack }
    }

    /// Translates a JSON pointer into the record to a pointer into the entry. A pointer to neither the bucket
    /// nor the stack is the same in both. An entry that spells only the member `value` of the bucket has no
    /// place for the rest of the bucket: the pointer then leads to the entry itself.
    pub(crate) fn translate(self, pointer: &str) -> String {
        let translated = self.bucket.translate(pointer).or_else(|| self.stack.translate(pointer));
        translated.unwrap_or_else(|| match BUCKET.translate(pointer) {
            Some(_) => String::new(),
            None => pointer.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pointer_into_a_record_becomes_one_into_its_entry() {
        let bucket = "/bucket/a/0";
        let cases = [
            (json!({"bucket": {}, "stack": {}}), ["/bucket/a/0", "/stack/x/bucket/b", "/stack/x"]),
            (json!({"bucket": {}, "classes": {}}), ["/bucket/a/0", "/classes/x/bucket/b", "/classes/x"]),
            (json!({"bucket": {}, "classes": []}), ["/bucket/a/0", "/classes", "/classes"]),
            (json!({"bucket": {}, "class": "a.b/c"}), ["/bucket/a/0", "/class", "/class"]),
            (json!({"bucket": {}}), ["/bucket/a/0", "", ""]),
        ];
        for (entry, expected) in cases {
            let form = RecordForm::of(entry.as_object().unwrap());
            let found = [bucket, "/stack/x/bucket/b", "/stack/x"].map(|pointer| form.translate(pointer));
            assert_eq!(found, expected, "{entry}");
            assert_eq!(
                (form.translate(""), form.translate("/buckets")),
                (String::new(), "/buckets".to_owned())
            );
        }
        assert_eq!(RecordForm::DEFINITION.translate("/bucket/fields/n"), "/fields/n");
        assert_eq!(RecordForm::DEFINITION.translate("/stack/class"), "/class");
        assert_eq!(RecordForm::BARE.translate("/bucket/value/0"), "/0");
        assert_eq!(["/bucket", "/bucket/n"].map(|pointer| RecordForm::BARE.translate(pointer)), ["", ""]);
        let value = json!({"class": "puck.uno/dbfile", "value": {"pk": "f"}});
        let form = RecordForm::of(value.as_object().unwrap());
        assert_eq!(form.translate("/bucket/value/pk"), "/value/pk");
        assert_eq!(form.translate("/bucket/n"), "");
    }
}
