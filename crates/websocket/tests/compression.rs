//! What is compressed for many at once is inflated by each alone.

use std::sync::Arc;

use flate2::{Decompress, FlushDecompress};
use freshet_websocket::{Compression, Encoder, Frame, Part, SharedText, Text};
use proptest::prelude::*;

/// What browsers do with frames: an ordinary inflater that lives as long as the connection.
struct Client {
    inflater: Decompress,
    wire_bytes: usize,
}

impl Client {
    fn new(window_bits: u8) -> Self {
        Self { inflater: Decompress::new_with_window_bits(false, window_bits), wire_bytes: 0 }
    }

    fn read(&mut self, frame: Frame) -> String {
        self.wire_bytes += frame.len();
        let wire = frame.into_segments().concat();
        let (mut rest, mut payload, mut compressed) = (&wire[..], Vec::new(), false);
        loop {
            let (length, header) = match rest[1] {
                126 => (usize::from(u16::from_be_bytes([rest[2], rest[3]])), 4),
                127 => (u64::from_be_bytes(rest[2..10].try_into().expect("eight bytes")) as usize, 10),
                length => (usize::from(length), 2),
            };
            compressed |= rest[0] & 0x40 != 0;
            let is_final = rest[0] & 0x80 != 0;
            payload.extend_from_slice(&rest[header..header + length]);
            rest = &rest[header + length..];
            if is_final {
                break;
            }
        }
        assert!(rest.is_empty());
        if compressed {
            payload.extend_from_slice(&[0, 0, 0xFF, 0xFF]);
            let mut text = Vec::with_capacity(64 * payload.len().max(1 << 16));
            self.inflater.decompress_vec(&payload, &mut text, FlushDecompress::Sync).expect("it inflates");
            payload = text;
        }
        String::from_utf8(payload).expect("it is text")
    }
}

fn without_spaces(text: &str) -> String {
    text.replace(' ', "")
}

/// A hundred messages, of which one has another version.
fn list(version: usize) -> String {
    let message = |number: usize| {
        let version = if number == version % 100 { version } else { 0 };
        format!(
            r#"{{"_id":"j57{number:029}","author":"a{}","body":"v={version}ofamessagethatgoesonandon,thenumberis{number}"}}"#,
            number % 7
        )
    };
    format!(
        r#""value":[{}],"logLines":[],"journal":null"#,
        (0..100).map(message).collect::<Vec<_>>().join(",")
    )
}

fn transition(head: usize, slot: u32, text: &Arc<SharedText>) -> Text {
    Text::new(vec![
        Part::Own(format!(
            r#"{{"type":"Transition","startVersion":{head},"endVersion":{head},"modifications":[{{"queryId":{slot},"#
        )),
        Part::Shared { slot, text: Arc::clone(text) },
        Part::Own(format!("}}],\"clientClockSkew\":{head}}}")),
    ])
}

#[test]
fn a_small_change_of_a_large_result_costs_few_bytes_and_is_the_same_for_all() {
    let compression = Compression::negotiate("permessage-deflate", 15);
    // Clocks of different lengths: what lies between two versions differs from client to client.
    let mut clients: Vec<_> =
        [1, 22, 333].map(|head| (head, Encoder::new(compression), Client::new(15))).into();
    let mut plain_bytes = 0;
    for version in 0..20 {
        let text = Arc::new(SharedText::new(list(version)));
        let mut bodies = Vec::new();
        for (head, encoder, client) in &mut clients {
            let text = transition(*head, 0, &text);
            plain_bytes += text.len();
            let frame = encoder.text(&text);
            let largest = frame.segments().iter().max_by_key(|segment| segment.len()).unwrap().clone();
            bodies.push(if version == 0 { largest } else { frame.segments()[2].clone() });
            assert_eq!(without_spaces(&client.read(frame)), text.to_string());
        }
        // The very same memory.
        assert!(bodies.iter().all(|body| body.as_ptr() == bodies[0].as_ptr()), "version {version}");
    }
    let wire_bytes: usize = clients.iter().map(|(_, _, client)| client.wire_bytes).sum();
    assert!(wire_bytes * 10 < plain_bytes, "{wire_bytes} of {plain_bytes}");
}

