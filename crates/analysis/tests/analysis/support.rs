//! A wrapper that registers functions as the client package does, and verdicts on programs around it.

use freshet_analysis::{Module, Reason, Verdict, analyze};

pub(crate) const SERVER: &str = r#"
export function query(definition) {
  const handler = typeof definition === "function" ? definition : definition.handler;
  const registered = (ctx, args) => handler(ctx, args);
  registered.isQuery = true;
  registered.isPublic = true;
  registered.invokeQuery = async (text) => {
    const args = JSON.parse(text);
    const db = {
      get: async (id) => JSON.parse(await Convex.asyncSyscall("1.0/get", JSON.stringify({ id }))),
      insert: async (table, value) => JSON.parse(await Convex.asyncSyscall("1.0/insert", JSON.stringify({ table, value }))),
      query: (table) => ({
        filter(predicate) { predicate({ eq: (a, b) => ({ a, b }) }); return this; },
        collect: async () => JSON.parse(await Convex.asyncSyscall("1.0/query", JSON.stringify({ table }))),
      }),
    };
    return JSON.stringify(await handler({ db }, ...args) ?? null);
  };
  registered.exportArgs = () => JSON.stringify({ type: "any" });
  return registered;
}
"#;

/// The verdict on a module that imports `query`.
pub(crate) fn verdict(code: &str) -> Verdict {
    let source = format!("import {{ query }} from \"./_deps/server.js\";\n{code}");
    let modules =
        [Module { path: "app.js", source: &source }, Module { path: "_deps/server.js", source: SERVER }];
    analyze(&modules).verdict("app.js").clone()
}

/// A module with `top` at module level and a function with this body.
pub(crate) fn program(top: &str, body: &str) -> String {
    format!("{top}\nexport const f = query(async (ctx, args) => {{ {body} }});")
}

pub(crate) fn reasons(verdict: &Verdict) -> &[Reason] {
    match verdict {
        Verdict::Fresh(reasons) => reasons,
        _ => &[],
    }
}
