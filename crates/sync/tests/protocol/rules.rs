//! Single rules of a connection: versions, limits, closes, timing.

use std::time::Duration;

use freshet_sync::session::{
    ActionOutcome, AuthOutcome, CloseFrame, ComputeFailure, Credentials, MutationOutcome, QueryOutcome,
};
use freshet_sync::{Answer, CloseReason, FrameKind};
use freshet_values::Timestamp;

use crate::support::driver::{
    Caller, Driver, Switch, UNIX_START, action, add, answered, connect, failure_of, mutation, remove,
    returns, token,
};

const MINUTE: Duration = Duration::from_secs(60);

fn reason(driver: &Driver) -> CloseReason {
    match driver.closed {
        Some(CloseFrame::Reason(reason)) => reason,
        other => panic!("expected a close with a reason, not {other:?}"),
    }
}

/// A connection with query 0 shown at timestamp 10.
fn subscribed() -> Driver {
    let mut driver = Driver::new("npm-1.48.0");
    driver.receive(&add(0, &[0]));
    driver.compute_all(10, "1");
    driver.next_frame().unwrap();
    driver
}

fn kinds(driver: &mut Driver) -> Vec<FrameKind> {
    driver.sent.drain(..).map(|message| message.kind).collect()
}

#[test]
fn a_wrong_base_version_closes_so_that_the_client_starts_over() {
    for frame in [
        add(1, &[0]),
        r#"{"type":"ModifyQuerySet","baseVersion":0,"newVersion":0,"modifications":[]}"#.into(),
    ] {
        let mut driver = Driver::new("npm-1.48.0");
        driver.receive(&frame);
        assert_eq!(reason(&driver), CloseReason::InternalServerError);
        assert!(driver.sent.is_empty(), "no FatalError: that would end the client for good");
    }
    let mut driver = Driver::new("npm-1.48.0");
    driver.receive(&token(1, "jwt"));
    assert_eq!(reason(&driver), CloseReason::InternalServerError);
}

#[test]
fn adding_a_live_query_or_removing_an_unknown_one_closes() {
    let mut driver = subscribed();
    driver.receive(&add(1, &[0]));
    assert_eq!(reason(&driver), CloseReason::InternalServerError);
    let mut driver = subscribed();
    driver.receive(&remove(1, &[1]));
    assert_eq!(reason(&driver), CloseReason::InternalServerError);
}