#[test]
fn long_messages_are_cut_into_frames_and_stay_whole() {
    for compression in [None, Compression::negotiate("permessage-deflate", 15)] {
        let mut encoder = Encoder::new(compression);
        // It does not get much smaller, so that the compressed message is long, too.
        let mut seed = 1_u64;
        let noise: String = (0..5 << 20)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                char::from_u32(0x1_0000 + (seed >> 48) as u32).unwrap()
            })
            .collect();
        let text = transition(1, 0, &Arc::new(SharedText::new(noise)));
        let frame = encoder.text(&text);
        assert!(frame.len() > 8 << 20);
        assert!(Client::new(15).read(frame) == text.to_string());
    }
}

#[test]
fn small_talk_is_sent_as_it_is() {
    let mut encoder = Encoder::new(Compression::negotiate("permessage-deflate", 15));
    let frame = encoder.text(&Text::from(r#"{"type":"Ping"}"#.to_owned()));
    assert_eq!(frame.into_segments().concat(), b"\x81\x0f{\"type\":\"Ping\"}");
}

#[derive(Clone, Debug)]
enum Step {
    /// A new version of a slot's text: some bytes at a place replaced.
    Change { slot: u32, at: usize, with: String },
    /// A text that has nothing to do with the one before.
    Replace { slot: u32, text: String },
    /// A message of its own.
    Own(String),
    /// Several slots' texts in one message.
    Together(Vec<u32>),
}

fn step() -> impl Strategy<Value = Step> {
    let slot = 0_u32..4;
    prop_oneof![
        4 => (slot.clone(), any::<usize>(), "[a-zé\u{0}\"]{0,40}").prop_map(|(slot, at, with)| Step::Change { slot, at, with }),
        1 => (slot.clone(), "[a-z]{1,20}", 0_usize..4000).prop_map(|(slot, text, times)| Step::Replace { slot, text: text.repeat(times) }),
        1 => ("[a-zA-Z0-9]{0,300}", 1_usize..300).prop_map(|(text, times)| Step::Own(text.repeat(times))),
        1 => prop::collection::vec(slot, 0..4).prop_map(Step::Together),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_client_reads_what_was_meant(
        steps in prop::collection::vec((step(), any::<u8>()), 1..40),
        window_bits in prop::collection::vec(prop_oneof![9_u8..=15, Just(15)], 3),
    ) {
        let mut clients: Vec<_> = window_bits
            .iter()
            .map(|bits| {
                let offer = format!("permessage-deflate; server_max_window_bits={bits}");
                (Encoder::new(Compression::negotiate(&offer, 15)), Client::new(*bits))
            })
            .collect();
        let mut texts: Vec<String> = (0..4).map(list).collect();
        for (step, audience) in steps {
            let part = |slot: u32, texts: &[String]| Part::Shared {
                slot,
                text: Arc::new(SharedText::new(texts[slot as usize].clone())),
            };
            let mut parts = vec![Part::Own("{".repeat(usize::from(audience)))];
            match step {
                Step::Change { slot, at, with } => {
                    let text = &mut texts[slot as usize];
                    let at = text.floor_char_boundary(at % (text.len() + 1));
                    let end = text.ceil_char_boundary((at + with.len()).min(text.len()));
                    text.replace_range(at..end, &with);
                    parts.push(part(slot, &texts));
                }
                Step::Replace { slot, text } => {
                    texts[slot as usize] = text;
                    parts.push(part(slot, &texts));
                }
                Step::Own(text) => parts.push(Part::Own(text)),
                Step::Together(slots) => parts.extend(slots.into_iter().map(|slot| part(slot, &texts))),
            }
            parts.push(Part::Own("}".to_owned()));
            let text = Text::new(parts);
            for (number, (encoder, client)) in clients.iter_mut().enumerate() {
                // Not all clients get everything, so that their pasts differ.
                if audience >> number & 1 == 1 {
                    let frame = encoder.text(&text);
                    prop_assert_eq!(without_spaces(&client.read(frame)), without_spaces(&text.to_string()));
                }
            }
        }
    }
}
