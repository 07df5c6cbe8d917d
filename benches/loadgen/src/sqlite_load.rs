//! The same transfers on a bare SQLite file: what the disk and the database allow when nothing else is in the way.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use rusqlite::{Connection, params};

use crate::choice::Transfers;
use crate::load::{Time, Window};
use crate::outcome::{Outcome, Tally};
use crate::processor::Usage;

const BALANCE: i64 = 1_000_000;

/// Runs transfers for the time; `group` of them share a commit.
///
/// # Errors
/// When SQLite fails.
pub(crate) fn run(directory: Option<&Path>, transfers: Transfers, group: u32, time: Time) -> Result<Outcome> {
    let folder = match directory {
        Some(directory) => tempfile::tempdir_in(directory),
        None => tempfile::tempdir(),
    }
    .context("cannot make a folder for the file")?;
    let mut bank = Bank::open(&folder.path().join("bank.sqlite3"), transfers.accounts())?;
    let outcome = bank.load(transfers, group, time)?;
    bank.check()?;
    Ok(outcome)
}

struct Bank {
    connection: Connection,
    accounts: i64,
}

impl Bank {
    fn open(path: &Path, accounts: usize) -> Result<Self> {
        let accounts = i64::try_from(accounts)?;
        let connection = Connection::open(path)?;
        // As careful as the server: a commit that returned survives a power cut.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection
            .execute_batch("CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL)")?;
        connection.execute(
            "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?1) \
             INSERT INTO accounts SELECT n, ?2 FROM number",
            params![accounts, BALANCE],
        )?;
        Ok(Self { connection, accounts })
    }

    fn load(&mut self, mut transfers: Transfers, group: u32, time: Time) -> Result<Outcome> {
        let window = Window::begin(time);
        let mut tally = Tally::default();
        let mut before = Usage::of_this_process();
        let mut warm = false;
        while Instant::now() < window.end {
            if !warm && Instant::now() >= window.start {
                before = Usage::of_this_process();
                warm = true;
            }
            let start = Instant::now();
            let transaction = self.connection.transaction()?;
            {
                let mut read = transaction.prepare_cached("SELECT balance FROM accounts WHERE id = ?1")?;
                let mut write =
                    transaction.prepare_cached("UPDATE accounts SET balance = ?2 WHERE id = ?1")?;
                for _ in 0..group {
                    let transfer = transfers.next();
                    let (from, to): (i64, i64) = (transfer.from.parse()?, transfer.to.parse()?);
                    let amount = i64::from(transfer.amount);
                    let held: i64 = read.query_row([from], |row| row.get(0))?;
                    let receiver: i64 = read.query_row([to], |row| row.get(0))?;
                    if held < amount {
                        tally.refused += 1;
                        continue;
                    }
                    write.execute([from, held - amount])?;
                    write.execute([to, receiver + amount])?;
                }
            }
            transaction.commit()?;
            for _ in 0..group {
                tally.answered(&window, start);
            }
        }
        let after = Usage::of_this_process();
        let mut outcome = Outcome::new(tally, time.measured, &before, &after);
        outcome.server_cpu_us = Some(outcome.generator_cpu_us);
        outcome.balanced = Some(self.check().is_ok());
        Ok(outcome)
    }

    fn check(&self) -> Result<()> {
        let total: i64 =
            self.connection.query_row("SELECT sum(balance) FROM accounts", [], |row| row.get(0))?;
        ensure!(total == BALANCE * self.accounts, "the balances add up to {total}");
        Ok(())
    }
}
