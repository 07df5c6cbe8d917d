//! [`Format`]: the names of the three JSON forms.

use std::str::FromStr;

/// How a value is written as JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// `convex_encoded_json`: exact and self-describing; int64, special floats and bytes are tagged objects. The
    /// only form that is decoded.
    #[default]
    Encoded,
    /// `json`: for people and plain HTTP clients; int64 and special floats are strings, bytes base64 strings.
    Clean,
    /// `export_json`: int64 are bare integers, floats always have a fraction or exponent.
    Export,
}

/// A format's name that nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Unknown format '{0}': expected convex_encoded_json, json or export_json")]
pub struct UnknownFormat(pub String);

impl UnknownFormat {
    /// The error's code on the wire.
    pub const CODE: &'static str = "BadFormat";
}

impl Format {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Format::Encoded => "convex_encoded_json",
            Format::Clean => "json",
            Format::Export => "export_json",
        }
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Format, UnknownFormat> {
        match name {
            "convex_encoded_json" | "convex_json" => Ok(Format::Encoded),
            "json" | "convex_clean_json" => Ok(Format::Clean),
            "export_json" => Ok(Format::Export),
            _ => Err(UnknownFormat(name.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_have_names_and_aliases() {
        for format in [Format::Encoded, Format::Clean, Format::Export] {
            assert_eq!(format.name().parse(), Ok(format));
        }
        assert_eq!("convex_json".parse(), Ok(Format::Encoded));
        assert_eq!("convex_clean_json".parse(), Ok(Format::Clean));
        assert_eq!("xml".parse::<Format>(), Err(UnknownFormat("xml".to_owned())));
    }
}
