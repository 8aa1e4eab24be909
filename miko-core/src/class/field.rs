//! Field definitions.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::named_list::{Named, NamedList};
use super::reference::OnDelete;
use super::scalar_rules::{NumberRules, OneOf, StringRules};
use super::settings::{FIELD_SIZE, ReadContext, Settings, SettingsReader, fault};
use crate::diagnostics::Place;
use crate::uns;

// The limit of inherited settings counts `FIELD_SIZE` bytes for each field.
const _: () = assert!(size_of::<Field>() <= FIELD_SIZE);

/// The fields of a class or a hash. A field of a class is shared by the class that declares it and the
/// subclasses that inherit it.
pub(super) type Fields = NamedList<Field>;

/// A field with its name.
pub(super) type NamedField = Named<Field>;

impl Fields {
    /// As `NamedField::default_member`, for the field at a position.
    pub(super) fn default_member(&self, position: usize) -> Option<&str> {
        self.shared().get(position)?.default_member()
    }
}

impl NamedField {
    /// The JSON text of the member that the default adds to a bucket: `"name":value`. Made on the first call.
    /// `None` if the field has no default.
    pub(super) fn default_member(&self) -> Option<&str> {
        let default = self.value.default.as_ref()?;
        let text = || format!("{}:{default}", Value::from(self.name.as_str()));
        Some(self.text.get_or_init(text))
    }
}

/// The rules for the values of a field.
#[derive(Debug, Clone, Default)]
pub(crate) struct Field {
    pub(super) field_type: FieldType,
    pub(super) required: bool,
    pub(super) unique: bool,
    pub(super) index: bool,
    /// The value of the field in a new record that lacks it.
    pub(super) default: Option<Value>,
    /// Whether the definition of the field itself has the key `default`. If not, the field inherits its
    /// default from a hash, or has none.
    pub(super) has_own_default: bool,
    /// The list of the allowed values. Shared, since it may be large and fields are cloned.
    pub(super) one_of: Option<Arc<OneOf>>,
}

/// The type of a field, with the rules of this type.
#[derive(Debug, Clone, Default)]
pub(super) enum FieldType {
    #[default]
    Any,
    String(StringRules),
    Number(NumberRules),
    Boolean,
    Url,
    Timestamp,
    Hash(HashRules),
    Array(ElementRules),
    /// Code. It is stored and never run, and any value is valid.
    Function,
    Reference(ReferenceRules),
    /// The pk of a file, or of a record of class [`uns::FILE`] or [`uns::FILE_REFERENCE`], which counts as a
    /// file.
    File,
    /// An embedded object of this class, or the pk of a record of this class.
    Class(String),
}

/// The rules for a hash.
#[derive(Debug, Clone, Default)]
pub(super) struct HashRules {
    pub(super) fields: Fields,
    /// Whether the definition of the hash itself has the key `fields`. If not, the hash inherits its fields
    /// from a hash around it, or has none.
    pub(super) has_own_fields: bool,
    /// Whether a new record that lacks the hash gets an empty one, in which the defaults of sub-fields apply.
    /// A default of the hash takes precedence.
    pub(super) creates_if_absent: bool,
    /// The rules for the number of members, and for members that `fields` does not name.
    pub(super) elements: ElementRules,
}

/// The rules for the elements of an array or a hash.
#[derive(Debug, Clone, Default)]
pub(super) struct ElementRules {
    /// The minimal number of elements.
    pub(super) min: Option<u64>,
    /// The maximal number of elements.
    pub(super) max: Option<u64>,
    /// The rules for each element.
    pub(super) element_field: Option<Box<Field>>,
    /// The key of the element type, `of` or `items`, if the definition itself has the key. `None` if there is
    /// no element type, or if the definition inherits the element type from a hash.
    pub(super) own_element_key: Option<&'static str>,
}

