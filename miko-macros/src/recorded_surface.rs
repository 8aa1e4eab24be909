//! The recorded surface: a file with which the trait is compared at compile time.
//!
//! Each difference is an error at its method, so that an interface is not changed by accident. A build with
//! `MIKOBASE_RECORD=1` writes the file instead, for the packages that it is asked to build; not for their
//! dependencies. The schemas in it are written and compared by a generated test.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use miko_surface::{Change, Surface};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::LitStr;

use crate::errors::Errors;
use crate::model::{InterfaceModel, MethodModel};

/// The environment variable with which a build writes the record instead of comparing it.
const RECORD_VARIABLE: &str = "MIKOBASE_RECORD";

/// Compares the interface with its record, or writes the record, if the attribute names one.
pub(crate) fn compare(interface: &InterfaceModel<'_>, errors: &mut Errors) {
    let Some(file) = &interface.args.surface else { return };
    let Some(path) = path_of(file, errors) else { return };
    let mut surface = interface.surface().recorded();
    let old = read(&path);
    if is_recording() {
        if interface.args.schema.is_some() {
            surface.schemas = old.ok().and_then(|old| old.schemas);
        }
        if let Err(fault) = record(&path, &surface) {
            errors.at(file, format!("the surface cannot be recorded: {fault}"));
        }
        return;
    }
    match old {
        Ok(old) => {
            let described = interface.args.schema.is_some().then_some(&old);
            report_changes(interface, &surface.changes_since(&old), described, errors);
        }
        Err(fault) => {
            errors.at(file, format!("{fault}. To record the surface, build once with `{RECORD_VARIABLE}=1`"))
        }
    }
}

/// Whether the record is to be written: the variable is `1`, and cargo builds this package for its own sake.
fn is_recording() -> bool {
    env::var_os(RECORD_VARIABLE).is_some_and(|value| value == "1")
        && env::var_os("CARGO_PRIMARY_PACKAGE").is_some()
}

/// Tokens that make cargo rebuild the trait when the record or the environment variable changes.
pub(crate) fn dependencies(interface: &InterfaceModel<'_>) -> TokenStream {
    let Some(file) = &interface.args.surface else { return TokenStream::new() };
    let package = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let record = Path::new(&package).join(file.value()).exists().then(|| {
        quote! {
            const _: &[u8] =
                ::core::include_bytes!(::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), "/", #file));
        }
    });
    quote! {
        #record
        const _: ::core::option::Option<&str> = ::core::option_env!(#RECORD_VARIABLE);
    }
}

/// The path of the record, which is relative to the folder of the package's manifest.
fn path_of(file: &LitStr, errors: &mut Errors) -> Option<PathBuf> {
    if Path::new(&file.value()).is_absolute() {
        errors.at(file, "the recorded surface is named relative to the folder of `Cargo.toml`");
        return None;
    }
    match env::var_os("CARGO_MANIFEST_DIR") {
        Some(package) => Some(Path::new(&package).join(file.value())),
        None => {
            errors.at(file, "only cargo says where the package is: build with it, or remove `surface`");
            None
        }
    }
}

/// Writes the record unless it is unchanged: a new modification time would cause a rebuild.
fn record(path: &Path, surface: &Surface) -> io::Result<()> {
    let json = surface.to_json();
    if fs::read_to_string(path).is_ok_and(|old| old == json) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, json)
}

fn read(path: &Path) -> Result<Surface, String> {
    let json =
        fs::read_to_string(path).map_err(|fault| format!("the recorded surface cannot be read: {fault}"))?;
    Surface::from_json(&json).map_err(|fault| format!("the recorded surface is not valid: {fault}"))
}

/// Reports the changes. `described` is the record if the interface describes its types.
fn report_changes(
    interface: &InterfaceModel<'_>,
    changes: &[Change],
    described: Option<&Surface>,
    errors: &mut Errors,
) {
    for change in changes {
        errors.at(
            place_of(interface, change),
            format!(
                "{}\n\
                 The interface differs from the recorded surface. If that is intended, record it: \
                 build once with `{RECORD_VARIABLE}=1`",
                sentence(change, described)
            ),
        );
    }
}

/// The change, and its effect on old clients. Where the types of the method are described, their shapes
/// decide, which are not known while compiling.
fn sentence(change: &Change, described: Option<&Surface>) -> String {
    match change {
        Change::Retyped { was, is } if described.is_some_and(|record| record.describes(&is.name)) => format!(
            "changed: it was `{was}` and is `{is}`. Once it is recorded, the test `types_are_as_recorded` \
             tells whether old clients still work"
        ),
        change => change.to_string(),
    }
}

/// The tokens at which a change is reported: the method, or the trait's name if the method was removed.
fn place_of<'i>(interface: &'i InterfaceModel<'_>, change: &Change) -> &'i dyn ToTokens {
    let name = match change {
        Change::Added(is)
        | Change::Renamed { is, .. }
        | Change::Retyped { is, .. }
        | Change::Optional { is, .. }
        | Change::Reshaped { is, .. }
        | Change::Attributes { is, .. } => &is.name,
        Change::Interface { .. } | Change::Removed(_) => return interface.ident(),
    };
    let method: Option<&MethodModel> = interface.methods.iter().find(|method| method.wire_name == **name);
    method.map_or(interface.ident(), |method| &method.ident)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_types_are_described_their_shapes_decide_about_old_clients() {
        let surface = |ty: &str| {
            let param = format!(r#"{{"name": "item", "type": "{ty}"}}"#);
            let method = format!(r#"{{"name": "put", "params": [{param}], "returns": "Result<()>"}}"#);
            let schemas = r#"{"methods": {"put": {"returns": {}, "error": {}}}}"#;
            Surface::from_json(&format!(
                r#"{{"interface": "Shop", "methods": [{method}],
                     "schemas": {{"sent": {schemas}, "received": {schemas}}}}}"#
            ))
            .unwrap()
        };
        let (record, mut new) = (surface("Item"), surface("Article"));
        new.schemas = None;
        let changes = new.changes_since(&record);
        let ends_with = |described, end| {
            let sentence = sentence(&changes[0], described);
            assert!(sentence.ends_with(end), "{sentence}");
        };
        ends_with(Some(&record), "the test `types_are_as_recorded` tells whether old clients still work");
        ends_with(Some(&new), "Old clients are refused when they connect");
        ends_with(None, "Old clients are refused when they connect");
    }
}