#[test]
fn a_query_added_and_removed_before_a_transition_is_reported_as_removed() {
    let mut driver = subscribed();
    // A computation is under way, so both changes wait for the next one.
    driver.receive(&mutation(0));
    driver.commit_mutation("1", 11);
    driver.receive(&add(1, &[5]));
    driver.receive(&remove(2, &[5]));
    driver.compute_all(11, "1");
    driver.compute_all(11, "1");
    let last = driver.sent.pop_back().unwrap().text.to_string();
    assert!(last.contains(r#""modifications":[{"type":"QueryRemoved","queryId":5}]"#), "{last}");
}

#[test]
fn nothing_happens_after_a_close() {
    let mut driver = subscribed();
    driver.shut_down();
    assert_eq!(reason(&driver), CloseReason::GoingAway);
    driver.receive(&mutation(0));
    driver.receive("nonsense");
    driver.invalidated();
    driver.sleep(10 * MINUTE);
    driver.tick();
    assert!(driver.sent.is_empty() && driver.mutation.is_none());
}

#[test]
fn an_unchanged_result_is_not_sent_again_and_the_timestamp_never_goes_back() {
    let mut driver = Driver::new("npm-1.48.0");
    driver.receive(&add(0, &[0]));
    let first = Switch::on();
    driver.compute(Timestamp(10), vec![(0, answered(Answer::updated("1", &[], None), first.clone()))]);
    driver.next_frame().unwrap();
    first.turn_off();
    driver.invalidated();
    assert!(driver.job.as_ref().unwrap().queries[0].held.is_none(), "an invalid result has to be run again");
    driver.compute_all(12, "1");
    assert!(driver.sent.is_empty(), "there is nothing to say");
    driver.receive(&mutation(0));
    driver.commit_mutation("1", 11);
    // What is held was computed at 12, so that it cannot be asserted for 11.
    assert_eq!(driver.job.as_ref().unwrap().at_least, Timestamp(12));
}

#[test]
fn a_wake_up_that_changed_nothing_starts_no_computation() {
    let mut driver = subscribed();
    driver.invalidated();
    assert!(driver.job.is_none());
}

#[test]
fn a_result_that_was_outdated_before_it_arrived_is_computed_again() {
    let mut driver = Driver::new("npm-1.48.0");
    driver.receive(&add(0, &[0]));
    let outdated = Switch::on();
    outdated.turn_off();
    driver.compute(Timestamp(10), vec![(0, answered(Answer::updated("1", &[], None), outdated))]);
    assert!(driver.job.is_some(), "the wake-up may have come before the result");
}

#[test]
fn a_transition_that_would_not_fit_is_never_sent() {
    let unchanged = || vec![(0, QueryOutcome::Unchanged)];
    let faults = [
        (9, unchanged()),
        (11, vec![]),
        (11, vec![(1, returns("1"))]),
        (11, vec![(0, returns("1")), (1, returns("1"))]),
        (10, unchanged()),
    ];
    for (ts, outcomes) in faults {
        let mut driver = subscribed();
        driver.receive(&mutation(0));
        driver.commit_mutation("1", 11);
        driver.sent.clear();
        driver.compute(Timestamp(ts), outcomes);
        assert_eq!(reason(&driver), CloseReason::InternalServerError);
        assert!(driver.sent.is_empty());
    }
    let mut driver = Driver::new("npm-1.48.0");
    driver.receive(&add(0, &[0]));
    driver.compute(Timestamp(10), unchanged());
    assert_eq!(reason(&driver), CloseReason::InternalServerError, "nothing was held that could be unchanged");
}

#[test]
fn a_client_that_has_seen_the_future_is_sent_away() {
    let mut driver = Driver::new("npm-1.48.0");
    driver.now.newest = Timestamp(1_720_000_000_000_000_000);
    driver.receive(&connect(r#","maxObservedTimestamp":"AQCsFeOq3hc=""#));
    assert_eq!(reason(&driver), CloseReason::InternalServerError);

    let mut driver = Driver::new("npm-1.48.0");
    driver.now.newest = Timestamp(1_720_000_000_000_000_000);
    driver.receive(&connect(r#","maxObservedTimestamp":"AACsFeOq3hc=""#));
    assert!(driver.closed.is_none());
    driver.receive(&add(0, &[]));
    assert_eq!(driver.job.unwrap().at_least, Timestamp(1_720_000_000_000_000_000));
}

#[test]
fn a_second_connect_closes() {
    let mut driver = Driver::new("npm-1.48.0");
    driver.receive(&connect(""));
    driver.receive(&connect(""));
    assert_eq!(reason(&driver), CloseReason::InternalServerError);
}

#[test]
fn without_connect_requests_have_no_session_and_transitions_no_clocks() {
    let mut driver = subscribed();
    driver.receive(&mutation(0));
    assert_eq!(driver.mutation.as_ref().unwrap().session_id, None);
    driver.receive(&connect(r#","clientTs":1720000000123"#));
    driver.commit_mutation("1", 11);
    driver.receive(&mutation(1));
    let session = driver.mutation.as_ref().unwrap().session_id.unwrap();
    assert_eq!(session.to_string(), "2f1c9a54-6f0e-4b7d-9a3e-5d1c0b8e7f21");
    driver.sent.clear();
    driver.compute_all(11, "1");
    let frame = driver.next_frame().unwrap();
    assert!(frame.ends_with(r#","clientClockSkew":123,"serverTs":1720000000000000000}"#), "{frame}");
}

#[test]
fn mutations_run_one_at_a_time_as_the_identity_that_asked() {
    let mut driver = Driver::new("npm-1.48.0");
    driver.receive(&mutation(0));
    driver.receive(&mutation(1));
    driver.receive(&token(0, "jwt"));
    driver.receive(&mutation(2));
    driver.receive(&mutation(3));
    assert_eq!(driver.mutations_started, [0]);
    driver.authenticated(AuthOutcome::Accepted(Caller::named("ada")));
    driver.commit_mutation("1", 11);
    assert_eq!(driver.mutation.as_ref().unwrap().identity.name, "anonymous", "it arrived before the token");
    let failure = failure_of("[Request ID: 0000000000000000] Server Error\nno\n", None);
    driver.finish_mutation(&MutationOutcome::Failed { failure, log_lines: Vec::new() });
    assert_eq!(driver.mutation.as_ref().unwrap().identity.name, "ada");
    driver.commit_mutation("3", 12);
    assert_eq!(driver.mutations_started, [0, 1, 2, 3]);
}

#[test]
fn the_next_mutation_starts_when_the_one_before_is_settled_and_its_answer_comes_later() {
    let mut driver = Driver::new("npm-1.48.0");
    for id in 0..3 {
        driver.receive(&mutation(id));
    }
    assert_eq!(driver.settle_mutation(), 0);
    assert_eq!(driver.settle_mutation(), 1);
    assert_eq!(driver.mutations_started, [0, 1, 2]);
    assert!(driver.sent.is_empty(), "none of them is durable");
    driver.answer_mutation(0, 11);
    driver.answer_mutation(1, 12);
    assert_eq!(kinds(&mut driver), [FrameKind::MutationResponse, FrameKind::MutationResponse]);
    driver.commit_mutation("1", 13);
    assert_eq!(kinds(&mut driver), [FrameKind::MutationResponse]);
}

#[test]
fn an_answer_out_of_turn_closes() {
    let mut driver = Driver::new("npm-1.48.0");
    for id in 0..2 {
        driver.receive(&mutation(id));
        driver.settle_mutation();
    }
    driver.answer_mutation(1, 12);
    assert_eq!(reason(&driver), CloseReason::InternalServerError);
}

#[test]
fn a_mutation_that_cannot_run_is_answered_in_its_turn() {
    let mut driver = Driver::new("npm-1.48.0");
    driver.receive(&mutation(0));
    driver.receive(r#"{"type":"Mutation","requestId":1,"udfPath":"a:b:c","args":[{}]}"#);
    driver.receive(&mutation(2));
    driver.settle_mutation();
    assert!(driver.sent.is_empty() && driver.mutation.is_none());
    driver.answer_mutation(0, 11);
    let answers: Vec<String> = driver.sent.drain(..).map(|message| message.text.to_string()).collect();
    assert!(
        answers[0].contains(r#""requestId":0"#) && answers[1].contains(r#""requestId":1"#),
        "{answers:?}"
    );
    assert_eq!(driver.mutations_started, [0, 2]);
}

#[test]
fn a_settled_mutation_that_does_not_become_durable_in_a_minute_closes() {
    let mut driver = Driver::new("npm-1.48.0");
    driver.receive(&mutation(0));
    driver.settle_mutation();
    driver.sleep(MINUTE / 2);
    driver.receive(&mutation(1));
    driver.sleep(MINUTE / 2);
    driver.tick();
    assert_eq!(reason(&driver), CloseReason::InternalServerError);
}

#[test]
fn the_1001st_unanswered_mutation_closes() {
    let mut driver = Driver::new("npm-1.48.0");
    for id in 0..1000 {
        driver.receive(&mutation(id));
    }
    assert!(driver.closed.is_none());
    driver.receive(&mutation(1000));
    assert_eq!(reason(&driver), CloseReason::TooManyConcurrentMutations);
    assert_eq!(reason(&driver).code(), 1013);
}

#[test]
fn an_answered_mutation_makes_room_for_another() {
    let mut driver = Driver::new("npm-1.48.0");
    for id in 0..1000 {
        driver.receive(&mutation(id));
    }
    driver.commit_mutation("1", 11);
    driver.receive(&mutation(1000));
    assert!(driver.closed.is_none());
}

#[test]
fn the_1001st_running_action_closes() {
    let mut driver = Driver::new("npm-1.48.0");
    for id in 0..1000 {
        driver.receive(&action(id));
    }
    assert_eq!((driver.actions.len(), driver.closed), (1000, None));
    driver.receive(&action(1000));
    assert_eq!(reason(&driver), CloseReason::TooManyInflightActionsForSingleClient);
}

#[test]
fn a_request_id_that_is_still_open_closes() {
    for first in [mutation(7), action(7)] {
        for second in [mutation(7), action(7)] {
            let mut driver = Driver::new("npm-1.48.0");
            driver.receive(&first);
            driver.receive(&second);
            assert_eq!(reason(&driver), CloseReason::InternalServerError);
        }
    }
}

#[test]
fn a_mutation_that_takes_a_minute_closes() {
    let mut driver = Driver::new("npm-1.48.0");
    driver.receive(&mutation(0));
    driver.sleep(MINUTE);
    assert!(driver.session.next_tick(driver.now) <= driver.now.elapsed);
    driver.session.peer_alive(driver.now);
    driver.tick();
    assert_eq!(reason(&driver), CloseReason::InternalServerError);
}

#[test]
fn infrastructure_failures_close_with_their_own_reason() {
    let mut driver = Driver::new("npm-1.48.0");
    driver.receive(&mutation(0));
    driver.finish_mutation(&MutationOutcome::Abandoned(CloseReason::OptimisticConcurrencyControlFailure));
    assert_eq!(reason(&driver), CloseReason::OptimisticConcurrencyControlFailure);
    assert!(driver.sent.is_empty());
}

#[test]
fn after_every_answer_to_a_mutation_comes_a_transition_that_includes_it() {
    let mut driver = subscribed();
    driver.receive(&mutation(0));
    let elsewhere = driver.job.is_none();
    assert!(elsewhere, "a mutation alone needs no computation");
    driver.commit_mutation("1", 11);
    assert_eq!(driver.job.as_ref().unwrap().at_least, Timestamp(11));
    driver.compute_all(11, "1");
    assert_eq!(kinds(&mut driver), [FrameKind::MutationResponse, FrameKind::Transition]);
    assert!(driver.job.is_none());
}

#[test]
fn a_computation_from_before_the_commit_does_not_pay_what_is_owed() {
    let mut driver = subscribed();
    driver.receive(&add(1, &[1]));
    driver.receive(&mutation(0));
    driver.commit_mutation("1", 20);
    driver.compute_all(15, "1");
    assert_eq!(kinds(&mut driver), [FrameKind::MutationResponse, FrameKind::Transition]);
    assert_eq!(driver.job.as_ref().unwrap().at_least, Timestamp(20));
    driver.compute_all(20, "1");
    assert_eq!(kinds(&mut driver), [FrameKind::Transition]);
    assert!(driver.job.is_none());
}

#[test]
fn a_bad_path_fails_only_its_own_query_or_request() {
    let mut driver = Driver::new("npm-1.48.0");
    driver.receive(&connect(""));
    let bad =
        |frame: String| frame.replace("m:list", "/m:li st").replace("m:send", "m:").replace("m:act", "");
    driver.receive(&bad(add(0, &[0])));
    driver.receive(&add(1, &[1]));
    driver.compute_all(10, "1");
    driver.compute_all(10, "1");
    driver.receive(&mutation(1));
    driver.receive(&bad(mutation(2)));
    driver.receive(&bad(action(0)));
    driver.commit_mutation("1", 11);
    assert!(driver.closed.is_none() && driver.actions.is_empty());
    let frames: Vec<String> = driver.sent.drain(..).map(|message| message.text.to_string()).collect();
    assert!(frames[0].contains(r#""type":"QueryFailed","queryId":0"#), "{}", frames[0]);
    assert!(frames[0].contains("is not a valid path to a Convex function"), "{}", frames[0]);
    assert!(frames[1].contains(r#""type":"QueryUpdated","queryId":1"#), "{}", frames[1]);
    // Session requests have an id that can be computed from what the client knows.
    assert!(frames[2].contains("[Request ID: 3f5173bf47e24113] Server Error\\n"), "{}", frames[2]);
    assert!(frames[3].contains(r#""requestId":1,"success":true"#), "{}", frames[3]);
    assert!(frames[4].contains(r#""requestId":2,"success":false"#), "{}", frames[4]);
}

#[test]
fn frames_wait_while_a_token_is_verified() {
    let mut driver = Driver::new("npm-1.48.0");
    driver.receive(&token(0, "first"));
    driver.receive(&add(0, &[0]));
    driver.receive(&token(1, "second"));
    driver.receive(&action(0));
    assert!(!driver.session.accepts_input() && driver.job.is_none());
    driver.authenticated(AuthOutcome::Accepted(Caller::named("ada")));
    assert_eq!(driver.auth, Some(Credentials::User { token: "second".into() }));
    assert!(driver.actions.is_empty(), "it came after the second token");
    driver.authenticated(AuthOutcome::Accepted(Caller::named("bob")));
    assert_eq!(driver.actions[0].identity.name, "bob");
    assert!(driver.session.accepts_input());
}

#[test]
fn a_flood_of_frames_during_verification_closes() {
    let mut driver = Driver::new("npm-1.48.0");
    driver.receive(&token(0, "slow"));
    for _ in 0..10_001 {
        driver.receive(r#"{"type":"Event"}"#);
    }
    assert_eq!(reason(&driver), CloseReason::TooManyConcurrentRequests);
}

#[test]
fn a_rejected_token_is_reported_with_the_identity_last_shown() {
    let mut driver = subscribed();
    driver.receive(&token(0, "good"));
    driver.authenticated(AuthOutcome::Accepted(Caller::named("ada")));
    // The client has not been told of the first token when the second is refused.
    driver.receive(&token(1, "bad"));
    driver.authenticated(AuthOutcome::Rejected("no such key".to_owned()));
    let frame = driver.next_frame().unwrap();
    let expected = r#"{"type":"AuthError","error":"no such key","baseVersion":0,"authUpdateAttempted":true}"#;
    assert_eq!(frame, expected);
    assert_eq!(driver.closed, Some(CloseFrame::Empty));
}

#[test]
fn an_unreachable_provider_is_no_rejection() {
    let mut driver = subscribed();
    driver.receive(&token(0, "good"));
    driver.authenticated(AuthOutcome::Failed(CloseReason::AuthProviderDiscoveryFailed));
    assert!(driver.sent.is_empty());
    assert_eq!((reason(&driver).code(), reason(&driver).text()), (1013, "AuthProviderDiscoveryFailed"));
}

#[test]
fn an_expired_identity_runs_nothing_and_is_shown_nothing() {
    let expired = |act: &dyn Fn(&mut Driver)| {
        let mut driver = Driver::new("npm-1.48.0");
        driver.receive(&token(0, "short"));
        driver.authenticated(AuthOutcome::Accepted(Caller::named("ada").until(UNIX_START + MINUTE)));
        driver.compute_all(10, "1");
        driver.sent.clear();
        act(&mut driver);
        let frame = driver.sent.pop_back().unwrap().text.to_string();
        assert!(frame.contains(r#""baseVersion":1,"authUpdateAttempted":false"#), "{frame}");
        assert!(frame.contains("Convex token identity expired"), "{frame}");
        assert_eq!(driver.closed, Some(CloseFrame::Empty));
        assert!(driver.mutation.is_none() && driver.actions.is_empty());
    };
    expired(&|driver| {
        driver.sleep(MINUTE);
        driver.receive(&mutation(0));
    });
    expired(&|driver| {
        driver.sleep(MINUTE);
        driver.receive(&action(0));
    });
    expired(&|driver| {
        driver.sleep(MINUTE);
        driver.receive(&add(0, &[0]));
    });
    expired(&|driver| {
        driver.receive(&add(0, &[0]));
        driver.sleep(MINUTE);
        driver.compute_all(11, "\"secret\"");
    });
}

#[test]
fn a_revoked_identity_ends_the_session_unless_another_token_is_being_judged() {
    let mut driver = Driver::new("npm-1.48.0");
    driver.receive(&token(0, "first"));
    driver.authenticated(AuthOutcome::Accepted(Caller::named("ada")));
    driver.compute_all(10, "1");
    driver.sent.clear();
    driver.receive(&token(1, "second"));
    driver.revoked("the provider is gone");
    assert!(driver.closed.is_none() && driver.sent.is_empty());
    driver.authenticated(AuthOutcome::Accepted(Caller::named("ada")));
    driver.compute_all(11, "1");
    driver.sent.clear();
    driver.revoked("the provider is gone");
    let frame = driver.sent.pop_back().unwrap().text.to_string();
    assert_eq!(
        frame,
        r#"{"type":"AuthError","error":"the provider is gone","baseVersion":2,"authUpdateAttempted":false}"#
    );
    assert_eq!(driver.closed, Some(CloseFrame::Empty));
}

#[test]
fn a_fresh_token_saves_a_computation_whose_token_has_expired() {
    let mut driver = Driver::new("npm-1.48.0");
    driver.receive(&token(0, "short"));
    driver.receive(&add(0, &[0]));
    driver.authenticated(AuthOutcome::Accepted(Caller::named("ada").until(UNIX_START + MINUTE)));
    driver.receive(&token(1, "long"));
    driver.sleep(MINUTE);
    driver.compute_all(10, "1");
    assert!(driver.closed.is_none() && driver.sent.is_empty() && driver.job.is_none());
    driver.authenticated(AuthOutcome::Accepted(Caller::named("ada")));
    driver.compute_all(11, "1");
    let frame = driver.next_frame().unwrap();
    assert!(frame.contains(r#""endVersion":{"querySet":1,"identity":2,"#), "{frame}");
    assert!(frame.contains(r#""type":"QueryUpdated","queryId":0"#), "{frame}");
}

#[test]
fn a_refreshed_token_of_the_same_caller_keeps_results_and_another_caller_does_not() {
    let mut driver = subscribed();
    for (base, name, kept) in [(0, "ada", false), (1, "ada", true), (2, "bob", false)] {
        driver.receive(&token(base, "jwt"));
        driver.authenticated(AuthOutcome::Accepted(Caller::named(name)));
        let job = driver.job.as_ref().unwrap();
        assert_eq!((job.queries[0].held.is_some(), job.identity.name.as_str()), (kept, name));
        driver.compute_all(20, "1");
    }
    assert_eq!(kinds(&mut driver), [FrameKind::Transition; 3]);
}

#[test]
fn a_slow_reader_skips_intermediate_states() {
    let mut driver = subscribed();
    driver.writes_at_once = false;
    for id in 0..2 {
        driver.receive(&mutation(id));
        driver.commit_mutation("1", 20 + u64::from(id));
        driver.compute_all(20 + u64::from(id), "1");
    }
    for id in 2..5 {
        driver.receive(&mutation(id));
        driver.commit_mutation("1", 20 + u64::from(id));
        assert!(driver.job.is_none(), "two Transitions wait to be written");
    }
    driver.written();
    driver.compute_all(24, "1");
    let transitions = kinds(&mut driver).into_iter().filter(|kind| *kind == FrameKind::Transition);
    assert_eq!(transitions.count(), 3);
}

#[test]
fn the_server_speaks_at_least_every_15_seconds() {
    let mut driver = subscribed();
    driver.sleep(Duration::from_millis(14_999));
    driver.tick();
    assert!(driver.sent.is_empty());
    driver.sleep(Duration::from_millis(1));
    assert_eq!(driver.session.next_tick(driver.now), driver.now.elapsed);
    driver.tick();
    assert_eq!(driver.next_frame().unwrap(), r#"{"type":"Ping"}"#);
    driver.tick();
    assert!(driver.sent.is_empty(), "the Ping counts as speaking");
}

#[test]
fn a_client_that_is_silent_for_two_minutes_is_gone() {
    let mut driver = subscribed();
    driver.sleep(MINUTE);
    driver.session.peer_alive(driver.now);
    driver.sleep(MINUTE + MINUTE / 2);
    driver.tick();
    assert!(driver.closed.is_none());
    driver.sleep(MINUTE / 2);
    driver.tick();
    assert_eq!((reason(&driver).code(), reason(&driver).text()), (1000, "ClientDisconnected"));
}

#[test]
fn passing_trouble_is_retried_with_growing_pauses() {
    let mut driver = Driver::new("npm-1.48.0");
    driver.receive(&add(0, &[0]));
    for pause in [500, 1000, 2000] {
        driver.finish_job(Err(ComputeFailure::Retry));
        driver.sleep(Duration::from_millis(pause - 1));
        driver.tick();
        assert!(driver.job.is_none());
        driver.sleep(Duration::from_millis(1));
        assert!(driver.session.next_tick(driver.now) >= driver.now.elapsed);
        driver.tick();
        assert!(driver.job.is_some(), "after {pause} ms");
    }
    driver.compute_all(10, "1");
    assert_eq!(kinds(&mut driver), [FrameKind::Transition]);
}

#[test]
fn a_change_is_not_forgotten_when_its_computation_fails() {
    let mut driver = Driver::new("npm-1.48.0");
    driver.receive(&add(0, &[0]));
    let switch = Switch::on();
    driver.compute(Timestamp(10), vec![(0, answered(Answer::updated("1", &[], None), switch.clone()))]);
    switch.turn_off();
    driver.invalidated();
    driver.finish_job(Err(ComputeFailure::Retry));
    driver.sleep(Duration::from_millis(500));
    driver.tick();
    assert!(driver.job.is_some(), "nothing else would ask for it");
}

#[test]
fn other_trouble_while_computing_closes() {
    let mut driver = Driver::new("npm-1.48.0");
    driver.receive(&add(0, &[0]));
    driver.finish_job(Err(ComputeFailure::Close(CloseReason::InternalServerError)));
    assert_eq!(reason(&driver), CloseReason::InternalServerError);
}

#[test]
fn a_new_query_that_cannot_run_yet_stays_loading_and_is_tried_again() {
    let mut driver = Driver::new("npm-1.48.0");
    driver.receive(&add(0, &[0, 1]));
    driver.compute(Timestamp(10), vec![(0, returns("1")), (1, QueryOutcome::Unavailable)]);
    let frame = driver.next_frame().unwrap();
    assert!(frame.contains(r#""queryId":0"#) && !frame.contains(r#""queryId":1"#), "{frame}");
    driver.sleep(Duration::from_secs(3));
    driver.tick();
    driver.compute_all(11, "2");
    let frame = driver.next_frame().unwrap();
    assert!(frame.contains(r#""queryId":1,"value":2"#), "{frame}");
}

#[test]
fn a_query_that_is_on_screen_is_never_left_behind() {
    let mut driver = subscribed();
    driver.receive(&token(0, "jwt"));
    driver.authenticated(AuthOutcome::Accepted(Caller::named("ada")));
    driver.compute(Timestamp(11), vec![(0, QueryOutcome::Unavailable)]);
    assert!(driver.sent.is_empty(), "it would show the old identity's result under the new identity");
    driver.sleep(Duration::from_millis(500));
    driver.tick();
    driver.compute_all(12, "2");
    assert!(driver.next_frame().unwrap().contains(r#""identity":1"#));
}

#[test]
fn journals_are_kept_for_the_next_run() {
    let mut driver = Driver::new("npm-1.48.0");
    let frame = add(0, &[0]).replace(r#""args""#, r#""journal":"old","args""#);
    driver.receive(&frame);
    assert_eq!(driver.job.as_ref().unwrap().queries[0].journal.as_deref(), Some("old"));
    let switch = Switch::on();
    let answer = Answer::updated("1", &[], Some("new".into()));
    driver.compute(Timestamp(10), vec![(0, answered(answer, switch.clone()))]);
    switch.turn_off();
    driver.invalidated();
    assert_eq!(driver.job.as_ref().unwrap().queries[0].journal.as_deref(), Some("new"));
}

#[test]
fn an_action_is_answered_at_once_and_followed_by_a_transition() {
    let mut driver = subscribed();
    driver.receive(&action(0));
    driver.receive(&action(1));
    let outcome = ActionOutcome::Returned { value: "4".to_owned(), log_lines: vec!["[LOG] 'x'".to_owned()] };
    driver.finish_action(1, &outcome);
    let expected =
        r#"{"type":"ActionResponse","requestId":1,"success":true,"result":4,"logLines":["[LOG] 'x'"]}"#;
    assert_eq!(driver.next_frame().unwrap(), expected);
    driver.compute_all(10, "1");
    assert_eq!(kinds(&mut driver), [FrameKind::Transition]);
}