/// The rules for the target of a reference, as in [`Reference`](super::reference::Reference).
#[derive(Debug, Clone, Default)]
pub(super) struct ReferenceRules {
    /// The allowed classes; empty if all are allowed.
    pub(super) classes: Vec<String>,
    pub(super) on_delete: OnDelete,
}

// Settings that apply to some types only, grouped by these types. A setting in no group, such as `required`,
// applies to all types.
const STRING_KEYS: &[&str] = &["min_length", "max_length", "collapse", "format", "pattern"];
const NUMBER_KEYS: &[&str] = &["min", "gte", "max", "lte", "gt", "lt", "integer_only", "multiple_of"];
const COLLECTION_KEYS: &[&str] = &["min_elements", "max_elements", "of", "items"];
const HASH_KEYS: &[&str] = &["fields", "instantiate"];
const REFERENCE_KEYS: &[&str] = &["target", "allowed_class", "allowed_classes", "on_delete"];
const SCALAR_KEYS: &[&str] = &["one_of", "enum", "index"];

/// The names of the types, as error messages list them.
const TYPES: &str = "`string`, `number`, `boolean`, `url`, `timestamp`, `hash`, `array`, `function`, or a \
                     UNS such as `puck.uno/reference`, `puck.uno/dbfile` or that of another class";

impl Field {
    /// Reads a field definition. `inherited` are the settings that a hash gives to all its sub-fields; the
    /// field's own settings take precedence.
    pub(super) fn read(
        value: &Value,
        inherited: &[Settings<'_>],
        place: Place<'_>,
        context: &mut ReadContext,
    ) -> Self {
        let Value::Object(own) = value else {
            context.push_fault(fault(&place, "a field definition must be an object; `{}` allows any value"));
            return Self::default();
        };
        let own = Settings::of_object(own, place);
        Self::of_settings(&mut SettingsReader { own, inherited, context })
    }

    fn of_settings(settings: &mut SettingsReader<'_>) -> Self {
        let field_type = FieldType::read(settings);
        let has_sub_fields = matches!(&field_type, FieldType::Hash(_)) && settings.has("fields");
        // On a hash with `fields`, `default` is not a value: see `read_sub_fields`.
        let default = if has_sub_fields { None } else { settings.find("default").cloned() };
        let one_of = settings.array(&["one_of", "enum"]);
        Self {
            field_type,
            required: settings.boolean("required"),
            unique: settings.boolean("unique"),
            index: settings.boolean("index"),
            default,
            has_own_default: settings.has_own("default"),
            one_of: one_of.map(|(key, values)| Arc::new(OneOf::of(key, values))),
        }
    }

    /// Whether the type of the field is a reference to a record or a file. The value of such a field may be
    /// written as `"x"` or as `{"pk": "x"}`. A field whose type is any other class may hold a pk as well, but
    /// only as `"x"`: there an object is an embedded object.
    pub(super) fn is_reference(&self) -> bool {
        matches!(self.field_type, FieldType::Reference(_) | FieldType::File)
    }

    /// Whether values may contain references, at any depth.
    pub(super) fn holds_references(&self) -> bool {
        let in_elements = |elements: &ElementRules| {
            elements.element_field.as_ref().is_some_and(|field| field.holds_references())
        };
        match &self.field_type {
            FieldType::Reference(_) | FieldType::File | FieldType::Class(_) => true,
            FieldType::Array(elements) => in_elements(elements),
            FieldType::Hash(hash) => {
                in_elements(&hash.elements) || hash.fields.iter().any(|(_, field)| field.holds_references())
            }
            _ => false,
        }
    }

    /// Whether normalization may change a value of the field, or give the field a value.
    pub(super) fn normalizes(&self) -> bool {
        let in_elements =
            |elements: &ElementRules| elements.element_field.as_ref().is_some_and(|field| field.normalizes());
        self.default.is_some()
            || match &self.field_type {
                FieldType::String(text) => text.collapse,
                FieldType::Class(_) => true,
                FieldType::Array(elements) => in_elements(elements),
                FieldType::Hash(hash) => {
                    let mut fields = hash.fields.iter();
                    hash.creates_if_absent
                        || in_elements(&hash.elements)
                        || fields.any(|(_, field)| field.normalizes())
                }
                _ => false,
            }
    }

    /// Adds the classes of the objects that the field may contain.
    pub(super) fn add_embedded<'f>(&'f self, names: &mut BTreeSet<&'f str>) {
        match &self.field_type {
            FieldType::Class(class) => {
                names.insert(class);
            }
            FieldType::Array(elements) => {
                elements.element_field.iter().for_each(|field| field.add_embedded(names))
            }
            FieldType::Hash(hash) => {
                hash.elements.element_field.iter().for_each(|field| field.add_embedded(names));
                hash.fields.iter().for_each(|(_, field)| field.add_embedded(names));
            }
            _ => {}
        }
    }

