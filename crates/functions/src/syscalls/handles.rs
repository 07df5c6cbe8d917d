//! `1.0/createFunctionHandle`.

use super::{Fault, parse};
use crate::address::Address;
use crate::code::LiveCode;
use crate::function_handle;

/// Replies the handle's JSON text.
pub(crate) fn create(code: &LiveCode, args: &str) -> Result<String, Fault> {
    let address: Address = parse("createFunctionHandle", args)?;
    let path = address.path().map_err(Fault::developer)?;
    if !code.functions.contains_key(&path) {
        return Err(Fault::developer(if address.is_handle() {
            "Function handle not found".to_owned()
        } else {
            format!("Could not find function for '{}'.", path.stripped())
        }));
    }
    Ok(serde_json::Value::String(function_handle::handle_of(&path)).to_string())
}
