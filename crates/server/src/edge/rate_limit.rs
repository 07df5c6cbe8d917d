//! Requests per second of one client address. Off unless the operator sets it; admins are exempt.
//!
//! The bookkeeping is a library's (GCRA, one number for each address); here is whom it counts and what bounds it.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

use axum::http::StatusCode;
use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::error::ApiError;

/// Addresses that are remembered. Beyond that, all new ones share one allowance.
const ADDRESSES_MAX: usize = 65_536;
/// A client may be ahead of its rate by so many seconds' worth: a page loads many things at once.
const BURST_SECONDS: u32 = 4;

/// The limit of one server.
pub(crate) struct RateLimit {
    limiter: RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock>,
    per_second: NonZeroU32,
}

impl RateLimit {
    pub(crate) fn new(per_second: NonZeroU32) -> Self {
        let quota = Quota::per_second(per_second)
            .allow_burst(per_second.saturating_mul(NonZeroU32::new(BURST_SECONDS).expect("it is not zero")));
        Self { limiter: RateLimiter::hashmap(quota), per_second }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// 429 `TooManyRequests`, which says when to come back.
    pub(crate) fn count(&self, address: IpAddr) -> Result<(), ApiError> {
        if self.limiter.len() >= ADDRESSES_MAX {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        let key = if self.limiter.len() >= ADDRESSES_MAX {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        } else {
            subscriber(address)
        };
        self.limiter.check_key(&key).map_err(|until| {
            let wait = until.wait_time_from(self.limiter.clock().now());
            ApiError::new(
                StatusCode::TOO_MANY_REQUESTS,
                "TooManyRequests",
                format!(
                    "This server takes {} requests per second from one address. Try again in {} s.",
                    self.per_second,
                    wait.as_secs_f64().ceil().max(1.0)
                ),
            )
        })
    }
}

/// Whoever has one address of the sixth version has 2^64 of them.
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_that_asks_too_often_is_refused_and_others_are_not() {
        let limit = RateLimit::new(NonZeroU32::new(2).unwrap());
        let allowed = (0..20).filter(|_| limit.count(address("10.0.0.1")).is_ok()).count();
        assert!((8..=10).contains(&allowed), "{allowed}");
        let error = limit.count(address("10.0.0.1")).unwrap_err();
        assert_eq!((error.status.as_u16(), &*error.code), (429, "TooManyRequests"));
        assert!(limit.count(address("10.0.0.2")).is_ok());
    }

    #[test]
    fn addresses_of_one_subscriber_count_together() {
        assert_eq!(subscriber(address("2001:db8::1")), subscriber(address("2001:db8::ffff:1")));
        assert_ne!(subscriber(address("2001:db8::1")), subscriber(address("2001:db8:0:1::1")));
        assert_eq!(subscriber(address("::ffff:10.0.0.1")), address("10.0.0.1"));
    }

    #[test]
    fn the_number_of_remembered_addresses_is_bounded() {
        let limit = RateLimit::new(NonZeroU32::new(1).unwrap());
        for number in 0..(ADDRESSES_MAX as u32 + 1000) {
            drop(limit.count(IpAddr::V4(number.into())));
        }
        assert!(limit.limiter.len() <= ADDRESSES_MAX + 1);
    }
}
