//! Choosing ports and noticing early that one is taken.

use std::io::ErrorKind;
use std::net::TcpListener;

use anyhow::{Context, Result};

use crate::failure::misconfigured;

/// The two ports of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) api: u16,
    pub(crate) site: u16,
}

/// Settles the ports of a server: 0 becomes a free port, and a missing site port the one after the API's.
pub(crate) fn resolve(host: &str, api: u16, site: Option<u16>) -> Result<Ports> {
    let site = match (api, site) {
        (0, None) => 0,
        (_, None) => api.checked_add(1).ok_or_else(|| {
            misconfigured("there is no port after 65535 for HTTP actions; choose one with --site-port")
        })?,
        (_, Some(site)) => site,
    };
    // The first choice is held while the second is made, or both might get the same port.
    let (api, _held) = settle(host, api)?;
    let (site, _) = settle(host, site)?;
    let ports = Ports { api, site };
    if ports.api == ports.site {
        return Err(misconfigured(format!(
            "the API and HTTP actions cannot both listen on port {}; choose another --site-port",
            ports.api
        )));
    }
    Ok(ports)
}

fn settle(host: &str, port: u16) -> Result<(u16, Option<TcpListener>)> {
    if port != 0 {
        return Ok((port, None));
    }
    let listener = TcpListener::bind((host, 0)).with_context(|| format!("no free port on {host}"))?;
    Ok((listener.local_addr()?.port(), Some(listener)))
}

/// Fails when the port cannot be listened on, saying which flag chooses another. Somebody else may still take it
/// before the engine does; the engine then reports the same.
pub(crate) fn ensure_free(host: &str, port: u16, advice: &str) -> Result<()> {
    match TcpListener::bind((host, port)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            Err(misconfigured(format!("port {port} is already in use; stop what uses it, or {advice}")))
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Err(misconfigured(format!("port {port} needs privileges that this user does not have; {advice}")))
        }
        Err(error) => Err(misconfigured(format!("cannot listen on {host}:{port}: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_together_with_the_way_out() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = ensure_free("127.0.0.1", port, "choose another with --port").unwrap_err().to_string();
        assert!(error.contains(&port.to_string()) && error.contains("--port"), "{error}");
        drop(listener);
        ensure_free("127.0.0.1", port, "").unwrap();
    }

    #[test]
    fn port_zero_becomes_two_different_free_ports() {
        let ports = resolve("127.0.0.1", 0, None).unwrap();
        assert!(ports.api != 0 && ports.site != 0 && ports.api != ports.site);
    }

    #[test]
    fn one_port_for_both_listeners_is_refused() {
        assert!(resolve("127.0.0.1", 4000, Some(4000)).is_err());
        assert!(resolve("127.0.0.1", u16::MAX, None).is_err());
    }
}
