//! Ordinary code that leaves nothing behind and has to be verified.

use freshet_analysis::Verdict;

use crate::support::{program, verdict};

const CASES: &[(&str, &str)] = &[
    ("", "return args.x;"),
    ("", "let n = 0; n++; return n;"),
    ("", "const list = []; list.push(args.x); list.sort(); return list;"),
    ("", "const map = new Map(); map.set(args.id, []); map.get(args.id).push(1); return [...map.values()];"),
    (
        "",
        "const byId = {}; for (const row of await ctx.db.query('t').collect()) byId[row.id] = row; return byId;",
    ),
    ("", "const row = await ctx.db.get(args.id); row.n += 1; return row;"),
    (
        "",
        "const rows = await ctx.db.query('t').filter((q) => q.eq('a', args.a)).collect(); rows.sort(); return rows;",
    ),
    ("", "args.x = 1; args.list.push(2); delete args.y; return args;"),
    ("", "const { a, ...rest } = args; rest.b = a; return rest;"),
    ("const LIMIT = 10;", "return args.n > LIMIT;"),
    ("const names = ['a', 'b'];", "return names.includes(args.name) && names.map((n) => n + '!');"),
    ("const names = ['b', 'a'];", "return [...names].sort();"),
    ("const names = ['b', 'a'];", "return names.slice().reverse();"),
    ("const names = ['b', 'a'];", "return names.toSorted();"),
    (
        "const defaults = { a: 1 };",
        "const options = { ...defaults, ...args }; options.b = 2; return options;",
    ),
    ("const defaults = { a: 1 };", "return Object.assign({}, defaults, args);"),
    ("const defaults = { a: 1 };", "const copy = structuredClone(defaults); copy.a = 2; return copy;"),
    ("const defaults = { a: 1 };", "await ctx.db.insert('t', defaults);"),
    ("const table = { a: (x) => x, b: (x) => [x] };", "return table[args.kind](args.x);"),
    ("const table = new Map([['a', { n: 1 }]]);", "return table.get(args.x)?.n ?? 0;"),
    ("const roles = new Set(['admin']);", "return roles.has(args.role);"),
    ("const pattern = /^a/;", "return pattern.test(args.text);"),
    ("const pattern = /a/g;", "return args.text.replace(pattern, 'b');"),
    ("const pattern = /a/g;", "return args.text.match(pattern)?.length;"),
    ("const pattern = /a/g;", "return [...args.text.matchAll(pattern)].map((m) => m[0]);"),
    ("const pattern = /,/g;", "return args.text.split(pattern);"),
    ("const pattern = new RegExp('^' + 'a');", "return pattern.test(args.text);"),
    (
        "",
        "const pattern = /a/g; const out = []; let m; while ((m = pattern.exec(args.text))) out.push(m[0]); return out;",
    ),
    ("function helper(list) { list.push(1); return list; }", "return helper([]);"),
    (
        "function helper(target, source) { for (const k in source) target[k] = source[k]; return target; } const d = { a: 1 };",
        "return helper({}, d);",
    ),
    (
        "class Point { constructor(x) { this.x = x; } move(by) { this.x += by; return this; } }",
        "return new Point(1).move(2).x;",
    ),
    (
        "class A { #n = 0; add() { this.#n++; return this; } get n() { return this.#n; } }",
        "return new A().add().n;",
    ),
    ("class A { n = 0; } class B extends A { up() { this.n++; } }", "const b = new B(); b.up(); return b.n;"),
    (
        "class NotFound extends Error { constructor(id) { super('no ' + id); this.id = id; } }",
        "throw new NotFound(args.id);",
    ),
    (
        "class NotFound extends Error {}",
        "try { throw new NotFound('x'); } catch (e) { e.message += '!'; throw e; }",
    ),
    ("class Cache extends Map {}", "const c = new Cache(); c.set(1, 2); return c.get(1);"),
    (
        "const builder = { list: [], add(x) { this.list.push(x); return this; } }; builder.add(1).add(2);",
        "return builder.list.length;",
    ),
    (
        "const registry = []; function register(x) { registry.push(x); } register(1); register(2);",
        "return registry.length;",
    ),
    ("let counter = 0; const ids = ['a', 'b'].map(() => counter++);", "return ids;"),
    ("const memo = {}; for (const x of [1, 2]) memo[x] = x * x;", "return memo[args.x];"),
    (
        "var Kind; (function (Kind) { Kind[(Kind.A = 0)] = 'A'; })(Kind || (Kind = {}));",
        "return Kind[args.k];",
    ),
    (
        "const compose = (...fns) => (x) => fns.reduce((v, f) => f(v), x); const run = compose((x) => x + 1, (x) => [x]);",
        "return run(args.x);",
    ),
    (
        "const withUser = (fn) => query(async (ctx, args) => fn({ ...ctx, user: await ctx.db.get('u') }, args)); export const g = withUser((ctx, args) => { ctx.extra = 1; return ctx.user; });",
        "return 1;",
    ),
    ("const env = process.env;", "return env.KEY;"),
    (
        "",
        "return [Date.now(), Math.random(), new Date().toISOString(), crypto.randomUUID(), process.env.KEY];",
    ),
    (
        "const epoch = new Date(0); const day = new Date('2020-01-01');",
        "return args.t - epoch.getTime() + day.getDay();",
    ),
    ("const format = new Intl.NumberFormat('en');", "return format.format(args.n);"),
    ("const encoder = new TextEncoder();", "return encoder.encode(args.text).length;"),
    ("const decoder = new TextDecoder();", "return decoder.decode(new Uint8Array(4));"),
    (
        "const base = new URL('https://a.example/');",
        "const url = new URL('/x', base); url.searchParams.set('a', args.a); return url.toString();",
    ),
    (
        "",
        "const bytes = new Uint8Array(8); bytes[0] = 1; new DataView(bytes.buffer).setInt8(1, 2); return [...bytes];",
    ),
    ("", "const headers = new Headers(); headers.set('a', 'b'); return headers.get('a');"),
    ("", "function* ids() { let n = 0; while (n < 3) yield n++; } return [...ids()];"),
    (
        "const range = function* (n) { for (let i = 0; i < n; i++) yield i; };",
        "let sum = 0; for (const i of range(3)) sum += i; return sum;",
    ),
    (
        "",
        "const wait = []; for (const x of args.list) wait.push(ctx.db.get(x)); return (await Promise.all(wait)).filter(Boolean);",
    ),
    (
        "",
        "const results = await Promise.allSettled(args.list.map((x) => ctx.db.get(x))); return results.map((r) => r.status);",
    ),
    ("", "const groups = {}; for (const x of args.list) (groups[x.kind] ??= []).push(x); return groups;"),
    ("", "return args.list.reduce((sum, x) => { sum[x] = (sum[x] ?? 0) + 1; return sum; }, {});"),
    (
        "const once = (fn) => (x) => fn(x);",
        "const seen = new Set(); return args.list.filter(once((x) => !seen.has(x) && seen.add(x)));",
    ),
    (
        "const api = new Proxy({}, { get: (_, name) => ({ name }) });",
        "return api[args.x].name + api.messages.name;",
    ),
    (
        "const nested = (path) => new Proxy({}, { get: (_, name) => (name === 'end' ? path.join('/') : nested([...path, name])) }); const api = nested([]);",
        "return api.a.b.end;",
    ),
    ("const tag = (strings, ...values) => strings.raw.join('') + values.length;", "return tag`a${args.x}b`;"),
    ("const marker = Symbol('marker'); const holder = { [marker]: 1 };", "return holder[marker];"),
    ("const MAP = Object.freeze({ a: Object.freeze(['x']) });", "return MAP.a.concat(args.list);"),
    (
        "const MAP = { a: 1 };",
        "return Object.keys(MAP).concat(Object.values(MAP)).concat(Object.entries(MAP).map(([k, v]) => k + v));",
    ),
    ("const MAP = { a: 1 };", "return Object.fromEntries(Object.entries(MAP).map(([k, v]) => [v, k]));"),
    (
        "async function load(ctx) { return await ctx.db.get('x'); }",
        "const x = await load(ctx); x.seen = true; return x;",
    ),
    ("", "console.log('x', args); console.error(new Error('y'));"),
    ("", "try { JSON.parse(args.text); } catch (error) { error.note = 1; return String(error); }"),
    ("", "function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); } return fib(args.n);"),
    ("", "const self = { n: 0, next() { return ++this.n; } }; self.next(); return self.n;"),
    (
        "function Old(x) { this.x = x; } Old.prototype.get = function () { return this.x; };",
        "return new Old(1).get();",
    ),
    (
        "const parse = JSON.parse, keys = Object.keys;",
        "const value = parse(args.text); value.a = keys(value); return value;",
    ),
    ("const has = Object.prototype.hasOwnProperty;", "return has.call(args, 'x');"),
    ("const helpers = await Promise.resolve({ a: 1 });", "return helpers.a;"),
    (
        "const storage = new AsyncLocalStorage();",
        "return storage.run({ n: 1 }, () => { storage.getStore().n = 2; return 1; });",
    ),
    ("const state = {};", "if (typeof window !== 'undefined') window.state = state; return 1;"),
    (
        "",
        "const o = Object.create({ a: 1 }); o.b = 2; Object.defineProperty(o, 'c', { get() { return this.b; } }); return o.c;",
    ),
    (
        "const wrap = (fn) => (...all) => fn.apply(null, all); const go = wrap(wrap((x) => [x]));",
        "const out = go(1); out.push(2); return out;",
    ),
    ("const steps = [(x) => [x], (x) => x];", "return steps.map((step) => step(args.x));"),
    (
        "const DEFAULT = Object.freeze({ size: 10 });",
        "const { size = DEFAULT.size, ...rest } = args; rest.size = size; return rest;",
    ),
    (
        "const schema = { kind: 'object', fields: { a: { kind: 'string' } } }; const check = (s, v) => s.kind === 'object' ? Object.entries(s.fields).every(([k, f]) => check(f, v[k])) : typeof v === s.kind;",
        "return check(schema, args);",
    ),
    (
        "class V { constructor(k) { this.kind = k; } get json() { return { type: this.kind }; } optional() { return new V(this.kind); } } const v = { string: () => new V('string') }; const arg = v.string();",
        "const json = arg.json; json.extra = 1; return arg.optional().json;",
    ),
    ("", "const url = new URL('https://a.example'); url.search = '?a'; return url.href;"),
    (
        "",
        "const stream = new TransformStream({ transform(chunk, out) { out.enqueue(chunk); } }); return stream.readable;",
    ),
    ("", "const d = new Date(args.t); d.setHours(0); return d.getTime();"),
];

#[test]
fn code_that_keeps_nothing_is_verified() {
    let mut refused = Vec::new();
    for (top, body) in CASES {
        let code = program(top, body);
        if let Verdict::Fresh(reasons) = verdict(&code) {
            refused.push(format!("{code}\n    {reasons:?}"));
        }
    }
    assert!(refused.is_empty(), "{} refused:\n{}", refused.len(), refused.join("\n\n"));
}
