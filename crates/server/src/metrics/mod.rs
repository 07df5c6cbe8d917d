//! The metrics page: everything worth watching, in the text format of OpenMetrics, which Prometheus and all that speak to
//! it read.
//!
//! Numbers are collected when somebody asks. What is counted meanwhile is counted where it happens, without names. Every
//! name is explained in `docs/metrics.md`; a test compares.

mod database;
mod edge;
mod families;
mod functions;
mod meters;
mod process;
mod work;

use std::fmt;
use std::sync::Arc;

use freshet_database::DatabaseStatistics;
use freshet_functions::FunctionsStatistics;
use freshet_functions::metrics::FunctionTotals;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;

use crate::state::State;
use families::Families;
pub(crate) use meters::EdgeMeters;

/// The media type of [`page`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The whole page. Reads some files of the system; some milliseconds with thousands of functions.
///
/// # Errors
/// None in practice: writing to memory does not fail.
pub(crate) fn page(state: Arc<State>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape {
        database: state.services.database.statistics(),
        work: state.services.functions.statistics(),
        functions: state.services.functions.metrics().totals(),
        state,
    }));
    let mut page = String::new();
    text::encode(&mut page, &registry)?;
    Ok(page)
}

/// What one page is made of.
struct Scrape {
    state: Arc<State>,
    database: DatabaseStatistics,
    work: FunctionsStatistics,
    functions: Vec<FunctionTotals>,
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrape").finish_non_exhaustive()
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families::new(encoder);
        process::write(&mut families, &self.work.hosts)?;
        functions::write(&mut families, &self.functions)?;
        work::write(&mut families, &self.work)?;
        database::write(&mut families, &self.database)?;
        edge::write(&mut families, &self.state)
    }
}
