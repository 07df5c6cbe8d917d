//! Whatever a client sends, the decoder neither panics nor holds more than has arrived; what is valid comes out whole.

use flate2::{Compress, Compression as Level, FlushCompress};
use freshet_websocket::{Decoder, Incoming, Limits, ProtocolError};
use proptest::prelude::*;

const LIMITS: Limits = Limits { message_bytes_max: 1 << 20, frame_bytes_max: 1 << 19 };

fn frame(first: u8, mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length @ 126..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

fn deflated(text: &[u8]) -> Vec<u8> {
    let mut compressor = Compress::new(Level::best(), false);
    let mut out = Vec::with_capacity(text.len() + 64);
    compressor.compress_vec(text, &mut out, FlushCompress::Sync).expect("it compresses");
    assert!(out.ends_with(&[0, 0, 0xFF, 0xFF]));
    out.truncate(out.len() - 4);
    out
}

/// Feeds pieces and collects what comes out.
fn decode(wire: &[u8], piece: usize) -> (Vec<Incoming>, Option<ProtocolError>) {
    let mut decoder = Decoder::new(LIMITS, true);
    let mut found = Vec::new();
    let mut fed = 0;
    for mut bytes in wire.chunks(piece.max(1)) {
        fed += bytes.len();
        while !bytes.is_empty() {
            match decoder.take(&mut bytes) {
                Ok(Some(incoming)) => found.push(incoming),
                Ok(None) => {}
                Err(error) => return (found, Some(error)),
            }
            assert!(decoder.held_bytes() <= 2 * fed + 4096, "more is held than has arrived");
        }
    }
    (found, None)
}

#[derive(Clone, Debug)]
enum Sent {
    Text { text: String, cuts: Vec<usize>, compressed: bool },
    Ping(Vec<u8>),
    Pong,
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        3 => ("\\PC{0,200}", prop::collection::vec(any::<usize>(), 0..3), any::<bool>())
            .prop_map(|(text, cuts, compressed)| Sent::Text { text, cuts, compressed }),
        1 => prop::collection::vec(any::<u8>(), 0..=125).prop_map(Sent::Ping),
        1 => Just(Sent::Pong),
    ]
}

/// A valid session, with pings between the frames of messages.
fn session(messages: &[Sent], mask: [u8; 4]) -> (Vec<u8>, Vec<Incoming>) {
    let (mut wire, mut expected) = (Vec::new(), Vec::new());
    for message in messages {
        match message {
            Sent::Ping(content) => {
                wire.extend(frame(0x89, mask, content));
                expected.push(Incoming::Ping(content.clone()));
            }
            Sent::Pong => {
                wire.extend(frame(0x8A, mask, b"x"));
                expected.push(Incoming::Pong);
            }
            Sent::Text { text, cuts, compressed } => {
                let payload = if *compressed { deflated(text.as_bytes()) } else { text.as_bytes().to_vec() };
                let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (payload.len() + 1)).collect();
                cuts.sort_unstable();
                cuts.push(payload.len());
                let mut from = 0;
                for (number, to) in cuts.iter().copied().enumerate() {
                    let opcode = if number == 0 { 0x01 | if *compressed { 0x40 } else { 0 } } else { 0 };
                    let last = if number + 1 == cuts.len() { 0x80 } else { 0 };
                    wire.extend(frame(opcode | last, mask, &payload[from..to]));
                    from = to;
                    if last == 0 {
                        wire.extend(frame(0x89, mask, b"between"));
                        expected.push(Incoming::Ping(b"between".to_vec()));
                    }
                }
                expected.push(Incoming::Text(text.clone()));
            }
        }
    }
    (wire, expected)
}

