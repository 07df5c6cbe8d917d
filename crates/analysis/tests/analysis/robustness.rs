//! No input makes the analysis panic, overflow its stack or run without end.

use std::path::Path;

use freshet_analysis::{Module, Verdict, analyze};
use proptest::prelude::*;

use crate::support::{SERVER, reasons, verdict};

fn survives(source: &str) {
    let modules = [Module { path: "app.js", source }, Module { path: "_deps/server.js", source: SERVER }];
    let analysis = analyze(&modules);
    // A panic inside becomes this reason.
    let panicked =
        reasons(analysis.verdict("app.js")).iter().any(|reason| reason.message == "could not be analysed");
    assert!(!panicked, "{source}");
}

/// Every kind of syntax, to be cut and stirred.
fn specimen() -> String {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/analysis");
    let mut text = String::from(SERVER);
    for file in ["keeps_state.rs", "keeps_nothing.rs", "graph.rs"] {
        let cases = std::fs::read_to_string(own.join(file)).expect("this crate's own tests are there");
        for line in cases.lines().filter(|line| line.trim_start().starts_with("(\"")) {
            let parts: Vec<&str> =
                line.trim().trim_start_matches("(\"").trim_end_matches("\"),").split("\", \"").collect();
            if let [top, body] = parts[..] {
                text.push_str(&format!("{{ {top} async function f(ctx, args) {{ {body} }} }}\n"));
            }
        }
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_is_answered(source in "\\PC{0,300}") {
        survives(&source);
    }

    #[test]
    fn arbitrary_tokens_are_answered(pieces in prop::collection::vec(prop::sample::select(vec![
        "a", "b", "=", "(", ")", "{", "}", "[", "]", "=>", "class ", "extends ", "super", "this", ".x", "?.", "...",
        "new ", "yield ", "await ", "async ", "function ", "*", "`", "${", "/", "get ", "set ", "static ", "#p", ";",
        ",", "let ", "const ", "for ", "of ", "in ", "return ", "import ", "export ", "default ", "from ", "\"./b.js\"",
        "1", "'s'", ":", "?", "++", "delete ", "typeof ", "try ", "catch ", "throw ", "arguments", "globalThis", "\n",
    ]), 0..60)) {
        survives(&pieces.concat());
    }

    #[test]
    fn cut_and_stirred_code_is_answered(start in 0.0..1.0f64, length in 0usize..1500, insert in 0usize..1500, piece in "[(){};,.=`a-c ]{0,4}") {
        let text = specimen();
        let at = |share: usize| -> usize {
            let mut at = share.min(text.len());
            while !text.is_char_boundary(at) { at -= 1; }
            at
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let from = at((start * text.len() as f64) as usize);
        let to = at(from + length);
        let mut source = text[from..to].to_owned();
        let mut place = insert.min(source.len());
        while !source.is_char_boundary(place) { place -= 1; }
        source.insert_str(place, &piece);
        survives(&source);
    }
}

#[test]
fn deep_nesting_is_refused_instead_of_overflowing_the_stack() {
    for piece in [
        "(",
        "[",
        "{",
        "!",
        "-",
        "a?b:",
        "a=>",
        "new ",
        "if(a)",
        "if(a){b;}else ",
        "`${",
        "a(",
        "a.b+",
        "async()=>",
    ] {
        let source = piece.repeat(200_000);
        assert!(matches!(verdict(&source), Verdict::Fresh(_)), "{piece}");
    }
}

#[test]
fn nesting_just_below_the_limit_is_survived() {
    for (open, middle, close, count) in [
        ("(", "a", ")", 14_000),
        ("[", "", "]", 14_000),
        ("!", "a", "", 28_000),
        ("a?b:", "c", "", 7_000),
        ("a=>", "c", "", 9_000),
        ("{", "", "}", 14_000),
        ("a+", "b", "", 14_000),
        ("f(", "", ")", 9_000),
        ("if(a){b;}else ", "{}", "", 5_000),
        ("", "a", ".b", 14_000),
        ("", "a", "()", 14_000),
        ("function f(){", "", "}", 4_000),
    ] {
        let source = format!("{}{middle}{}", open.repeat(count), close.repeat(count));
        survives(&source);
    }
}

#[test]
fn work_is_bounded() {
    // Every function may call every other with every object, and each stores each argument in each other.
    let mut source = String::from("const all = [];\n");
    for index in 0..400 {
        source.push_str(&format!(
            "function f{index}(a, b) {{ const o = {{ a, b, n: {index} }}; a[b.k] = o; for (const g of all) g(o, a)(b, o); \
             return (x, y) => {{ x.p{index} = y; o.q = x; return all[y.n](o.a, x); }}; }} all.push(f{index});\n"
        ));
    }
    source.push_str("for (const f of all) f({}, {});\nexport const run = (x) => all[x]({}, {});");
    let found = verdict(&source);
    assert!(matches!(found, Verdict::Fresh(_)));
}
