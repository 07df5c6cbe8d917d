//! Name and secret of an instance: taken from the configuration, else from the data directory, else made.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::durable_file::{create_private_dir, write_private};
use crate::{AdminKeys, DataDirectory, InstanceName, InstanceNameError, InstanceSecret, SecretError};

/// What the operator has set (`INSTANCE_NAME`, `INSTANCE_SECRET`). It wins over the data directory and is never
/// written there: who keeps secrets in a vault does not want a copy on the disk.
#[derive(Clone, Debug, Default)]
pub struct ConfiguredCredentials {
    /// `INSTANCE_NAME`, when set.
    pub name: Option<InstanceName>,
    /// `INSTANCE_SECRET`, when set.
    pub secret: Option<InstanceSecret>,
}

/// Who an instance is.
#[derive(Clone, Debug)]
pub struct Instance {
    /// The readable half of its admin keys.
    pub name: InstanceName,
    /// The secret that all its keys are derived from.
    pub secret: InstanceSecret,
}

/// Why name or secret of an instance could not be had.
#[derive(Debug, Error)]
pub enum CredentialsError {
    /// A file could not be read or written.
    #[error("cannot access {path}: {source}", path = .path.display())]
    File {
        /// The file or folder in question.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The stored or configured name is not a name.
    #[error("{origin}: {source}")]
    Name {
        /// The file or variable that holds it.
        origin: String,
        /// What is wrong with it.
        source: InstanceNameError,
    },
    /// The stored or configured secret is not a secret, or none could be made.
    #[error("{origin}: {source}")]
    Secret {
        /// The file or variable that holds it.
        origin: String,
        /// What is wrong with it.
        source: SecretError,
    },
}

impl ConfiguredCredentials {
    /// Reads `INSTANCE_NAME` and `INSTANCE_SECRET` through `variable`; empty counts as unset, as compose files
    /// pass unset variables on as empty ones.
    ///
    /// # Errors
    /// [`CredentialsError::Name`] or [`CredentialsError::Secret`], naming the variable.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, CredentialsError> {
        let set = |key: &str| variable(key).filter(|value| !value.is_empty());
        let name = set("INSTANCE_NAME").map(|text| parse_name(&text, "INSTANCE_NAME")).transpose()?;
        let secret = set("INSTANCE_SECRET").map(|text| parse_secret(&text, "INSTANCE_SECRET")).transpose()?;
        Ok(Self { name, secret })
    }
}

impl Instance {
    /// The instance of a data directory. What is neither configured nor stored is made and stored, durably, so
    /// that the same directory is the same instance from then on. Safe against a second process doing the same.
    ///
    /// # Errors
    /// [`CredentialsError`]; a stored secret that is damaged is reported, never replaced, because replacing it
    /// would silently invalidate every key in use.
    pub fn open_or_create(
        directory: &DataDirectory,
        configured: ConfiguredCredentials,
    ) -> Result<Self, CredentialsError> {
        if let ConfiguredCredentials { name: Some(name), secret: Some(secret) } = configured {
            return Ok(Self { name, secret });
        }
        let folder = directory.credentials_folder();
        create_private_dir(&folder).map_err(file_error(&folder))?;
        let guard_path = folder.join("lock");
        let guard = File::create(&guard_path).map_err(file_error(&guard_path))?;
        guard.lock().map_err(file_error(&guard_path))?;

        let name = match configured.name {
            Some(name) => name,
            None => stored_or_made(&folder.join("instance_name"), parse_name, || {
                Ok((InstanceName::default(), InstanceName::default().to_string()))
            })?,
        };
        let secret_path = folder.join("instance_secret");
        let secret = match configured.secret {
            Some(secret) => secret,
            None => stored_or_made(&secret_path, parse_secret, || {
                let secret = InstanceSecret::generate().map_err(|source| CredentialsError::Secret {
                    origin: secret_path.display().to_string(),
                    source,
                })?;
                let text = secret.to_hex();
                Ok((secret, text))
            })?,
        };
        Ok(Self { name, secret })
    }

