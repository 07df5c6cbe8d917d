//! Running mutations in turn, and answering requests.

use freshet_values::Timestamp;
use sha2::{Digest as _, Sha256};

use super::effect::{ActionOutcome, Effect, Identity, MutationOutcome, Now, Subscription};
use super::requests::Misaddressed;
use super::{Effects, Session};
use crate::answer::FunctionFailure;
use crate::message::client::{RequestNumber, TargetError};
use crate::message::server::ServerMessage;

impl<I: Identity, S: Subscription> Session<I, S> {
    pub(super) fn start_mutations(&mut self, now: Now, out: &mut Effects<I, S>) {
        while !self.closed
            && let Some(received) = self.requests.start_mutation(now.elapsed)
        {
            match received.into_job() {
                Ok(job) => out.push(Effect::RunMutation(job)),
                Err(misaddressed) => {
                    let failure = self.explain_request(&misaddressed);
                    self.requests.finish_mutation(misaddressed.request_id);
                    let outcome = MutationOutcome::Failed { failure, log_lines: Vec::new() };
                    self.answer_mutation(misaddressed.request_id, &outcome, now, out);
                }
            }
        }
    }

    pub(super) fn answer_mutation(
        &mut self,
        request_id: RequestNumber,
        outcome: &MutationOutcome,
        now: Now,
        out: &mut Effects<I, S>,
    ) {
        let (message, ts) = match outcome {
            MutationOutcome::Committed { value, ts, log_lines } => {
                (ServerMessage::mutation_response(request_id, Ok((value, *ts)), log_lines), *ts)
            }
            MutationOutcome::Failed { failure, log_lines } => {
                (ServerMessage::mutation_response(request_id, Err(failure), log_lines), Timestamp::ZERO)
            }
            MutationOutcome::Abandoned(reason) => return self.close(*reason, out),
        };
        self.floor = self.floor.max(ts);
        self.owe(ts);
        self.send(message, now, out);
    }

    pub(super) fn answer_action(
        &mut self,
        request_id: RequestNumber,
        outcome: &ActionOutcome,
        now: Now,
        out: &mut Effects<I, S>,
    ) {
        let message = match outcome {
            ActionOutcome::Returned { value, log_lines } => {
                ServerMessage::action_response(request_id, Ok(value), log_lines)
            }
            ActionOutcome::Failed { failure, log_lines } => {
                ServerMessage::action_response(request_id, Err(failure), log_lines)
            }
            ActionOutcome::Abandoned(reason) => return self.close(*reason, out),
        };
        self.owe(Timestamp::ZERO);
        self.send(message, now, out);
    }

    pub(super) fn owe(&mut self, ts: Timestamp) {
        self.owed = self.owed.max(Some(ts));
    }

    /// The failure of a request whose path names no function. Requests of a session have the id that tools compute from
    /// what the client knows.
    pub(super) fn explain_request(&mut self, request: &Misaddressed) -> FunctionFailure {
        match request.session_id {
            Some(session_id) => {
                let digest = Sha256::digest(format!("{session_id}|{}", request.request_id));
                failure(hex::encode(&digest[..8]), &request.error)
            }
            None => failure(self.failure_ids.next(), &request.error),
        }
    }
}

/// The failure of something whose path names no function.
pub(super) fn failure(request_id: String, error: &TargetError) -> FunctionFailure {
    FunctionFailure { request_id, detail: Some(format!("{error}\n")), data: None }
}

/// Makes the request ids of failures that the session itself explains.
pub(super) struct FailureIds {
    /// Unique to the connection.
    seed: [u8; 16],
    /// Ids made so far.
    count: u64,
}

impl FailureIds {
    pub(super) fn new(seed: [u8; 16]) -> Self {
        Self { seed, count: 0 }
    }

    /// Sixteen hexadecimal digits.
    pub(super) fn next(&mut self) -> String {
        self.count += 1;
        let digest = Sha256::digest([&self.seed[..], &self.count.to_le_bytes()].concat());
        hex::encode(&digest[..8])
    }
}
