//! The accounts of the app in `benches/apps/transfer`: made, listed and added up through its public functions.

use anyhow::{Context, Result, ensure};
use serde_json::{Value as Json, json};

use crate::choice::check_plain;
use crate::http::Endpoint;
use crate::outcome::Retries;

/// Accounts of one call, far below the limits of a transaction.
const PAGE: usize = 4000;
/// So much that no transfer of a benchmark is turned down.
const BALANCE: u32 = 1_000_000;

/// The accounts that transfers are between.
#[derive(Debug)]
pub(crate) struct Accounts {
    ids: Vec<String>,
    /// What all balances add up to.
    total: f64,
}

impl Accounts {
    /// Makes as many accounts as are missing.
    ///
    /// # Errors
    /// When the app is not there, or does not answer as it should.
    pub(crate) async fn prepare(endpoint: &Endpoint, wanted: u32) -> Result<Self> {
        let wanted = wanted as usize;
        let mut table = Self::list(endpoint).await.context("is the app of benches/apps/transfer pushed?")?;
        if table.ids.len() < wanted {
            let mut first = table.ids.len();
            while first < wanted {
                let count = PAGE.min(wanted - first);
                let args = json!({ "first": first, "count": count, "balance": BALANCE });
                endpoint.call("mutation", "accounts:seed", &args).await?;
                first += count;
            }
            table = Self::list(endpoint).await?;
        }
        ensure!(
            table.ids.len() >= wanted,
            "the server has {} accounts after {wanted} were made",
            table.ids.len()
        );
        Ok(Self { ids: table.ids.into_iter().take(wanted).collect(), total: table.total })
    }

    /// Their ids.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.ids.clone()
    }

    /// Whether all accounts together hold what they held at first.
    ///
    /// # Errors
    /// When the app does not answer as it should.
    pub(crate) async fn is_balanced(&self, endpoint: &Endpoint) -> Result<bool> {
        // Integers, exact in a double.
        Ok(Self::list(endpoint).await?.total.to_bits() == self.total.to_bits())
    }

    async fn list(endpoint: &Endpoint) -> Result<Self> {
        let (mut ids, mut total, mut cursor) = (Vec::new(), 0.0, Json::Null);
        loop {
            let args = json!({ "cursor": cursor, "count": PAGE });
            let mut page = endpoint.call("query", "accounts:page", &args).await?;
            let found: Vec<String> = serde_json::from_value(page["ids"].take()).context("accounts:page")?;
            check_plain(&found)?;
            ids.extend(found);
            total += page["total"].as_f64().context("accounts:page gives no total")?;
            if page["isDone"] == true {
                return Ok(Self { ids, total });
            }
            cursor = page["cursor"].take();
        }
    }
}

/// How often the transfers in the server's log of recent executions had to start over. None if it holds none.
///
/// # Errors
/// When the server does not show its log.
pub(crate) async fn recent_retries(endpoint: &Endpoint, admin_key: &str) -> Result<Option<Retries>> {
    let page = endpoint.get_as_admin("/api/stream_udf_execution?cursor=0", admin_key).await?;
    let entries = page["entries"].as_array().context("the log has no entries")?;
    let transfers: Vec<&Json> =
        entries.iter().filter(|entry| entry["identifier"] == "accounts:transfer").collect();
    let retries = transfers.iter().filter_map(|entry| entry["occInfo"]["retryCount"].as_u64()).sum();
    Ok((!transfers.is_empty()).then_some(Retries { calls: transfers.len() as u64, retries }))
}