    /// The issuer and verifier of this instance's admin keys.
    pub fn admin_keys(&self) -> AdminKeys {
        AdminKeys::new(self.name.clone(), &self.secret)
    }
}

/// The value in the file, or a new one written to it. The caller holds the credentials lock.
fn stored_or_made<T>(
    path: &Path,
    parse: impl Fn(&str, &str) -> Result<T, CredentialsError>,
    make: impl FnOnce() -> Result<(T, String), CredentialsError>,
) -> Result<T, CredentialsError> {
    match fs::read_to_string(path) {
        Ok(text) => parse(text.trim(), &path.display().to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (value, text) = make()?;
            write_private(path, &format!("{text}\n")).map_err(file_error(path))?;
            Ok(value)
        }
        Err(source) => Err(CredentialsError::File { path: path.to_owned(), source }),
    }
}

fn parse_name(text: &str, origin: &str) -> Result<InstanceName, CredentialsError> {
    text.parse().map_err(|source| CredentialsError::Name { origin: origin.to_owned(), source })
}

fn parse_secret(text: &str, origin: &str) -> Result<InstanceSecret, CredentialsError> {
    text.parse().map_err(|source| CredentialsError::Secret { origin: origin.to_owned(), source })
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> CredentialsError {
    let path = path.to_owned();
    move |source| CredentialsError::File { path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn data() -> (tempfile::TempDir, DataDirectory) {
        let folder = tempfile::tempdir().unwrap();
        let directory = DataDirectory::open_or_create(&folder.path().join("data")).unwrap();
        (folder, directory)
    }

    fn open(directory: &DataDirectory) -> Instance {
        Instance::open_or_create(directory, ConfiguredCredentials::default()).unwrap()
    }

    #[test]
    fn the_same_directory_is_the_same_instance() {
        let (_folder, directory) = data();
        let (first, second) = (open(&directory), open(&directory));
        assert_eq!(first.name, second.name);
        assert_eq!(first.admin_keys().standing_key(), second.admin_keys().standing_key());
        let (_other_folder, other) = data();
        assert_ne!(first.secret, open(&other).secret);
    }

    #[test]
    fn credentials_are_readable_by_their_owner_only() {
        let (_folder, directory) = data();
        open(&directory);
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let folder = directory.credentials_folder();
        assert_eq!(mode(folder.join("instance_secret")), 0o600);
        assert_eq!(mode(folder.join("instance_name")), 0o600);
        assert_eq!(mode(folder), 0o700);
    }

    #[test]
    fn a_configured_secret_wins_and_is_not_written_to_disk() {
        let (_folder, directory) = data();
        let variables = |key: &str| match key {
            "INSTANCE_SECRET" => Some("ab".repeat(32)),
            _ => Some(String::new()),
        };
        let configured = ConfiguredCredentials::from_variables(variables).unwrap();
        let instance = Instance::open_or_create(&directory, configured).unwrap();
        assert_eq!(instance.secret.to_hex(), "ab".repeat(32));
        assert_eq!(instance.name, InstanceName::default());
        assert!(!directory.credentials_folder().join("instance_secret").exists());
    }

    #[test]
    fn a_damaged_secret_is_reported_and_not_replaced() {
        let (_folder, directory) = data();
        open(&directory);
        let path = directory.credentials_folder().join("instance_secret");
        fs::write(&path, "truncat").unwrap();
        let error = Instance::open_or_create(&directory, ConfiguredCredentials::default()).unwrap_err();
        assert!(error.to_string().contains("instance_secret"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "truncat");
    }

    #[test]
    fn a_bad_variable_is_named() {
        let error =
            ConfiguredCredentials::from_variables(|key| (key == "INSTANCE_NAME").then(|| "a b".to_owned()))
                .unwrap_err();
        assert!(error.to_string().starts_with("INSTANCE_NAME: "), "{error}");
    }

    #[test]
    fn first_starts_at_the_same_moment_agree_on_one_secret() {
        let (_folder, directory) = data();
        let secrets: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| open(&directory).secret.to_hex())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(secrets.iter().all(|secret| secret == &secrets[0]));
    }
}
