//! Verdicts across modules: imports, chunks, the switch for reuse.

use freshet_analysis::{Analysis, Module, Verdict, analyze};

use crate::support::{SERVER, reasons};

fn analysis(modules: &[(&str, &str)]) -> Analysis {
    let mut list: Vec<Module<'_>> = modules.iter().map(|&(path, source)| Module { path, source }).collect();
    list.push(Module { path: "_deps/server.js", source: SERVER });
    analyze(&list)
}

const QUERY: &str = "import { query } from \"./_deps/server.js\";\n";

#[test]
fn a_module_answers_for_what_it_imports() {
    let chunk =
        "const seen = [];\nexport function note(x) { seen.push(x); }\nexport const size = () => seen.length;";
    let noting = format!(
        "{QUERY}import {{ note }} from \"./_deps/a.js\";\nexport const f = query((ctx, args) => note(args));"
    );
    let reading =
        format!("{QUERY}import {{ size }} from \"./_deps/a.js\";\nexport const f = query(() => size());");
    let all = analysis(&[("noting.js", &noting), ("reading.js", &reading), ("_deps/a.js", chunk)]);
    let found = reasons(all.verdict("noting.js"));
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].module.as_str(), found[0].line), ("_deps/a.js", 1));
    assert_eq!(all.verdict("reading.js"), &Verdict::Verified);
    assert!(matches!(all.verdict("_deps/a.js"), Verdict::Fresh(_)));
    assert_eq!(all.verdict("_deps/server.js"), &Verdict::Verified);
}

#[test]
fn state_reached_through_every_kind_of_import_and_export_is_seen() {
    let chunk =
        "export const state = {}; const other = {}; export default other; export { other as \"a name\" };";
    let star = "export * from \"./a.js\"; export * as whole from \"./a.js\"; export { state as renamed } from \"./a.js\";";
    for import in [
        "import { state as s } from \"./_deps/a.js\"; export const f = query(() => { s.x = 1; });",
        "import s from \"./_deps/a.js\"; export const f = query(() => { s.x = 1; });",
        "import * as all from \"./_deps/a.js\"; export const f = query(() => { all.state.x = 1; });",
        "import * as all from \"./_deps/a.js\"; export const f = query((ctx, { k }) => { all[k].x = 1; });",
        "import { \"a name\" as s } from \"./_deps/a.js\"; export const f = query(() => { s.x = 1; });",
        "import { state as s } from \"./_deps/star.js\"; export const f = query(() => { s.x = 1; });",
        "import { whole } from \"./_deps/star.js\"; export const f = query(() => { whole.default.x = 1; });",
        "import { renamed } from \"./_deps/star.js\"; export const f = query(() => { renamed.x = 1; });",
        "export const f = query(async () => { (await import(\"./_deps/a.js\")).state.x = 1; });",
    ] {
        let source = format!("{QUERY}{import}");
        let all = analysis(&[("app.js", &source), ("_deps/a.js", chunk), ("_deps/star.js", star)]);
        assert!(matches!(all.verdict("app.js"), Verdict::Fresh(_)), "{import}");
    }
}

#[test]
fn imports_that_cannot_be_followed_are_reasons() {
    for (import, message) in [
        ("import \"./missing.js\";", "imports `./missing.js`, which is not a module of this deployment"),
        ("import fs from \"node:fs\";", "imports `node:fs`, which is not a module of this deployment"),
        ("const f = (x) => import(x);", "imports a module whose name is computed"),
        ("const x = ;", "is not a valid ECMAScript module"),
        ("with (x) {}", "is not a valid ECMAScript module"),
        ("const a = 1; const a = 2;", "is not a valid ECMAScript module"),
    ] {
        let all = analysis(&[("app.js", import), ("user.js", "import \"./app.js\";")]);
        for path in ["app.js", "user.js"] {
            let found = reasons(all.verdict(path));
            assert_eq!(found.first().map(|reason| reason.message.as_str()), Some(message), "{import}");
            assert_eq!(found[0].module, "app.js");
        }
    }
}

#[test]
fn import_cycles_and_chains_are_followed() {
    let a = format!(
        "{QUERY}import {{ b }} from \"./b.js\"; export const a = {{}}; export const f = query(() => b());"
    );
    let b = "import { a } from \"./a.js\"; export function b() { a.x = 1; }";
    let all = analysis(&[("a.js", &a), ("b.js", b)]);
    assert_eq!(reasons(all.verdict("a.js"))[0].module, "b.js");
}

#[test]
fn reuse_is_for_modules_that_ask_for_it() {
    for (code, expected) in [
        ("let n = 0; export const experimental_reuseContext = true; export const f = () => n++;", true),
        ("let n = 0, e = !0; export { e as experimental_reuseContext }; export const f = () => n++;", true),
        ("import { t } from \"./_deps/t.js\"; export { t as experimental_reuseContext };", true),
        ("export { t as experimental_reuseContext } from \"./_deps/t.js\";", true),
        ("let n = 0; export const experimental_reuseContext = false; export const f = () => n++;", false),
        (
            "let n = 0; let e = !0; e = !1; export { e as experimental_reuseContext }; export const f = () => n++;",
            false,
        ),
        ("let n = 0; const experimental_reuseContext = true; export const f = () => n++;", false),
    ] {
        let all = analysis(&[("app.js", code), ("_deps/t.js", "export const t = true;")]);
        assert_eq!(all.verdict("app.js") == &Verdict::Reuse, expected, "{code}");
    }
}

#[test]
fn a_path_that_was_not_given_is_fresh() {
    assert!(matches!(analysis(&[]).verdict("nobody.js"), Verdict::Fresh(_)));
}
