//! Negotiation of `permessage-deflate` (RFC 7692, section 7).
//!
//! The client is always told not to carry its context from one message to the next: what it sends is small, and so a
//! connection that is idle needs no memory for inflating.

/// How messages to one client may be compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    /// Base-2 logarithm of the window in bytes, 9 to 15.
    window_bits: u8,
    /// Whether a message may refer to those before it.
    keeps_context: bool,
}

/// The largest window there is, and what a client has that does not say.
const WINDOW_BITS_MAX: u8 = 15;
/// zlib, and with it most of the world, cannot compress with smaller ones.
const WINDOW_BITS_MIN: u8 = 9;

impl Compression {
    /// Takes the first acceptable offer of a `Sec-WebSocket-Extensions` header; `None` to go without compression.
    /// `window_bits_max` bounds the window, 9 to 15.
    #[must_use]
    pub fn negotiate(header: &str, window_bits_max: u8) -> Option<Self> {
        split_quoted(header, ',').find_map(|offer| Self::accept(offer, window_bits_max))
    }

    fn accept(offer: &str, window_bits_max: u8) -> Option<Self> {
        let mut parts = split_quoted(offer, ';').map(str::trim);
        if !parts.next()?.eq_ignore_ascii_case("permessage-deflate") {
            return None;
        }
        let mut window_bits = None;
        let (mut server_restarts, mut client_restarts, mut client_bits) = (false, false, false);
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
                None => (part, None),
            };
            // An offer with a parameter twice, or one that is not known, must be declined.
            let is_new = match (name.to_ascii_lowercase().as_str(), value) {
                ("server_no_context_takeover", None) => !std::mem::replace(&mut server_restarts, true),
                ("client_no_context_takeover", None) => !std::mem::replace(&mut client_restarts, true),
                ("client_max_window_bits", value) => {
                    if let Some(value) = value {
                        bits(value, 8)?;
                    }
                    !std::mem::replace(&mut client_bits, true)
                }
                ("server_max_window_bits", Some(value)) => {
                    window_bits.replace(bits(value, WINDOW_BITS_MIN)?).is_none()
                }
                _ => false,
            };
            if !is_new {
                return None;
            }
        }
        let allowed = window_bits_max.clamp(WINDOW_BITS_MIN, WINDOW_BITS_MAX);
        let window_bits = window_bits.unwrap_or(WINDOW_BITS_MAX).min(allowed);
        Some(Self { window_bits, keeps_context: !server_restarts })
    }

    /// The value of the answer's `Sec-WebSocket-Extensions` header.
    #[must_use]
    pub fn response(&self) -> String {
        let mut response = "permessage-deflate; client_no_context_takeover".to_owned();
        if !self.keeps_context {
            response.push_str("; server_no_context_takeover");
        }
        if self.window_bits < WINDOW_BITS_MAX {
            response.push_str(&format!("; server_max_window_bits={}", self.window_bits));
        }
        response
    }

    /// Base-2 logarithm of the window in bytes.
    #[must_use]
    pub fn window_bits(&self) -> u8 {
        self.window_bits
    }

    /// Whether a message may refer to those before it.
    #[must_use]
    pub fn keeps_context(&self) -> bool {
        self.keeps_context
    }
}

fn bits(text: &str, least: u8) -> Option<u8> {
    let is_plain =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|bits| is_plain && (least..=WINDOW_BITS_MAX).contains(bits))
}

/// Splits outside of quoted strings.
fn split_quoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(header: &str) -> Option<String> {
        Compression::negotiate(header, 15).map(|compression| compression.response())
    }

    #[test]
    fn what_browsers_and_node_offer_is_taken() {
        let plain = Some("permessage-deflate; client_no_context_takeover".to_owned());
        assert_eq!(response("permessage-deflate; client_max_window_bits"), plain);
        assert_eq!(response("permessage-deflate"), plain);
        assert_eq!(response("x-webkit-deflate-frame, Permessage-Deflate ; client_max_window_bits=10"), plain);
    }

    #[test]
    fn the_clients_wishes_for_the_server_are_obeyed() {
        assert_eq!(
            response("permessage-deflate; server_no_context_takeover; server_max_window_bits=\"10\"")
                .unwrap(),
            "permessage-deflate; client_no_context_takeover; server_no_context_takeover; server_max_window_bits=10"
        );
        let smaller = Compression::negotiate("permessage-deflate", 11).unwrap();
        assert_eq!((smaller.window_bits(), smaller.keeps_context()), (11, true));
    }

    #[test]
    fn offers_that_cannot_be_kept_are_passed_over() {
        for bad in [
            "",
            "permessage-bzip2",
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=010",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; client_max_window_bits=99",
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; colour=blue",
        ] {
            assert_eq!(response(bad), None, "{bad}");
        }
        let second = "permessage-deflate; colour=blue, permessage-deflate; client_max_window_bits";
        assert!(response(second).is_some());
    }
}
