//! The program as its user runs it, with a shell script in the place of Node.js and the engine.

#![allow(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]

mod fixture;

mod a_dead_engine_is_started_again;
mod an_impossible_configuration_ends_the_server;
mod dev_runs_the_app_s_own_tool;
mod refusals_say_what_to_do;
mod signals_end_everything;
mod the_admin_key_is_all_that_is_printed;
mod the_engine_is_told_everything_it_needs;
