//! Function handles: texts that name a function and can be stored and passed around.
//!
//! A handle says which component instance and which function; it grants nothing that a function could not call anyway,
//! so it needs no table and stays the same for as long as the function has its name.

use freshet_values::FunctionPath;

/// Every handle starts with this.
const SCHEME: &str = "function://";

/// The handle of a function of the app.
pub(crate) fn handle_of(path: &FunctionPath) -> String {
    format!("{SCHEME};{path}")
}

/// Whether a text claims to be a handle.
pub(crate) fn is_handle(text: &str) -> bool {
    text.starts_with(SCHEME)
}

/// The function that a handle names. The error is the text that user code gets.
pub(crate) fn path_of(handle: &str) -> Result<FunctionPath, String> {
    let (component, path) = handle
        .strip_prefix(SCHEME)
        .and_then(|rest| rest.split_once(';'))
        .ok_or("Function handle not found")?;
    if !component.is_empty() {
        return Err("Component not found".into());
    }
    path.parse().map_err(|_| "Function handle not found".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_leads_back_to_its_function() {
        let path: FunctionPath = "a/b:c".parse().unwrap();
        let handle = handle_of(&path);
        assert!(is_handle(&handle));
        assert_eq!(path_of(&handle), Ok(path));
    }

    #[test]
    fn forged_handles_lead_nowhere() {
        assert_eq!(path_of("function://x"), Err("Function handle not found".into()));
        assert_eq!(path_of("function://;../x"), Err("Function handle not found".into()));
        assert_eq!(path_of("function://comp;a.js:b"), Err("Component not found".into()));
    }
}
