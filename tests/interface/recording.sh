#!/bin/sh
# Runs a compiler that records surfaces instead of comparing them: see `cargo.rs`.
MIKOBASE_RECORD=1 exec "$@"
