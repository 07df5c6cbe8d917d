//! Large Transitions: cut into pieces for clients that can join them, whole for the others.

use freshet_sync::FrameKind;
use freshet_sync::message::server::transition_frames;
use proptest::prelude::*;

use crate::support::client_model::{ClientModel, View};
use crate::support::driver::{Driver, add};

fn large(client: &str, characters: usize) -> (Driver, ClientModel) {
    let mut driver = Driver::new(client);
    let mut model = ClientModel::default();
    let frame = add(0, &[0]);
    model.sends(&frame);
    driver.receive(&frame);
    // Three bytes each, so that the cut falls inside a character unless somebody takes care.
    let value = format!(r#""{}""#, "語".repeat(characters));
    driver.compute_all(10, &value);
    (driver, model)
}

#[test]
fn a_large_transition_is_cut_for_recent_npm_clients() {
    let (mut driver, mut model) = large("npm-1.28.0", 4_000_000);
    assert_eq!(driver.sent.len(), 3);
    let ends: Vec<bool> = driver.sent.iter().map(|message| message.ends_transition).collect();
    assert_eq!(ends, [false, false, true], "back-pressure counts Transitions, not pieces");
    for message in driver.sent.drain(..) {
        assert_eq!(message.kind, FrameKind::TransitionChunk);
        model.receives(&message.text.to_string());
        model.receives(r#"{"type":"Ping"}"#);
    }
    assert!(model.is_caught_up());
    assert!(
        matches!(&model.views[&0], View::Value(value) if value.as_str().unwrap().chars().count() == 4_000_000)
    );
}

#[test]
fn every_other_client_gets_it_whole() {
    for client in ["npm-1.27.0", "python-0.8.1", "rust-0.10.4", "unknown"] {
        let (mut driver, mut model) = large(client, 2_000_000);
        assert_eq!(driver.sent.len(), 1);
        model.receives(&driver.next_frame().unwrap());
        assert!(model.is_caught_up());
    }
}

#[test]
fn a_transition_at_the_limit_stays_whole() {
    let whole = transition_frames("x".repeat(100).into(), 1, Some(100));
    assert_eq!((whole.len(), whole[0].kind), (1, FrameKind::Transition));
    assert_eq!(transition_frames("x".repeat(101).into(), 1, Some(100)).len(), 2);
}

proptest! {
    #[test]
    fn pieces_join_to_the_text_and_none_is_too_long(text in ".{0,200}", bytes_max in 4usize..50) {
        let frames = transition_frames(text.clone().into(), 1, Some(bytes_max));
        if frames[0].kind == FrameKind::TransitionChunk {
            let mut joined = String::new();
            for (number, frame) in frames.iter().enumerate() {
                let json: serde_json::Value = serde_json::from_str(&frame.text.to_string()).unwrap();
                prop_assert_eq!(json["partNumber"].as_u64(), Some(number as u64));
                prop_assert_eq!(json["totalParts"].as_u64(), Some(frames.len() as u64));
                let piece = json["chunk"].as_str().unwrap();
                prop_assert!(piece.len() <= bytes_max && !piece.is_empty());
                joined.push_str(piece);
            }
            prop_assert_eq!(joined, text);
        } else {
            prop_assert!(text.len() <= bytes_max);
        }
    }
}
