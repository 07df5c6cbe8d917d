//! Frames of the client, applied to the session in order of arrival.

use freshet_values::Timestamp;

use super::effect::{ActionOutcome, Credentials, Effect, Identity, Now, Subscription};
use super::query_set::QuerySetError;
use super::requests::Received;
use super::{Client, Effects, IDENTITY_EXPIRED, Session};
use crate::close::CloseReason;
use crate::limits;
use crate::message::client::{Authenticate, ClientMessage, Connect, ModifyQuerySet, Request};

impl<I: Identity, S: Subscription> Session<I, S> {
    pub(super) fn hold(&mut self, text: &str, now: Now, out: &mut Effects<I, S>) {
        self.held_bytes += text.len();
        if self.held.len() == limits::HELD_MESSAGES_MAX || self.held_bytes > limits::HELD_BYTES_MAX {
            return self.close(CloseReason::TooManyConcurrentRequests, out);
        }
        self.held.push_back((text.to_owned(), now));
    }

    pub(super) fn handle(&mut self, text: &str, now: Now, out: &mut Effects<I, S>) {
        match text.parse() {
            Ok(ClientMessage::Connect(connect)) => self.connect(&connect, now, out),
            Ok(ClientMessage::ModifyQuerySet(step)) => self.modify_query_set(step, out),
            Ok(ClientMessage::Authenticate(authenticate)) => self.authenticate(authenticate, out),
            Ok(ClientMessage::Mutation(request)) => self.mutation(request, now, out),
            Ok(ClientMessage::Action(request)) => self.action(request, now, out),
            Ok(ClientMessage::Event) => {}
            Err(error) => self.fatal(&error, now, out),
        }
    }

    pub(super) fn connect(&mut self, connect: &Connect, now: Now, out: &mut Effects<I, S>) {
        let observed = connect.max_observed.unwrap_or(Timestamp::ZERO);
        // A client that has seen more than we have must not be shown an older state; nor may it change its session.
        if self.client.is_some() || observed > now.newest {
            return self.close(CloseReason::InternalServerError, out);
        }
        self.floor = self.floor.max(observed);
        let server_ms = i64::try_from(now.unix.as_millis()).unwrap_or(i64::MAX);
        let clock_skew_ms = connect.client_ts_ms.map(|client_ms| client_ms.saturating_sub(server_ms));
        self.client = Some(Client { session_id: connect.session_id, clock_skew_ms });
    }

    pub(super) fn modify_query_set(&mut self, step: ModifyQuerySet, out: &mut Effects<I, S>) {
        match self.queries.receive(step) {
            Ok(()) => {}
            // Not a FatalError: the npm client has a race that gets here, and reconnecting heals it.
            Err(QuerySetError::Violation) => self.close(CloseReason::InternalServerError, out),
            Err(QuerySetError::TooLarge) => self.close(CloseReason::TooManyConcurrentRequests, out),
        }
    }

    pub(super) fn authenticate(
        &mut self,
        Authenticate { base_version, token }: Authenticate,
        out: &mut Effects<I, S>,
    ) {
        if base_version != self.identity_version {
            return self.close(CloseReason::InternalServerError, out);
        }
        match Credentials::from_token(token) {
            Some(credentials) => {
                self.authenticating = true;
                out.push(Effect::Authenticate(credentials));
            }
            None => self.accept_identity(self.anonymous.clone(), out),
        }
    }

    pub(super) fn accept_identity(&mut self, identity: I, out: &mut Effects<I, S>) {
        let Some(version) = self.identity_version.checked_add(1) else {
            return self.close(CloseReason::InternalServerError, out);
        };
        self.identity_version = version;
        if !identity.is_same_caller(&self.identity) {
            self.caller_epoch += 1;
        }
        self.identity = identity;
    }

    pub(super) fn mutation(&mut self, request: Request, now: Now, out: &mut Effects<I, S>) {
        if self.has_expired(&self.identity, now) {
            return self.auth_error(IDENTITY_EXPIRED, false, now, out);
        }
        let received = self.received(request);
        if let Err(reason) = self.requests.enqueue_mutation(received) {
            self.close(reason, out);
        }
    }

    pub(super) fn action(&mut self, request: Request, now: Now, out: &mut Effects<I, S>) {
        if self.has_expired(&self.identity, now) {
            return self.auth_error(IDENTITY_EXPIRED, false, now, out);
        }
        if let Err(reason) = self.requests.start_action(request.request_id) {
            return self.close(reason, out);
        }
        match self.received(request).into_job() {
            Ok(job) => out.push(Effect::RunAction(job)),
            Err(misaddressed) => {
                let failure = self.explain_request(&misaddressed);
                self.requests.finish_action(misaddressed.request_id);
                let outcome = ActionOutcome::Failed { failure, log_lines: Vec::new() };
                self.answer_action(misaddressed.request_id, &outcome, now, out);
            }
        }
    }

    pub(super) fn received(&self, request: Request) -> Received<I> {
        Received { request, session_id: self.session_id(), identity: self.identity.clone() }
    }
}
