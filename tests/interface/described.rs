//! Types that an interface describes: their schemas are recorded, and compared when a client connects.

use std::fmt::Write;
use std::panic::catch_unwind;
use std::{env, fs};

use mikobase::rpc::{Interface, Surface, assert_types_as_recorded, schemars};
use mikobase::{Error, Result, mikobase_interface};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cargo::{call_version, printed};
use crate::library::outside;

/// What is ordered.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Item {
    /// Its name.
    name: String,
    parts: Vec<Item>,
    note: Option<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum OrderError {
    SoldOut { item: String },
    Lost(Error),
}

impl From<Error> for OrderError {
    fn from(error: Error) -> Self {
        Self::Lost(error)
    }
}

/// A trait whose types are recorded.
#[mikobase_interface(surface = "schema/orders.surface.json", schema)]
trait Orders {
    fn order(&self, item: &Item, count: Option<u32>) -> Result<u64, OrderError>;
    fn all(&self) -> Result<Vec<Item>>;
}

const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/orders.surface.json");

#[test]
fn the_surface_has_the_schemas_of_all_types() {
    let surface = <dyn Orders>::surface();
    let schemas = surface.schemas.as_ref().unwrap();
    let order = &schemas.received.methods["order"];
    assert_eq!(order.params["item"]["$ref"], "#/$defs/Item");
    assert_eq!(order.returns["format"], "uint64");
    assert_eq!(order.error["$ref"], "#/$defs/OrderError");
    let item = &schemas.received.definitions["Item"];
    assert_eq!(item["description"], "What is ordered.");
    assert_eq!(item["required"], serde_json::json!(["name", "parts"]));
    let sent = &schemas.sent.definitions["Item"];
    assert_eq!(sent["required"], serde_json::json!(["name", "parts", "note"]));
    assert!(surface.errors.iter().any(|error| error.id == "server-gone" && error.meaning.ends_with('.')));
}

#[test]
fn a_change_of_a_type_is_found_by_the_generated_test() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.surface.json");
    let mut record = Surface::from_json(&fs::read_to_string(RECORD).unwrap()).unwrap();
    let check = || {
        let checked =
            catch_unwind(|| assert_types_as_recorded(<dyn Orders>::surface(), path.to_str().unwrap()));
        checked.map_err(|panic| *panic.downcast::<String>().unwrap())
    };
    fs::write(&path, record.to_json()).unwrap();
    assert_eq!(check(), Ok(()));

    let schemas = record.schemas.as_mut().unwrap();
    let recorded = schemas.sent.definitions.get_mut("Item").unwrap();
    recorded["properties"].as_object_mut().unwrap().shift_remove("name");
    recorded["required"] = serde_json::json!(["parts", "note"]);
    fs::write(&path, record.to_json()).unwrap();
    let message = check().unwrap_err();
    assert!(message.contains("record it: run this test once with `MIKOBASE_RECORD=1`"), "{message}");
    assert!(message.contains("argument `item`: `.name`: the field is required, but not sent"), "{message}");

    // A build records a method that was added without its schemas.
    record.schemas.as_mut().unwrap().received.methods.remove("all");
    fs::write(&path, record.to_json()).unwrap();
    assert!(check().unwrap_err().contains("does not describe the types of all. If that is intended"));

    record.schemas = None;
    fs::write(&path, record.to_json()).unwrap();
    assert!(check().unwrap_err().contains("describes no types"));
}

/// A version of the program, a module of it: its types, and its additional parameter with the argument.
struct Version {
    name: &'static str,
    item: &'static str,
    kind: &'static str,
    count: &'static str,
    parameter: &'static str,
    argument: &'static str,
}

const BASE: Version = Version {
    name: "base",
    item: "{ name: String }",
    kind: "{ Plain, Gift { card: String } }",
    count: "u32",
    parameter: "",
    argument: "",
};

const VERSIONS: &[Version] = &[
    BASE,
    Version { name: "required_field", item: "{ name: String, price: u64 }", ..BASE },
    Version { name: "optional_field", item: "{ name: String, note: Option<u8> }", ..BASE },
    Version { name: "lost_variant", kind: "{ Plain }", ..BASE },
    Version { name: "another_alias", count: "String", ..BASE },
    Version {
        name: "optional_argument",
        parameter: ", hurry: Option<bool>",
        argument: ", Some(true)",
        ..BASE
    },
];

