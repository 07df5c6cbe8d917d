//! Writing families of samples: the library's encoder with what this server needs of it.

use std::fmt;

use freshet_meter::Distribution;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;

/// Ends of the buckets of times, in microseconds: 64 us to 17 minutes, each four times the one before. Powers of two,
/// where the counted buckets end.
const TIME_ENDS_US: [u64; 13] = [
    1 << 6,
    1 << 8,
    1 << 10,
    1 << 12,
    1 << 14,
    1 << 16,
    1 << 18,
    1 << 20,
    1 << 22,
    1 << 24,
    1 << 26,
    1 << 28,
    1 << 30,
];
/// Ends of the buckets of numbers of things.
const COUNT_ENDS: [u64; 13] = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192];

/// Where families are written to.
pub(super) struct Families<'a> {
    encoder: DescriptorEncoder<'a>,
}

impl<'a> Families<'a> {
    pub(super) fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self { encoder }
    }

    /// A number that only grows; `_total` is added to its name.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.counters(name, help, [([], value)])
    }

    /// As [`Families::counter`], with labels.
    pub(super) fn counters<'s, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = ([(&'s str, &'s str); N], u64)>,
    ) -> fmt::Result {
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in samples {
            labeled(&mut metric, &labels, |sample| {
                sample.encode_counter(&value, None::<&Exemplar<NoLabelSet, u64>>)
            })?;
        }
        Ok(())
    }

    /// As [`Families::counters`], of microseconds that are shown in seconds.
    pub(super) fn seconds<'s, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = ([(&'s str, &'s str); N], u64)>,
    ) -> fmt::Result {
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, us) in samples {
            labeled(&mut metric, &labels, |sample| {
                sample.encode_counter(&(us as f64 / 1e6), None::<&Exemplar<NoLabelSet, f64>>)
            })?;
        }
        Ok(())
    }

    /// A number that goes up and down.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.gauges(name, help, [([], value)])
    }

    /// As [`Families::gauge`], with labels.
    pub(super) fn gauges<'s, V: EncodeGaugeValue, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = ([(&'s str, &'s str); N], V)>,
    ) -> fmt::Result {
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            labeled(&mut metric, &labels, |sample| sample.encode_gauge(&value))?;
        }
        Ok(())
    }

    /// Durations in microseconds, shown in seconds.
    pub(super) fn times<'s, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = ([(&'s str, &'s str); N], &'s Distribution)>,
    ) -> fmt::Result {
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, us) in samples {
            let buckets = buckets(us, &TIME_ENDS_US, 1e6);
            labeled(&mut metric, &labels, |sample| {
                sample.encode_histogram::<NoLabelSet>(us.sum() as f64 / 1e6, us.count(), &buckets, None)
            })?;
        }
        Ok(())
    }

    /// Numbers of things.
    pub(super) fn sizes(&mut self, name: &str, help: &str, sizes: &Distribution) -> fmt::Result {
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        // Whole numbers below an end are those up to the number before.
        let mut buckets = buckets(sizes, &COUNT_ENDS, 1.0);
        let last = buckets.len() - 1;
        buckets[..last].iter_mut().for_each(|(end, _)| *end -= 1.0);
        metric.encode_histogram::<NoLabelSet>(sizes.sum() as f64, sizes.count(), &buckets, None)
    }
}

/// Writes a sample with its labels, if it has any.
fn labeled<const N: usize>(
    metric: &mut MetricEncoder<'_>,
    labels: &[(&str, &str); N],
    write: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    if N == 0 { write(metric) } else { write(&mut metric.encode_family(labels)?) }
}

/// What is between one end and the next, as the encoder wants it; the last bucket has no end.
fn buckets(distribution: &Distribution, ends: &[u64], unit: f64) -> Vec<(f64, u64)> {
    let mut buckets = Vec::with_capacity(ends.len() + 1);
    let mut before = 0;
    for end in ends {
        let below = distribution.below(*end);
        buckets.push((*end as f64 / unit, below - before));
        before = below;
    }
    buckets.push((f64::MAX, distribution.count() - before));
    buckets
}
