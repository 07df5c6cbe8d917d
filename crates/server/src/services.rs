//! The floors below the server.

use std::sync::Arc;

use freshet_database::Database;
use freshet_functions::Functions;
use freshet_functions::deployment::Deployment;
use freshet_functions::log_stream::LogStream;
use freshet_instance::AdminKeys;

/// What requests are handed to.
#[derive(Clone)]
pub struct Services {
    /// The data; the server itself only asks it for timestamps and subscriptions.
    pub database: Database,
    /// Runs functions.
    pub functions: Functions,
    /// Takes pushes and keeps the environment variables.
    pub deployment: Deployment,
    /// Recent executions.
    pub logs: Arc<LogStream>,
    /// Verifies admin keys.
    pub admin_keys: AdminKeys,
}
