//! `freshet admin-key`: prints the admin key of an instance and nothing else, for use in scripts.

use std::path::Path;

use anyhow::Result;
use freshet_instance::Instance;

use super::DATA_DEFAULT;
use crate::cli::AdminKeyArgs;
use crate::{console, service, settings};

/// Prints the key. Takes no lock: the server may be running.
pub(super) fn run(args: &AdminKeyArgs) -> Result<()> {
    let credentials = settings::credentials(&args.instance, &settings::environment)?;
    let data = settings::data_path(&args.instance, Path::new(DATA_DEFAULT), &settings::environment);
    let instance = Instance::open_or_create(&service::open_directory(&data)?, credentials)?;
    console::say(&instance.admin_keys().standing_key());
    Ok(())
}