    /// Reads the element type of an array or a hash: the name of a type, or a definition.
    fn read_element(value: &Value, place: Place<'_>, context: &mut ReadContext) -> Self {
        match Settings::of_element(value, place) {
            Some(own) => Self::of_settings(&mut SettingsReader { own, inherited: &[], context }),
            // `read` reports that the value is no definition.
            None => Self::read(value, &[], place, context),
        }
    }
}

impl FieldType {
    fn read(settings: &mut SettingsReader<'_>) -> Self {
        let class = settings.text("class").map(str::to_owned);
        let (field_type, allowed_groups): (Self, &[&[&str]]) = match class.as_deref() {
            None => (Self::Any, &[SCALAR_KEYS]),
            Some("string") => (Self::String(StringRules::read(settings)), &[STRING_KEYS, SCALAR_KEYS]),
            Some("number") => (Self::Number(NumberRules::read(settings)), &[NUMBER_KEYS, SCALAR_KEYS]),
            Some("boolean") => (Self::Boolean, &[SCALAR_KEYS]),
            Some("url") => (Self::Url, &[SCALAR_KEYS]),
            Some("timestamp") => (Self::Timestamp, &[SCALAR_KEYS]),
            Some("hash") => (Self::Hash(HashRules::read(settings)), &[COLLECTION_KEYS, HASH_KEYS]),
            Some("array") => (Self::Array(ElementRules::read(settings)), &[COLLECTION_KEYS]),
            Some("function") => (Self::Function, &[]),
            Some(name) => match uns::parse(name) {
                Ok(uns::HASH) => (Self::Hash(HashRules::read(settings)), &[COLLECTION_KEYS, HASH_KEYS]),
                Ok(uns::REFERENCE | uns::FILE_REFERENCE) => {
                    (Self::Reference(ReferenceRules::read(settings)), &[REFERENCE_KEYS, SCALAR_KEYS])
                }
                Ok(uns::FILE) => (Self::File, &[SCALAR_KEYS]),
                Ok(name) => (Self::Class(name.to_owned()), &[SCALAR_KEYS]),
                Err(_) => {
                    settings.refuse("class", format!("there is no type `{name}`; known are {TYPES}"));
                    return Self::Any;
                }
            },
        };
        refuse_misplaced_keys(settings, class.as_deref(), allowed_groups);
        field_type
    }
}

/// Reports settings that have no effect on a field of `class`, because they apply to other types. `None` is
/// a field without a class.
fn refuse_misplaced_keys(settings: &mut SettingsReader<'_>, class: Option<&str>, allowed_groups: &[&[&str]]) {
    let groups = [
        (STRING_KEYS, "strings"),
        (NUMBER_KEYS, "numbers"),
        (COLLECTION_KEYS, "arrays and hashes"),
        (HASH_KEYS, "hashes"),
        (REFERENCE_KEYS, "references"),
        (SCALAR_KEYS, "single values"),
    ];
    for (keys, types) in groups {
        for key in keys.iter().filter(|key| !allowed_groups.iter().any(|group| group.contains(key))) {
            if settings.has(key) {
                let class =
                    class.map_or_else(|| "without a `class`".to_owned(), |class| format!("of `{class}`"));
                let message = format!("`{key}` is for {types}, and this is a field {class}");
                settings.refuse_combination(key, "class", message);
            }
        }
    }
}

