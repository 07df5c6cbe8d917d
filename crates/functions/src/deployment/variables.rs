//! Changing environment variables, together with what depends on them.

use std::collections::BTreeMap;
use std::sync::Arc;

use freshet_database::{DatabaseError, Transaction};

use super::app_definition::{self, DeclaredVariable};
use super::error::PushError;
use super::module_set::AUTH_CONFIG;
use super::package::LiveConfig;
use super::{Deployment, auth_providers, package, transact};
use crate::environment::{self, ListVariablesResponse, UpdateVariablesRequest, VariableChange};
use crate::host::Module;

/// Runs of a change that meets pushes or other changes on its way.
const ATTEMPTS_MAX: usize = 5;

/// What the names of the server's own variables begin with.
const BUILT_IN_PREFIX: &str = "CONVEX_";

/// What a change depends on.
#[derive(Clone, PartialEq)]
struct Basis {
    variables: BTreeMap<String, String>,
    live_version: u64,
}

impl Deployment {
    /// Applies all changes or none. Authentication is configured anew with the new values.
    ///
    /// # Errors
    /// The first rule that is broken (400), or a failure of the server.
    pub async fn update_environment_variables(
        &self,
        request: UpdateVariablesRequest,
    ) -> Result<(), PushError> {
        for _ in 0..ATTEMPTS_MAX {
            if self.try_update(&request.changes).await? {
                return Ok(());
            }
        }
        Err(PushError::overloaded("Other changes to the deployment keep getting in the way. Try again."))
    }

    /// Configures authentication anew if it may depend on the server's own origins, which may have changed since the app was
    /// deployed: `CONVEX_SITE_URL` is the issuer of apps that sign their users' tokens themselves.
    ///
    /// # Errors
    /// When the configuration is not valid any more, or the server fails.
    pub async fn reconfigure_authentication(&self) -> Result<(), PushError> {
        let may_depend = transact::read(&self.inner.database, |transaction| {
            let Some(live) = package::live(transaction)? else { return Ok(false) };
            let module = live_auth_config(transaction, &live)?;
            Ok(module.is_some_and(|module| module.source.contains(BUILT_IN_PREFIX)))
        })
        .await?;
        let no_changes = UpdateVariablesRequest { changes: Vec::new() };
        if may_depend { self.update_environment_variables(no_changes).await } else { Ok(()) }
    }

    /// All variables but the built-in ones.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn list_environment_variables(&self) -> Result<ListVariablesResponse, PushError> {
        let environment_variables =
            transact::read(&self.inner.database, |transaction| Ok(environment::values(transaction)?)).await?;
        Ok(ListVariablesResponse { environment_variables })
    }

    /// `false` when something changed while the configuration of authentication was evaluated.
    async fn try_update(&self, changes: &[VariableChange]) -> Result<bool, PushError> {
        let (basis, declared, auth_config) = transact::read(&self.inner.database, |transaction| {
            let variables = environment::values(transaction)?;
            let Some(live) = package::live(transaction)? else {
                return Ok((Basis { variables, live_version: 0 }, Vec::new(), None));
            };
            let declared = match package::get(transaction, live.package)? {
                Some(package) => app_definition::parse(&package.info.definition)?.variables,
                None => Vec::new(),
            };
            let auth_config = live_auth_config(transaction, &live)?;
            Ok((Basis { variables, live_version: live.version }, declared, auth_config))
        })
        .await?;
        let next = environment::checked(&basis.variables, changes)?;
        check_declared(&declared, &basis.variables, &next)?;
        let providers = match &auth_config {
            Some(module) => Some(self.auth_config_with(module, &next).await?),
            None => None,
        };
        let changes = changes.to_vec();
        transact::write(&self.inner.database, move |transaction| {
            let now = Basis {
                variables: environment::values(transaction)?,
                live_version: package::live(transaction)?.map_or(0, |live| live.version),
            };
            if now != basis {
                return Ok(false);
            }
            environment::write(transaction, &changes)?;
            if let Some(providers) = &providers {
                auth_providers::replace(transaction, providers)?;
            }
            Ok(true)
        })
        .await
    }

    async fn auth_config_with(
        &self,
        module: &Arc<Module>,
        variables: &BTreeMap<String, String>,
    ) -> Result<Vec<serde_json::Value>, PushError> {
        self.evaluator(variables).auth_config(module).await.map_err(|error| PushError {
            message: format!("This change would make the auth config invalid: {}", error.message),
            ..error
        })
    }
}

/// The module that configures the live app's authentication.
fn live_auth_config(
    transaction: &mut Transaction,
    live: &LiveConfig,
) -> Result<Option<Arc<Module>>, DatabaseError> {
    let mut modules = package::modules(transaction, live.package)?;
    modules.retain(|module| module.path == AUTH_CONFIG);
    Ok(package::sources(transaction, &modules)?.remove(AUTH_CONFIG).map(|module| module.module))
}

/// What the live app declares must stay true.
fn check_declared(
    declared: &[DeclaredVariable],
    current: &BTreeMap<String, String>,
    next: &BTreeMap<String, String>,
) -> Result<(), PushError> {
    let removed = declared.iter().find(|variable| {
        !variable.optional && current.contains_key(&variable.name) && !next.contains_key(&variable.name)
    });
    if let Some(variable) = removed {
        return Err(PushError::bad_request(
            "RequiredEnvironmentVariable",
            format!(
                "The environment variable {} is required by the deployed app and cannot be removed.",
                variable.name
            ),
        ));
    }
    let changed: Vec<DeclaredVariable> = declared
        .iter()
        .filter(|variable| {
            next.get(&variable.name).is_some_and(|value| current.get(&variable.name) != Some(value))
        })
        .cloned()
        .collect();
    app_definition::check_variables(&changed, next)
}
