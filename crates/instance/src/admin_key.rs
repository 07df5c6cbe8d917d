//! Admin keys: `<instance name>|<lower-case hex>`, made and verified without any stored state.
//!
//! The opaque part is `version (1) || nonce (12) || payload (18) || HMAC-SHA256 (32)`. The HMAC key is derived from
//! the instance secret, and the HMAC also covers the instance name, so a key is worthless for another instance and
//! after a change of the secret. The payload is authenticated, not encrypted: nothing in it is secret.
//!
//! ```text
//! payload = issue time, seconds since 1970 (u64 BE) || flags (u8) || identity kind (u8) || member id (u64 BE)
//! ```
//!
//! The nonce is derived from the payload instead of drawn: the same claims give the same key, so that a key copied
//! into an `.env` file is the key that is printed the next time.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thiserror::Error;

use crate::{InstanceName, InstanceSecret};

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
const PAYLOAD_BYTES: usize = 18;
const MAC_BYTES: usize = 32;
const KEY_BYTES: usize = 1 + NONCE_BYTES + PAYLOAD_BYTES + MAC_BYTES;

const FLAG_READ_ONLY: u8 = 1;
const KIND_SYSTEM: u8 = 0;
const KIND_MEMBER: u8 = 1;

/// Key types of the hosted product whose whole part before the `|` names a project, not an instance.
const NAMELESS_PREFIXES: [&str; 2] = ["preview:", "project:"];

/// On whose behalf a key acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminIdentity {
    /// The operator of the instance.
    System,
    /// A named person or program, by the number the operator gave it.
    Member(u64),
}

/// What a key states about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminKeyClaims {
    /// Seconds since 1970. Zero for the standing key, which belongs to the instance and not to a moment.
    pub issued_at_s: u64,
    /// On whose behalf the key acts.
    pub identity: AdminIdentity,
    /// Whether the key may only look, not change.
    pub read_only: bool,
}

/// Why a key was refused. The text shown to the caller is the same for all, so that it tells a forger nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AdminKeyError {
    /// Not of the form of an admin key.
    #[error("The provided admin key was invalid for this instance")]
    Malformed,
    /// Made by a newer (or unknown) version.
    #[error("The provided admin key was invalid for this instance")]
    UnknownVersion,
    /// Carries the name of another instance.
    #[error("The provided admin key was invalid for this instance")]
    OtherInstance,
    /// Not signed with this instance's secret.
    #[error("The provided admin key was invalid for this instance")]
    Forged,
}

/// Issues and verifies the admin keys of one instance.
#[derive(Clone)]
pub struct AdminKeys {
    name: InstanceName,
    mac: Hmac<Sha256>,
}

impl AdminKeys {
    /// The keys of the instance with this name and secret.
    pub fn new(name: InstanceName, secret: &InstanceSecret) -> Self {
        let mut mac =
            Hmac::new_from_slice(&secret.derive("admin key")).expect("HMAC takes keys of any length");
        // The name has a bounded length and cannot hold a zero byte, so what follows it cannot be shifted into it.
        mac.update(name.as_str().as_bytes());
        mac.update(&[0]);
        Self { name, mac }
    }

    /// The name of the instance that the keys are for.
    pub fn instance_name(&self) -> &InstanceName {
        &self.name
    }

    /// The key with these claims. Equal claims give equal keys.
    pub fn issue(&self, claims: &AdminKeyClaims) -> String {
        let payload = encode_payload(claims);
        let nonce = self.authenticate(b"nonce", &payload);
        let mut bytes = Vec::with_capacity(KEY_BYTES);
        bytes.push(VERSION);
        bytes.extend_from_slice(&nonce[..NONCE_BYTES]);
        bytes.extend_from_slice(&payload);
        let tag = self.authenticate(b"key", &bytes);
        bytes.extend_from_slice(&tag);
        format!("{}|{}", self.name, hex::encode(bytes))
    }

    /// The instance's own key with full rights: the same text for as long as name and secret stay the same.
    pub fn standing_key(&self) -> String {
        self.issue(&AdminKeyClaims { issued_at_s: 0, identity: AdminIdentity::System, read_only: false })
    }