impl Version {
    fn program(&self) -> String {
        let Self { item, kind, count, parameter, argument, .. } = self;
        format!(
            r#"use mikobase::prelude::*;
use schemars::JsonSchema;
use serde::{{Deserialize, Serialize}};

#[derive(Default, Serialize, Deserialize, JsonSchema)]
struct Item {item}

#[derive(Serialize, Deserialize, JsonSchema)]
enum Kind {kind}

type Count = {count};

#[mikobase_interface(schema)]
trait Shop {{
    fn order(&self, item: Item, kind: Kind, count: Count{parameter}) -> Result<(Item, Kind)>;
}}

struct Desk;

impl Shop for Desk {{
    #[allow(unused_variables)]
    fn order(&self, item: Item, kind: Kind, count: Count{parameter}) -> Result<(Item, Kind)> {{
        Ok((item, kind))
    }}
}}

pub fn main(argument: &str) {{
    match argument {{
        "serve" => {{
            let uds = Uds::new().unwrap();
            let share = uds.spawn_share::<dyn Shop, ()>(0, || Ok(Box::new(Desk)), |_, _| Ok(())).unwrap();
            println!("{{}}\n{{}}", share.path().display(), share.token().to_hex());
            std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
            share.join().unwrap();
        }}
        path => {{
            let token = std::env::var("MIKOBASE_TOKEN").unwrap().parse().unwrap();
            match shop_rpc::ShopClient::connect(path, &token) {{
                Ok(shop) => {{
                    let item = Item {{ name: "a lamp".to_owned(), ..Item::default() }};
                    let (item, _) = shop.order(item, Kind::Plain, Count::default(){argument}).unwrap();
                    println!("ordered {{}}", item.name);
                }}
                Err(error) => println!("{{error}}"),
            }}
        }}
    }}
}}
"#
        )
    }
}

#[test]
fn types_that_do_not_fit_are_refused_when_a_client_connects() {
    let package = outside("shop", "2024");
    package.edit(
        "Cargo.toml",
        "[dependencies]\n",
        "[dependencies]\nschemars = { version = \"1\", default-features = false, features = [\"derive\"] }\n\
         serde = { version = \"1\", features = [\"derive\"] }\n",
    );
    fs::create_dir(package.path("src")).unwrap();
    let (mut modules, mut arms) = (String::new(), String::new());
    for Version { name, .. } in VERSIONS {
        writeln!(modules, "mod {name};").unwrap();
        writeln!(arms, "        Some({name:?}) => {name}::main(&arguments[2]),").unwrap();
    }
    let program = format!(
        "{modules}\nfn main() {{\n    let arguments: Vec<String> = std::env::args().collect();\n    \
         match arguments.get(1).map(String::as_str) {{\n{arms}        \
         other => panic!(\"no version is called {{other:?}}\"),\n    }}\n}}\n"
    );
    fs::write(package.path("src/main.rs"), program).unwrap();
    for version in VERSIONS {
        fs::write(package.path(&format!("src/{}.rs", version.name)), version.program()).unwrap();
    }
    let output = package.cargo(&["build"]);
    assert!(output.status.success(), "{}", printed(&output));

    for (server, client, expected) in [
        ("base", "base", "ordered a lamp"),
        ("required_field", "base", "argument `item`: `.price`: the field is required, but not sent"),
        ("base", "required_field", "result: `.0.price`: the field is required, but not sent"),
        ("optional_field", "base", "ordered a lamp"),
        ("base", "optional_field", "ordered a lamp"),
        ("lost_variant", "base", "argument `kind`: the variant `Gift` is sent, but \"Plain\" is expected"),
        ("base", "lost_variant", "result: `.1`: the variant `Gift` is sent, but \"Plain\" is expected"),
        (
            "another_alias",
            "base",
            "argument `count`: an integer from 0 to 4294967295 is sent, but a string is expected",
        ),
        (
            "base",
            "another_alias",
            "argument `count`: a string is sent, but an integer from 0 to 4294967295 is expected",
        ),
        ("optional_argument", "base", "ordered a lamp"),
        ("base", "optional_argument", "ordered a lamp"),
    ] {
        let answer = call_version("shop", client, server);
        assert!(answer.contains(expected), "a {client} client on a {server} server: {answer}");
        let is_refused = answer.contains("surface-mismatch") && answer.contains("order");
        assert_eq!(is_refused, expected != "ordered a lamp", "{answer}");
    }
}
