//! Helpers that the test programs share.
#![allow(
    dead_code,
    reason = "each test program uses its own part of these helpers"
)]

pub(crate) mod gpu;