impl ElementRules {
    fn read(settings: &mut SettingsReader<'_>) -> Self {
        let (min, max) = (settings.count("min_elements"), settings.count("max_elements"));
        let element = settings.get(&["of", "items"]);
        let own_element_key = element.map(|(key, _)| key).filter(|key| settings.has_own(key));
        let element_field = element.map(|(key, value)| {
            // The definition may have inherited the key. A fault then has its place in the settings that have
            // the key.
            let key_holder = settings.holder_or_own(key);
            Box::new(Field::read_element(value, key_holder.place_of(key), settings.context))
        });
        Self { min, max, element_field, own_element_key }
    }
}

impl HashRules {
    fn read(settings: &mut SettingsReader<'_>) -> Self {
        let elements = ElementRules::read(settings);
        let fields = read_sub_fields(settings);
        let has_own_fields = settings.has_own("fields");
        Self { fields, has_own_fields, creates_if_absent: settings.boolean("instantiate"), elements }
    }
}

/// Reads the `fields` of a hash. Each sub-field inherits the settings in `default` and in `of`; those in
/// `default` take precedence. In `of`, the name of a type is short for settings with this `class`.
fn read_sub_fields(settings: &mut SettingsReader<'_>) -> Fields {
    let Some(definitions) = settings.object("fields") else { return Fields::default() };
    let element = settings.get(&["of", "items"]);
    let default = settings.find("default");
    if default.is_some_and(|default| !default.is_object()) {
        settings.refuse(
            "default",
            "on a hash with `fields`, `default` must be an object of settings that apply to each of the \
             fields",
        );
    }
    // The hash itself may have inherited a key. A fault then has its place in the settings that have the key.
    let fields_holder = settings.holder_or_own("fields");
    let default_holder = settings.holder_or_own("default");
    let element_holder = settings.holder_or_own(element.map_or("of", |(key, _)| key));
    let place = fields_holder.place_of("fields");
    let default_settings = default
        .filter(|default| default.is_object())
        .and_then(|default| Settings::of_element(default, default_holder.place_of("default")));
    let element_settings =
        element.and_then(|(key, value)| Settings::of_element(value, element_holder.place_of(key)));
    let inherited: Vec<Settings<'_>> = default_settings.into_iter().chain(element_settings).collect();
    // Reports a fault if the inherited settings exceed their limit. The sub-fields are then not read.
    if !settings.context.charge_inherited(&inherited, definitions.len(), &place) {
        return Fields::default();
    }
    let read = |(name, definition): (&String, &Value)| {
        let field = Field::read(definition, &inherited, Place::Key(&place, name), settings.context);
        (name.clone(), field)
    };
    definitions.iter().map(read).collect()
}

impl ReferenceRules {
    fn read(settings: &mut SettingsReader<'_>) -> Self {
        let mut classes = settings.classes(&["target", "allowed_class"]);
        // Existing definitions have both `allowed_class` and `allowed_classes`. So both may be given, and the
        // classes of both are allowed.
        let others = settings.classes(&["allowed_classes"]);
        if settings.has("target") {
            // `get` reports a fault if `target` and `allowed_classes` are both given. The value is not used.
            settings.get(&["target", "allowed_classes"]);
        }
        classes.extend(others);
        let on_delete = match settings.text("on_delete") {
            None | Some("ignore") => OnDelete::Ignore,
            Some("restrict") => OnDelete::Restrict,
            Some(other) => {
                settings.refuse("on_delete", format!("`on_delete` is `restrict` or `ignore`, not `{other}`"));
                OnDelete::Ignore
            }
        };
        Self { classes, on_delete }
    }
}
