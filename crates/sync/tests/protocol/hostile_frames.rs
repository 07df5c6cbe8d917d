//! Frames that no client sends: nothing may panic, and what is accepted must be what was meant.

use freshet_sync::FrameKind;
use freshet_sync::message::client::{ClientMessage, QuerySetModification, Token};
use freshet_sync::session::CloseFrame;
use proptest::prelude::*;

use crate::support::driver::{Driver, add, connect, mutation, token};

fn parse(text: &str) -> ClientMessage {
    text.parse().unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn refuse(text: &str) -> String {
    match text.parse::<ClientMessage>() {
        Ok(message) => panic!("accepted {message:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn fields_may_come_in_any_order_and_unknown_ones_are_ignored() {
    let text = r#" {"args":[{"a":1.0}],"zzz":[{"type":"Nope"}],"udfPath":"d/m.js","requestId":3,"type":"Mutation","value":5} "#;
    let ClientMessage::Mutation(request) = parse(text) else { panic!() };
    assert_eq!((request.request_id, &*request.call.args), (3, r#"[{"a":1.0}]"#));
    let target = request.call.target.unwrap();
    assert_eq!(target.path.to_string(), "d/m.js:default");
    assert!(target.component.is_root());
}

#[test]
fn equal_functions_have_one_spelling() {
    let path = |spelling: &str| {
        let text = format!(
            r#"{{"type":"Action","requestId":0,"udfPath":"{spelling}","args":[{{}}],"componentPath":"a/b"}}"#
        );
        let ClientMessage::Action(request) = parse(&text) else { panic!() };
        request.call.target.unwrap()
    };
    assert_eq!(path("m:default"), path("m"));
    assert_eq!(path("m.js:list"), path("m:list"));
    assert_eq!(path("m").component.as_str(), "a/b");
}

#[test]
fn arguments_keep_the_text_that_the_client_sent() {
    let args = r#"[ {"n" : 1e3, "s":"\u00e9", "big":123456789012345678901234567890} ]"#;
    let ClientMessage::Mutation(request) =
        parse(&format!(r#"{{"type":"Mutation","requestId":0,"udfPath":"m","args":{args}}}"#))
    else {
        panic!()
    };
    assert_eq!(&*request.call.args, args);
}

#[test]
fn an_absent_journal_and_a_null_one_are_the_same() {
    for journal in ["", r#""journal":null,"#] {
        let text = add(0, &[0]).replace(r#""args""#, &format!(r#"{journal}"args""#));
        let ClientMessage::ModifyQuerySet(step) = parse(&text) else { panic!() };
        assert!(matches!(&step.modifications[..], [QuerySetModification::Add { journal: None, .. }]));
    }
}

#[test]
fn both_spellings_of_impersonation_are_understood() {
    for field in ["impersonating", "acting_as"] {
        let text = format!(
            r#"{{"type":"Authenticate","baseVersion":0,"tokenType":"Admin","value":"k","{field}":{{"issuer":"i"}}}}"#
        );
        let ClientMessage::Authenticate(authenticate) = parse(&text) else { panic!() };
        let Token::Admin { key, acting_as } = authenticate.token else { panic!() };
        assert_eq!((&*key, acting_as.as_deref()), ("k", Some(r#"{"issuer":"i"}"#)));
    }
}

#[test]
fn secrets_do_not_appear_in_debug_output() {
    assert!(!format!("{:?}", parse(&token(0, "secret"))).contains("secret"));
}

#[test]
fn diagnostics_are_read_leniently_and_the_session_strictly() {
    let text = connect(r#","clientTs":12.75"#).replace(r#""connectionCount":0"#, r#""connectionCount":-1.5"#);
    let ClientMessage::Connect(connected) = parse(&text) else { panic!() };
    assert_eq!((connected.client_ts_ms, connected.connection_count), (Some(12), None));
    refuse(r#"{"type":"Connect","sessionId":"not-a-uuid"}"#);
    refuse(r#"{"type":"Connect"}"#);
    refuse(&connect(r#","maxObservedTimestamp":"AAAA""#));
    refuse(&connect(r#","maxObservedTimestamp":5"#));
}

#[test]
fn what_is_no_message_of_the_protocol_is_refused() {
    for text in [
        "",
        "null",
        "[]",
        r#"["Event"]"#,
        r#"{"type":"Nope"}"#,
        r#"{"type":5}"#,
        r#"{"type":"Event""#,
        r#"{"type":"Event","type":"Event"}"#,
        r#"{"type":"Mutation","requestId":-1,"udfPath":"m","args":[{}]}"#,
        r#"{"type":"Mutation","requestId":4294967296,"udfPath":"m","args":[{}]}"#,
        r#"{"type":"Mutation","requestId":0,"udfPath":"m","args":{}}"#,
        r#"{"type":"Mutation","requestId":0,"udfPath":"m"}"#,
        r#"{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":{}}"#,
        r#"{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[["Remove",0]]}"#,
        r#"{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Pause","queryId":0}]}"#,
        r#"{"type":"Authenticate","baseVersion":0,"tokenType":"User"}"#,
        r#"{"type":"Authenticate","baseVersion":0,"tokenType":"Guest","value":"x"}"#,
        r#"{"type":"Authenticate","baseVersion":0,"tokenType":"Admin","value":"x","impersonating":"ada"}"#,
    ] {
        assert!(refuse(text).starts_with("Received Invalid JSON on websocket: "), "{text}");
    }
}

#[test]
fn a_refusal_repeats_only_a_little_of_what_was_refused() {
    let long = "x".repeat(1 << 20);
    assert!(refuse(&format!(r#"{{"type":"{long}"}}"#)).len() < 1000);
    assert!(refuse(&format!(r#"{{"type":"Mutation","requestId":"{long}"}}"#)).len() < 1000);
    let text = mutation(0).replace("m:send", &format!("/{long}"));
    let ClientMessage::Mutation(request) = parse(&text) else { panic!() };
    assert!(request.call.target.unwrap_err().to_string().len() < 1000);
}

#[test]
fn deep_arguments_and_endless_modifications_are_harmless() {
    let depth = 200_000;
    let args = format!("[{}1{}]", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    parse(&format!(r#"{{"type":"Mutation","requestId":0,"udfPath":"m","args":{args}}}"#));
    parse(&format!(r#"{{"type":"Event","event":{args}}}"#));
    let many = vec!["1"; 1_000_000].join(",");
    let text =
        format!(r#"{{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{many}]}}"#);
    assert!(refuse(&text).contains("at most"));
}

#[test]
fn a_bad_frame_ends_the_connection_with_a_fatal_error() {
    for bad in [Driver::receive_binary as fn(&mut Driver), |driver| driver.receive("{")] {
        let mut driver = Driver::new("npm-1.48.0");
        bad(&mut driver);
        let message = driver.sent.pop_front().unwrap();
        assert_eq!(message.kind, FrameKind::FatalError);
        assert!(
            message.text.to_string().contains("Received Invalid JSON on websocket: "),
            "{}",
            message.text
        );
        assert_eq!(driver.closed, Some(CloseFrame::Empty));
    }
}

#[test]
fn a_query_set_has_a_bound() {
    let mut driver = Driver::new("npm-1.48.0");
    let ids: Vec<u32> = (0..16_384).collect();
    driver.receive(&add(0, &ids));
    assert!(driver.closed.is_none());
    driver.receive(&add(1, &[20_000]));
    assert!(matches!(driver.closed, Some(CloseFrame::Reason(reason)) if reason.code() == 1013));
}

/// JSON that looks like the protocol here and there.
fn almost_json() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "type",
        "Connect",
        "ModifyQuerySet",
        "Mutation",
        "Action",
        "Authenticate",
        "Event",
        "Add",
        "Remove",
        "requestId",
        "udfPath",
        "args",
        "queryId",
        "baseVersion",
        "newVersion",
        "modifications",
        "sessionId",
        "tokenType",
        "value",
        "journal",
        "User",
        "Admin",
        "m:list",
        "componentPath",
        "maxObservedTimestamp",
    ]);
    let leaf = prop_oneof![
        word.clone().prop_map(|word| format!("{word:?}")),
        any::<i64>().prop_map(|number| number.to_string()),
        (0..3u32).prop_map(|number| number.to_string()),
        Just("null".to_owned()),
        ".{0,8}".prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((word.clone(), inner), 0..8).prop_map(|fields| {
                let fields: Vec<String> =
                    fields.into_iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    })
}

/// A real frame with some of its characters replaced.
fn damaged_frame() -> impl Strategy<Value = String> {
    let frame = prop::sample::select(vec![
        connect(r#","clientTs":1720000000000,"maxObservedTimestamp":"AMpGUeOq3hc=""#),
        add(0, &[0, 1]),
        mutation(0),
        token(0, "jwt"),
    ]);
    (frame, prop::collection::vec((any::<prop::sample::Index>(), any::<char>()), 0..4)).prop_map(
        |(frame, edits)| {
            let mut characters: Vec<char> = frame.chars().collect();
            for (index, character) in edits {
                let position = index.index(characters.len());
                characters[position] = character;
            }
            characters.into_iter().collect()
        },
    )
}

proptest! {
    #[test]
    fn no_frame_makes_a_session_panic(
        frames in prop::collection::vec(
            prop_oneof![
                any::<String>(),
                prop::collection::vec(any::<u8>(), 0..64)
                    .prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
                almost_json(),
                damaged_frame(),
            ],
            1..12,
        )
    ) {
        let mut driver = Driver::new("npm-1.48.0");
        for frame in &frames {
            driver.receive(frame);
        }
        prop_assert!(driver.sent.len() <= 2 * frames.len());
    }
}