    /// Checks a key (without an acting-user part, see [`split_acting_user`]) and returns what it states.
    ///
    /// # Errors
    /// [`AdminKeyError`]; its text is what the caller of the HTTP API is shown.
    pub fn verify(&self, key: &str) -> Result<AdminKeyClaims, AdminKeyError> {
        let (owner, opaque) = key.split_once('|').ok_or(AdminKeyError::Malformed)?;
        if !names_instance(owner, &self.name) {
            return Err(AdminKeyError::OtherInstance);
        }
        if opaque.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(AdminKeyError::Malformed);
        }
        let mut bytes = [0; KEY_BYTES];
        hex::decode_to_slice(opaque, &mut bytes).map_err(|_| AdminKeyError::Malformed)?;
        if bytes[0] != VERSION {
            return Err(AdminKeyError::UnknownVersion);
        }
        let (signed, tag) = bytes.split_at(KEY_BYTES - MAC_BYTES);
        // `verify_slice` compares in constant time.
        self.mac_over(b"key", signed).verify_slice(tag).map_err(|_| AdminKeyError::Forged)?;
        decode_payload(&signed[1 + NONCE_BYTES..])
    }

    fn mac_over(&self, purpose: &[u8], message: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(purpose);
        mac.update(&[0]);
        mac.update(message);
        mac
    }

    fn authenticate(&self, purpose: &[u8], message: &[u8]) -> [u8; MAC_BYTES] {
        self.mac_over(purpose, message).finalize().into_bytes().into()
    }
}

/// Splits `<key>:<blob>` as sent in an `Authorization: Convex` header into the key and the acting user's blob.
/// A type prefix such as `prod:` stays with the key; a text without `|` is returned whole.
pub fn split_acting_user(credentials: &str) -> (&str, Option<&str>) {
    let Some(bar) = credentials.find('|') else { return (credentials, None) };
    match credentials[bar..].find(':') {
        Some(colon) => (&credentials[..bar + colon], Some(&credentials[bar + colon + 1..])),
        None => (credentials, None),
    }
}

/// Whether the part before the `|` is for this instance, type prefixes such as `prod:` aside.
fn names_instance(owner: &str, name: &InstanceName) -> bool {
    if NAMELESS_PREFIXES.iter().any(|prefix| owner.starts_with(prefix)) {
        // No name to compare. The signature covers the name, so nothing is lost.
        return true;
    }
    let bare = owner.rsplit_once(':').map_or(owner, |(_, bare)| bare);
    bare == name.as_str()
}

fn encode_payload(claims: &AdminKeyClaims) -> [u8; PAYLOAD_BYTES] {
    let (kind, member) = match claims.identity {
        AdminIdentity::System => (KIND_SYSTEM, 0),
        AdminIdentity::Member(id) => (KIND_MEMBER, id),
    };
    let mut payload = [0; PAYLOAD_BYTES];
    payload[..8].copy_from_slice(&claims.issued_at_s.to_be_bytes());
    payload[8] = if claims.read_only { FLAG_READ_ONLY } else { 0 };
    payload[9] = kind;
    payload[10..].copy_from_slice(&u64::to_be_bytes(member));
    payload
}

