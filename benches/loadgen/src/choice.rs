//! Which accounts a transfer is between: Zipf's law over a shuffled table, and amounts.

use std::sync::Arc;

use anyhow::Result;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

/// The same for all runs, so that peers have the same hot accounts.
const SEED: u64 = 0x0066_7265_7368_6574;
/// Largest amount of one transfer.
pub(crate) const AMOUNT_MAX: u32 = 10;

/// One transfer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transfer<'a> {
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    pub(crate) amount: u32,
}

/// An endless stream of transfers. Clones share the tables and go on differently.
#[derive(Debug)]
pub(crate) struct Transfers {
    /// Names of the accounts by rank; shuffled, so that the hot ones are not neighbours in the database.
    names: Arc<[String]>,
    ranks: Arc<Zipf>,
    random: StdRng,
    clones: u64,
}

impl Transfers {
    /// Between these accounts (at least two), by Zipf's law with this exponent.
    pub(crate) fn new(mut names: Vec<String>, alpha: f64) -> Self {
        let mut random = StdRng::seed_from_u64(SEED);
        names.shuffle(&mut random);
        let ranks = Arc::new(Zipf::new(names.len(), alpha));
        Self { names: names.into(), ranks, random, clones: 0 }
    }

    /// A stream of its own for one more connection.
    pub(crate) fn fork(&mut self) -> Self {
        self.clones += 1;
        Self {
            names: Arc::clone(&self.names),
            ranks: Arc::clone(&self.ranks),
            random: StdRng::seed_from_u64(SEED + self.clones),
            clones: 0,
        }
    }

    /// How many accounts there are.
    pub(crate) fn accounts(&self) -> usize {
        self.names.len()
    }

    /// The next transfer; its accounts differ.
    pub(crate) fn next(&mut self) -> Transfer<'_> {
        let from = self.ranks.sample(&mut self.random);
        let to = loop {
            let to = self.ranks.sample(&mut self.random);
            if to != from {
                break to;
            }
        };
        let amount = self.random.random_range(1..=AMOUNT_MAX);
        Transfer { from: &self.names[from], to: &self.names[to], amount }
    }
}

/// Ranks from 0, each with a probability in proportion to `1 / (rank + 1)^alpha`, in constant time (Walker 1977, in the
/// form of Vose 1991).
#[derive(Debug)]
struct Zipf {
    /// For each column, the probability of its own rank, and the rank that fills the rest of the column.
    columns: Vec<(f64, u32)>,
}

impl Zipf {
    fn new(ranks: usize, alpha: f64) -> Self {
        let weights: Vec<f64> = (1..=ranks).map(|rank| (rank as f64).powf(-alpha)).collect();
        let mean = weights.iter().sum::<f64>() / ranks as f64;
        let mut shares: Vec<f64> = weights.iter().map(|weight| weight / mean).collect();
        let mut columns: Vec<(f64, u32)> = (0..ranks).map(|rank| (1.0, rank as u32)).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..ranks).partition(|&rank| shares[rank] < 1.0);
        while let (Some(poor), Some(&rich)) = (small.pop(), large.last()) {
            columns[poor] = (shares[poor], rich as u32);
            shares[rich] -= 1.0 - shares[poor];
            if shares[rich] < 1.0 {
                large.pop();
                small.push(rich);
            }
        }
        Self { columns }
    }

    fn sample(&self, random: &mut impl Rng) -> usize {
        let column = random.random_range(0..self.columns.len());
        let (own, other) = self.columns[column];
        if random.random::<f64>() < own { column } else { other as usize }
    }
}

/// Bodies of requests are written by hand, so names of accounts must not need escapes.
///
/// # Errors
/// When one does.
pub(crate) fn check_plain(names: &[String]) -> Result<()> {
    let plain = |name: &String| name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    anyhow::ensure!(names.iter().all(plain), "the server has accounts with odd ids");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_as_frequent_as_the_law_says() {
        let zipf = Zipf::new(1000, 1.5);
        let mut random = StdRng::seed_from_u64(1);
        let samples = 1_000_000;
        let mut counts = vec![0_u32; 1000];
        for _ in 0..samples {
            counts[zipf.sample(&mut random)] += 1;
        }
        let sum: f64 = (1..=1000).map(|rank| f64::from(rank).powf(-1.5)).sum();
        for rank in [1_usize, 2, 5, 50] {
            let expected = f64::from(samples) * (rank as f64).powf(-1.5) / sum;
            let found = f64::from(counts[rank - 1]);
            assert!((found - expected).abs() < 5.0 * expected.sqrt(), "rank {rank}: {found}, not {expected}");
        }
    }

    #[test]
    fn with_the_exponent_0_all_ranks_are_alike() {
        assert!(Zipf::new(10, 0.0).columns.iter().all(|(own, _)| (own - 1.0).abs() < 1e-9));
    }

    #[test]
    fn accounts_differ_and_forks_go_on_differently() {
        let mut transfers = Transfers::new(vec!["a".into(), "b".into(), "c".into()], 1.5);
        let (mut one, mut two) = (transfers.fork(), transfers.fork());
        let mut same = true;
        for _ in 0..100 {
            let (left, right) = (one.next(), two.next());
            assert_ne!(left.from, left.to);
            assert!((1..=AMOUNT_MAX).contains(&left.amount));
            same &= left.from == right.from && left.to == right.to;
        }
        assert!(!same);
    }
}
