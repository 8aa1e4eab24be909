//! Three versions of a program.

mod changed;
mod first;
mod grown;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (version, argument) = (arguments.next().unwrap(), arguments.next().unwrap());
    match version.as_str() {
        "first" => first::main(&argument),
        "grown" => grown::main(&argument),
        "changed" => changed::main(&argument),
        _ => panic!("no version is called {version}"),
    }
}