proptest! {
    #[test]
    fn valid_sessions_come_out_whole_in_any_pieces(
        messages in prop::collection::vec(sent(), 0..8), mask: [u8; 4], piece in 1_usize..400,
    ) {
        let (wire, expected) = session(&messages, mask);
        prop_assert_eq!(decode(&wire, piece), (expected, None));
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(wire in prop::collection::vec(any::<u8>(), 0..2000), piece in 1_usize..400) {
        decode(&wire, piece);
    }

    #[test]
    fn mutated_sessions_do_no_harm(
        messages in prop::collection::vec(sent(), 1..6), mask: [u8; 4], piece in 1_usize..400,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let (mut wire, _) = session(&messages, mask);
        for (at, byte) in changes {
            let at = at.index(wire.len());
            wire[at] = byte;
        }
        wire.truncate(cut.index(wire.len()) + 1);
        decode(&wire, piece);
    }
}

fn error(wire: &[u8]) -> Option<ProtocolError> {
    decode(wire, wire.len()).1
}

#[test]
fn a_bomb_is_not_inflated_beyond_the_bound() {
    let bomb = deflated(&vec![b'x'; 64 << 20]);
    assert!(bomb.len() < 1 << 19);
    assert_eq!(error(&frame(0xC1, [1, 2, 3, 4], &bomb)), Some(ProtocolError::TooLarge));
    let fits = "x".repeat(LIMITS.message_bytes_max);
    let (found, error) = decode(&frame(0xC1, [1, 2, 3, 4], &deflated(fits.as_bytes())), 1 << 16);
    assert_eq!((found, error), (vec![Incoming::Text(fits)], None));
}

#[test]
fn announced_bytes_are_not_allocated_and_too_many_are_refused() {
    let mut decoder = Decoder::new(LIMITS, false);
    let mut header: &[u8] = &[0x81, 0xFF, 0, 0, 0, 0, 0, 8, 0, 0, 1, 2, 3, 4];
    assert_eq!(decoder.take(&mut header), Ok(None));
    assert!(decoder.held_bytes() < 4096);
    assert_eq!(error(&[0x81, 0xFF, 0, 0, 0, 0, 0, 8, 0, 1, 1, 2, 3, 4]), Some(ProtocolError::TooLarge));
    assert_eq!(
        error(&[0x81, 0xFF, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4]),
        Some(ProtocolError::TooLarge)
    );
    // Frame by frame, too.
    let piece = frame(0x01, [0; 4], &vec![b'x'; 1 << 19]);
    let more = frame(0x00, [0; 4], &vec![b'x'; 1 << 19]);
    let wire = [piece, more, frame(0x80, [0; 4], b"x")].concat();
    assert_eq!(error(&wire), Some(ProtocolError::TooLarge));
}

#[test]
fn what_the_protocol_forbids_is_an_error() {
    let mask = [9, 8, 7, 6];
    let violations: [(&str, Vec<u8>); 11] = [
        ("no mask", vec![0x81, 0x01, b'x']),
        ("reserved bit", frame(0x91, mask, b"x")),
        ("unknown opcode", frame(0x83, mask, b"x")),
        ("continuation of nothing", frame(0x80, mask, b"x")),
        ("a message within a message", [frame(0x01, mask, b"x"), frame(0x81, mask, b"x")].concat()),
        ("compressed continuation", [frame(0x41, mask, b"x"), frame(0xC0, mask, b"x")].concat()),
        ("a ping in pieces", frame(0x09, mask, b"x")),
        ("a long ping", frame(0x89, mask, &[0; 126])),
        ("a compressed ping", frame(0xC9, mask, b"x")),
        ("half a close code", frame(0x88, mask, b"x")),
        ("a close code that nobody may send", frame(0x88, mask, &1005_u16.to_be_bytes())),
    ];
    for (what, wire) in violations {
        assert!(matches!(error(&wire), Some(ProtocolError::Violation(_))), "{what}");
    }
    assert!(matches!(error(&frame(0x81, mask, &[0xFF])), Some(ProtocolError::InvalidData(_))));
    assert!(matches!(error(&frame(0xC1, mask, &[0xFF; 9])), Some(ProtocolError::InvalidData(_))));
}

#[test]
fn nothing_counts_after_a_close_frame() {
    let wire = [frame(0x88, [0; 4], &1000_u16.to_be_bytes()), frame(0x81, [0; 4], b"late")].concat();
    assert_eq!(decode(&wire, 3), (vec![Incoming::Close(Some(1000))], None));
}

#[test]
fn compression_without_agreement_is_an_error() {
    let mut decoder = Decoder::new(LIMITS, false);
    let wire = frame(0xC1, [0; 4], &deflated(b"x"));
    assert!(matches!(decoder.take(&mut &wire[..]), Err(ProtocolError::Violation(_))));
}
