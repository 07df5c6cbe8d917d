//! Queries that are not deployed: an admin hands in a module, and its default export runs once, next to the live modules.
//!
//! Nothing of it is stored or kept. It gets a context of its own, like all code of which nothing is known.

use std::collections::BTreeMap;
use std::sync::Arc;

use freshet_values::validator::Validator;
use freshet_values::{FunctionPath, FunctionPathError};
use rand::RngCore;

use crate::call::{FunctionCall, QueryOptions, QueryOutcome};
use crate::call_error::CallError;
use crate::code::{AnalysedFunction, ContextMode, FunctionKind, LiveCode, ModuleAnalysis, Visibility};
use crate::functions::Functions;
use crate::host::{CodePackage, Environment, Module};
use crate::lane_call::LaneCall;

/// Longest source text, in bytes.
const SOURCE_BYTES_MAX: usize = 1 << 20;

/// A module whose default export is a query to run once.
#[derive(Clone, Debug)]
pub struct OneOffModule {
    module: Arc<Module>,
    function: FunctionPath,
    /// Of the package that it makes with the live modules; no other has it.
    version: u64,
}

/// A module that cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum OneOffError {
    /// Its name is none that a module can have.
    #[error("the name of the module: {0}")]
    Path(#[from] FunctionPathError),
    /// Its text is too long.
    #[error("the module has {0} bytes; at most {SOURCE_BYTES_MAX} are allowed")]
    TooLong(usize),
}

impl OneOffModule {
    /// A module by its path and ECMAScript source text.
    ///
    /// # Errors
    /// When the path is none of a module, or the text is too long.
    pub fn new(path: &str, source: &str) -> Result<Self, OneOffError> {
        let function = FunctionPath::new(path, "default")?;
        if source.len() > SOURCE_BYTES_MAX {
            return Err(OneOffError::TooLong(source.len()));
        }
        let module = Module {
            path: function.module().to_owned(),
            source: Arc::from(source),
            source_map: None,
            environment: Environment::Isolate,
        };
        // Below the range of deployed packages' versions would do as well; random like theirs is enough.
        let version = (rand::rng().next_u64() >> 1).max(1);
        Ok(Self { module: Arc::new(module), function, version })
    }

    /// The query that it exports.
    #[must_use]
    pub fn function(&self) -> &FunctionPath {
        &self.function
    }

    /// The live code with this module in it.
    pub(crate) fn among(&self, live: &LiveCode) -> Arc<LiveCode> {
        let mut code = live.clone();
        let mut modules: BTreeMap<String, Arc<Module>> = code.package.modules.clone();
        modules.insert(self.module.path.clone(), self.module.clone());
        code.package =
            Arc::new(CodePackage { version: self.version, modules, ..CodePackage::clone(&live.package) });
        code.modules.insert(
            self.module.path.clone(),
            ModuleAnalysis { environment: Environment::Isolate, context: ContextMode::Fresh },
        );
        code.functions.insert(
            self.function.clone(),
            AnalysedFunction {
                kind: FunctionKind::Query,
                visibility: Some(Visibility::Public),
                args: Arc::new(Validator::Any),
                returns: None,
                position: None,
            },
        );
        Arc::new(code)
    }
}

impl Functions {
    /// Runs the query that a module exports by default. `call.path` must be [`OneOffModule::function`].
    ///
    /// # Errors
    /// As [`Functions::query`].
    pub async fn one_off_query(
        &self,
        call: FunctionCall,
        module: OneOffModule,
    ) -> Result<QueryOutcome, CallError> {
        self.lane_query(LaneCall::one_off(call, QueryOptions::default(), module)).await
    }
}
