//! Whole verifications, with providers and clocks that exist only here.

mod algorithms;
mod http;
mod identities;
mod keys;
mod provider;
mod times;
