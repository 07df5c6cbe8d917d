//! When to compute a Transition, and what to send when it has been computed.

use super::effect::{Computed, Effect, Identity, JobId, Now, Subscription, TransitionJob};
use super::query_set::{Changes, Offered};
use super::responses::failure;
use super::{ActiveJob, Effects, IDENTITY_EXPIRED, Session};
use crate::answer::Answer;
use crate::close::CloseReason;
use crate::limits;
use crate::message::server::{self, ClockFields, StateVersion};

impl<I: Identity, S: Subscription> Session<I, S> {
    pub(super) fn start_job(&mut self, now: Now, out: &mut Effects<I, S>) {
        let can_start = !self.closed
            && self.job.is_none()
            && self.unsent < limits::TRANSITIONS_UNSENT_MAX
            && !self.retry.must_wait(now.elapsed);
        if !can_start || !self.needs_job(now) {
            return;
        }
        if self.has_expired(&self.identity, now) {
            // A token being verified may put things right.
            if !self.authenticating {
                self.auth_error(IDENTITY_EXPIRED, false, now, out);
            }
            return;
        }
        self.invalidated = false;
        let ids = &mut self.failure_ids;
        self.queries.apply_pending(|error| Answer::failed(&failure(ids.next(), error), &[], None));
        self.last_job += 1;
        let id = JobId(self.last_job);
        let queries = self.queries.job(self.caller_epoch);
        self.job = Some(ActiveJob {
            id,
            start: self.sent,
            query_set: self.queries.received_version(),
            identity_version: self.identity_version,
            identity: self.identity.clone(),
            caller_epoch: self.caller_epoch,
            at_least: self.floor,
            offered: queries.iter().map(Offered::of).collect(),
        });
        out.push(Effect::ComputeTransition(TransitionJob {
            id,
            at_least: self.floor,
            identity: self.identity.clone(),
            queries,
        }));
    }

    pub(super) fn needs_job(&mut self, now: Now) -> bool {
        let must = self.queries.received_version() != self.sent.query_set
            || self.identity_version != self.sent.identity
            || self.owed.is_some()
            || self.retry.is_left_out_due(now.elapsed);
        if !must && self.invalidated {
            // The wake-up may be older than the results we hold.
            self.invalidated = self.queries.has_invalid();
        }
        must || self.invalidated
    }

    pub(super) fn retry_job(&mut self, now: Now) {
        self.retry.failed(now.elapsed);
        self.invalidated = true;
    }

    pub(super) fn finish_job(
        &mut self,
        job: &ActiveJob<I>,
        computed: Computed<S>,
        now: Now,
        out: &mut Effects<I, S>,
    ) {
        if self.has_expired(&job.identity, now) {
            // Nothing may be delivered under it. If the client has a newer one already, that one's turn has come.
            self.invalidated = true;
            if self.identity_version == job.identity_version && !self.authenticating {
                self.auth_error(IDENTITY_EXPIRED, false, now, out);
            }
            return;
        }
        if self.queries.lacks_shown(&computed) {
            return self.retry_job(now);
        }
        let ts = computed.ts;
        let end = StateVersion { query_set: job.query_set, identity: job.identity_version, ts };
        let Ok(changes) = self.queries.absorb(&job.offered, job.caller_epoch, computed.outcomes) else {
            return self.close(CloseReason::InternalServerError, out);
        };
        // Clients that are sent a Transition which does not fit stay behind for good without noticing.
        if job.start != self.sent || !end.is_at_least(&self.sent) || ts < job.at_least {
            return self.close(CloseReason::InternalServerError, out);
        }
        self.retry.succeeded(now.elapsed, changes.has_unavailable);
        self.invalidated |= changes.has_invalid;
        // Even when nothing is sent: results kept here are results at `ts` now.
        self.floor = self.floor.max(ts);
        let pays = self.owed.is_some_and(|owed| owed <= ts);
        let advances = end.query_set != self.sent.query_set || end.identity != self.sent.identity;
        if pays || advances || !changes.is_empty() {
            self.send_transition(end, &changes, now, out);
        }
        if pays {
            self.owed = None;
        }
    }

    pub(super) fn send_transition(
        &mut self,
        end: StateVersion,
        changes: &Changes,
        now: Now,
        out: &mut Effects<I, S>,
    ) {
        let clock_skew_ms = self.client.as_ref().and_then(|client| client.clock_skew_ms);
        let clocks = clock_skew_ms.map(|client_clock_skew_ms| ClockFields {
            client_clock_skew_ms,
            server_ts_ns: u64::try_from(now.unix.as_nanos()).unwrap_or(u64::MAX),
        });
        let text = server::transition(&self.sent, &end, &changes.modifications(), clocks);
        let piece_bytes_max = self.sends_chunks.then_some(limits::CHUNK_BYTES_MAX);
        self.transitions_sent += 1;
        for frame in server::transition_frames(text, self.transitions_sent, piece_bytes_max) {
            self.send(frame, now, out);
        }
        self.unsent += 1;
        self.sent = end;
    }
}