/// Reads an authenticated payload. Flags and kinds that this version does not know are refused instead of ignored,
/// because ignoring a restriction would widen a key's rights.
fn decode_payload(payload: &[u8]) -> Result<AdminKeyClaims, AdminKeyError> {
    let number = |range: std::ops::Range<usize>| {
        u64::from_be_bytes(payload[range].try_into().expect("the range is eight bytes long"))
    };
    let identity = match (payload[9], number(10..18)) {
        (KIND_SYSTEM, 0) => AdminIdentity::System,
        (KIND_MEMBER, id) => AdminIdentity::Member(id),
        _ => return Err(AdminKeyError::UnknownVersion),
    };
    if payload[8] & !FLAG_READ_ONLY != 0 {
        return Err(AdminKeyError::UnknownVersion);
    }
    Ok(AdminKeyClaims { issued_at_s: number(0..8), identity, read_only: payload[8] == FLAG_READ_ONLY })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(name: &str, secret_byte: &str) -> AdminKeys {
        AdminKeys::new(name.parse().unwrap(), &secret_byte.repeat(32).parse().unwrap())
    }

    #[test]
    fn a_key_names_its_instance_and_is_otherwise_lower_case_hex() {
        let key = keys("freshet", "01").standing_key();
        let (name, opaque) = key.split_once('|').unwrap();
        assert_eq!(name, "freshet");
        assert_eq!(opaque.len(), 2 * KEY_BYTES);
        assert!(opaque.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
    }

    #[test]
    fn the_standing_key_is_the_same_each_time_and_grants_everything() {
        let keys = keys("freshet", "01");
        assert_eq!(keys.standing_key(), keys.standing_key());
        let claims = keys.verify(&keys.standing_key()).unwrap();
        assert_eq!(
            claims,
            AdminKeyClaims { issued_at_s: 0, identity: AdminIdentity::System, read_only: false }
        );
    }

    /// A key in somebody's `.env.local` has to stay valid across releases: changing the construction breaks them all.
    #[test]
    fn the_construction_does_not_change_between_releases() {
        assert_eq!(keys("freshet", "01").standing_key(), PINNED_KEY);
    }
    const PINNED_KEY: &str = "freshet|0190637bf99217e46cefef2405000000000000000000000000000000000000\
        db376bd90bbf54896996e57af38ea5f5965f6886f1cad0a122a06bd6062c18f9";

    #[test]
    fn a_key_of_another_instance_name_or_secret_is_refused() {
        let ours = keys("freshet", "01");
        assert_eq!(ours.verify(&keys("other", "01").standing_key()), Err(AdminKeyError::OtherInstance));
        assert_eq!(ours.verify(&keys("freshet", "02").standing_key()), Err(AdminKeyError::Forged));
        let relabelled = keys("other", "01").standing_key().replace("other|", "freshet|");
        assert_eq!(ours.verify(&relabelled), Err(AdminKeyError::Forged));
        let nameless = keys("other", "01").standing_key().replace("other|", "preview:team:project|");
        assert_eq!(ours.verify(&nameless), Err(AdminKeyError::Forged));
    }

    #[test]
    fn type_prefixes_are_dropped() {
        let keys = keys("freshet", "01");
        let key = keys.standing_key();
        let opaque = key.split_once('|').unwrap().1;
        for prefix in ["prod:freshet", "dev:freshet", "preview:team:project", "project:team:project"] {
            assert!(keys.verify(&format!("{prefix}|{opaque}")).is_ok(), "{prefix}");
        }
        assert_eq!(keys.verify(&format!("prod:other|{opaque}")), Err(AdminKeyError::OtherInstance));
    }

    #[test]
    fn texts_that_are_no_keys_are_refused() {
        let keys = keys("freshet", "01");
        let key = keys.standing_key();
        let upper = key.to_uppercase().replace("FRESHET", "freshet");
        for text in [
            "",
            "freshet",
            "freshet|",
            "freshet|00",
            "freshet|zz",
            &upper,
            &format!("{key}00"),
            &format!("{key} "),
        ] {
            assert_eq!(keys.verify(text), Err(AdminKeyError::Malformed), "{text:?}");
        }
        let newer = key.replace("freshet|01", "freshet|02");
        assert_eq!(keys.verify(&newer), Err(AdminKeyError::UnknownVersion));
    }

    #[test]
    fn the_acting_user_follows_the_first_colon_after_the_bar() {
        assert_eq!(split_acting_user("a|00"), ("a|00", None));
        assert_eq!(split_acting_user("a|00:eyJ9"), ("a|00", Some("eyJ9")));
        assert_eq!(split_acting_user("prod:a|00:eyJ9"), ("prod:a|00", Some("eyJ9")));
        assert_eq!(split_acting_user("prod:a|00"), ("prod:a|00", None));
        assert_eq!(split_acting_user("no bar: here"), ("no bar: here", None));
    }

    proptest! {
        #[test]
        fn issued_claims_come_back(issued_at_s: u64, member: Option<u64>, read_only: bool) {
            let identity = member.map_or(AdminIdentity::System, AdminIdentity::Member);
            let claims = AdminKeyClaims { issued_at_s, identity, read_only };
            let keys = keys("freshet", "01");
            prop_assert_eq!(keys.verify(&keys.issue(&claims)), Ok(claims));
        }

        #[test]
        fn a_key_with_any_bit_flipped_is_refused(bit in 0..KEY_BYTES * 8) {
            let keys = keys("freshet", "01");
            let key = keys.standing_key();
            let mut bytes = hex::decode(key.split_once('|').unwrap().1).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let forged = format!("freshet|{}", hex::encode(bytes));
            prop_assert!(keys.verify(&forged).is_err());
        }
    }
}
