//! The installed client package's own server modules, as the bundler sees them.

use std::path::{Path, PathBuf};

use freshet_analysis::{Module, Verdict, analyze};

const APP: &str = r#"
import { queryGeneric as query, mutationGeneric as mutation, actionGeneric as action, httpActionGeneric as httpAction } from "./convex/server/impl/registration_impl.js";
import { defineSchema, defineTable } from "./convex/server/schema.js";
import { httpRouter } from "./convex/server/router.js";
import { anyApi } from "./convex/server/api.js";
import { paginationOptsValidator } from "./convex/server/pagination.js";
import { v } from "./convex/values/validator.js";
import { ConvexError } from "./convex/values/errors.js";

export const schema = defineSchema({
  messages: defineTable({ author: v.string(), body: v.optional(v.string()), tags: v.array(v.id("tags")) })
    .index("by_author", ["author"])
    .searchIndex("by_body", { searchField: "body" }),
});
export const list = query({
  args: { author: v.string(), paginationOpts: paginationOptsValidator },
  returns: v.any(),
  handler: async (ctx, { author, paginationOpts }) =>
    await ctx.db.query("messages").withIndex("by_author", (q) => q.eq("author", author)).order("desc").paginate(paginationOpts),
});
export const count = query(async (ctx) => {
  let n = 0;
  for await (const row of ctx.db.query("messages").filter((q) => q.gt(q.field("n"), 1))) n += row.n;
  return n;
});
export const send = mutation({
  args: { author: v.string(), body: v.string() },
  handler: async (ctx, args) => {
    if (args.body === "") throw new ConvexError({ code: "EMPTY" });
    const id = await ctx.db.insert("messages", args);
    await ctx.db.patch(id, { seen: true });
    await ctx.scheduler.runAfter(0, anyApi.messages.clean, { id });
    const user = await ctx.auth.getUserIdentity();
    return { id, user, url: await ctx.storage.getUrl("x") };
  },
});
export const relay = action({
  args: {},
  handler: async (ctx) => {
    const rows = await ctx.runQuery(anyApi.app.list, {});
    const answer = await fetch("https://a.example", { method: "POST", body: JSON.stringify(rows) });
    return await answer.json();
  },
});
const http = httpRouter();
http.route({ path: "/hook", method: "POST", handler: httpAction(async (ctx, request) => {
  const body = await request.json();
  await ctx.runMutation(anyApi.app.send, body);
  return new Response(null, { status: 201, headers: { "X-Seen": request.method } });
}) });
http.route({ pathPrefix: "/files/", method: "GET", handler: httpAction(async () => new Response("x")) });
export default http;
"#;

fn package() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../node_modules/convex/dist/esm");
    assert!(
        folder.is_dir(),
        "the npm packages are not installed: run `npm ci` in the root of the workspace (`cargo xtask test` does)"
    );
    folder
}

fn collect(folder: &Path, root: &Path, modules: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("an installed package is readable") {
        let path = entry.expect("an installed package is readable").path();
        if path.is_dir() {
            collect(&path, root, modules);
        } else if path.extension().is_some_and(|extension| extension == "js") {
            let name =
                path.strip_prefix(root).expect("inside the package").to_string_lossy().replace('\\', "/");
            modules.push((format!("_deps/convex/{name}"), std::fs::read_to_string(&path).expect("readable")));
        }
    }
}

/// The modules of the package that `app` reaches, without the rest of it.
fn verdict(app: &str) -> Verdict {
    let root = package();
    let mut modules = vec![("app.js".to_owned(), app.replace("\"./convex/", "\"./_deps/convex/"))];
    for folder in ["server", "values", "common"] {
        collect(&root.join(folder), &root, &mut modules);
    }
    let index = std::fs::read_to_string(root.join("index.js")).expect("readable");
    modules.push(("_deps/convex/index.js".to_owned(), index));
    let modules: Vec<Module<'_>> = modules.iter().map(|(path, source)| Module { path, source }).collect();
    analyze(&modules).verdict("app.js").clone()
}

#[test]
fn functions_written_with_the_client_package_are_verified() {
    assert_eq!(verdict(APP), Verdict::Verified);
}

#[test]
fn state_kept_beside_the_client_package_is_still_noticed() {
    let app = APP.replace("let n = 0;", "http.hits = (http.hits ?? 0) + 1; let n = 0;");
    assert_ne!(app, APP);
    let Verdict::Fresh(reasons) = verdict(&app) else { panic!("verified") };
    assert_eq!(reasons[0].message, "changes `http.hits`, which outlives the call");

    let late =
        APP.replace("let n = 0;", "http.route({ path: '/late', method: 'GET', handler: relay }); let n = 0;");
    assert!(matches!(verdict(&late), Verdict::Fresh(_)));
}
