//! Every program here can leave something behind; none may be verified.

use freshet_analysis::Verdict;

use crate::support::{program, reasons, verdict};

/// Module level, and the body of a function.
const CASES: &[(&str, &str)] = &[
    // Bindings.
    ("let n = 0;", "n = 1;"),
    ("let n = 0;", "n++;"),
    ("let n = 0;", "return ++n;"),
    ("let n = 0;", "n += args.by;"),
    ("let cache;", "cache ??= await ctx.db.get(args.id); return cache;"),
    ("let cache;", "cache ||= 1;"),
    ("let a, b;", "[a, b] = [args.x, 1];"),
    ("let a;", "({ a } = args);"),
    ("let a;", "({ b: a } = args);"),
    ("let a;", "({ b: { c: [a] } } = args);"),
    ("let a;", "({ ...a } = args);"),
    ("let a;", "[...a] = args.list;"),
    ("let a;", "for (a of args.list) {}"),
    ("let a;", "for (a in args) {}"),
    ("let a;", "for ([a] of args.list) {}"),
    ("let a;", "for await (a of args.list) {}"),
    ("export let shown = 0;", "shown = args.x;"),
    ("let n = 0; function bump() { n += 1; }", "bump();"),
    ("let n = 0; const bump = () => (n += 1, 0);", "args.list.map(bump);"),
    ("let n = 0;", "(() => { { label: for (;;) { n = 2; break label; } } })();"),
    ("let n = 0;", "function g(x = n = 3) { return x; } g();"),
    ("let n = 0;", "try { throw 1; } catch { n = 1; } finally { n = 2; }"),
    ("var n;", "return (1, 2, n = 3);"),
    ("", "leaked = 1;"),
    ("", "globalThis.leaked = 1;"),
    ("const g = globalThis;", "g.leaked = 1;"),
    ("", "(0, globalThis)['le' + 'aked'] = args.x;"),
    ("", "self.leaked = 1;"),
    // Objects of the module.
    ("const state = {};", "state.x = 1;"),
    ("const state = {};", "state[args.key] = 1;"),
    ("const state = { n: 0 };", "state.n++;"),
    ("const state = { n: 0 };", "delete state.n;"),
    ("const state = { n: 0 };", "delete state?.n;"),
    ("const state = { inner: { n: 0 } };", "state.inner.n = 1;"),
    ("const state = { inner: { n: 0 } };", "const { inner } = state; inner.n = 1;"),
    (
        "const state = { inner: { n: 0 } };",
        "const { inner: { ...copy }, ...rest } = state; rest.inner.n = 1;",
    ),
    ("const state = { inner: { n: 0 } };", "const copy = { ...state }; copy.inner.n = 1;"),
    ("const state = { inner: { n: 0 } };", "Object.assign({}, state).inner.n = 1;"),
    ("const state = { inner: { n: 0 } };", "Object.entries(state)[0][1].n = 1;"),
    ("const state = { inner: { n: 0 } };", "for (const value of Object.values(state)) value.n = 1;"),
    ("const state = { inner: { n: 0 } };", "for (const key in state) state[key].n = 1;"),
    ("const state = { a: { n: 0 } };", "const { [args.key]: part } = state; part.n = 1;"),
    ("const state = {};", "[state.x] = [1];"),
    ("const state = {};", "({ a: state.x } = args);"),
    ("const state = {};", "for (state.x of args.list) {}"),
    ("const state = {};", "Object.assign(state, args);"),
    ("const state = {};", "Object.defineProperty(state, 'x', { value: 1 });"),
    ("const state = {};", "Object.defineProperties(state, { x: { value: 1 } });"),
    ("const state = {};", "Object.setPrototypeOf(state, args);"),
    ("const state = {};", "Object.freeze(state);"),
    ("const state = {};", "Reflect.set(state, 'x', 1);"),
    ("const state = {};", "Reflect.set({}, 'x', 1, state);"),
    ("const state = {};", "Reflect.deleteProperty(state, 'x');"),
    ("const state = {};", "Reflect.defineProperty(state, 'x', { value: 1 });"),
    ("const state = {};", "state.__proto__ = args;"),
    ("const state = {};", "const alias = args.x ? state : {}; alias.x = 1;"),
    ("const state = {};", "const alias = args.x ?? state; alias.x = 1;"),
    ("const state = {};", "const alias = (0, state); alias.x = 1;"),
    ("const state = {};", "let alias; alias = state; alias.x = 1;"),
    ("const state = {};", "const box = { state }; box.state.x = 1;"),
    ("const state = {};", "const box = [[state]]; box[0][0].x = 1;"),
    ("const state = {};", "const box = new Map([['a', state]]); box.get('a').x = 1;"),
    ("const state = {};", "const box = new Set([state]); for (const s of box) s.x = 1;"),
    ("const state = {};", "const box = new WeakRef(state); box.deref().x = 1;"),
    ("const state = {};", "(await Promise.resolve(state)).x = 1;"),
    ("const state = {};", "await Promise.all([state]).then(([s]) => { s.x = 1; });"),
    ("const state = {};", "await new Promise((resolve) => resolve(state)).then((s) => { s.x = 1; });"),
    ("const state = {};", "const p = Promise.withResolvers(); p.resolve(state); (await p.promise).x = 1;"),
    ("const state = {};", "const then = { then(done) { done(state); } }; (await then).x = 1;"),
    ("const state = {};", "(await (async () => state)()).x = 1;"),
    ("const state = {};", "try { throw state; } catch (e) { e.x = 1; }"),
    ("const state = {};", "try { throw { state }; } catch ({ state: s }) { s.x = 1; }"),
    ("const state = {};", "await Promise.reject(state).catch((e) => { e.x = 1; });"),
    ("const state = {};", "function put(target) { target.x = 1; } put(state);"),
    ("const state = {};", "function put(target) { target.x = 1; } put.call(null, state);"),
    ("const state = {};", "function put(target) { target.x = 1; } put.apply(null, [state]);"),
    ("const state = {};", "function put(target) { target.x = 1; } put.bind(null, state)();"),
    ("const state = {};", "function put() { this.x = 1; } put.bind(state)();"),
    ("const state = {};", "function put() { this.x = 1; } Reflect.apply(put, state, []);"),
    ("const state = {};", "function put() { arguments[0].x = 1; } put(state);"),
    ("const state = {};", "function put(...all) { all[0].x = 1; } put(...[state]);"),
    ("const state = {};", "function put(target = state) { target.x = 1; } put();"),
    ("const state = {};", "function put({ target = state }) { target.x = 1; } put({});"),
    ("const state = {};", "const [target = state] = []; target.x = 1;"),
    ("const state = {}; const get = () => state; const again = () => get();", "again().x = 1;"),
    ("const state = {};", "const box = { get s() { return state; } }; box.s.x = 1;"),
    ("const state = {};", "const box = { set s(v) { v.x = 1; } }; box.s = state;"),
    ("const state = {};", "class Box { get s() { return state; } } new Box().s.x = 1;"),
    ("const state = {};", "class Box { #s = state; put() { this.#s.x = 1; } } new Box().put();"),
    ("const state = {};", "class Box { constructor() { return state; } } new Box().x = 1;"),
    (
        "const state = {};",
        "class A { constructor() { return state; } } class B extends A { y = 1; } new B();",
    ),
    ("const state = {};", "class A { constructor() { return state; } } class B extends A {} new B().x = 1;"),
    ("const state = {};", "function* all() { yield state; } for (const s of all()) s.x = 1;"),
    ("const state = {};", "function* all() { yield* [state]; } [...all()][0].x = 1;"),
    ("const state = {};", "function* all() { return state; } all().next().value.x = 1;"),
    ("const state = {};", "function* all() { (yield).x = 1; } const g = all(); g.next(); g.next(state);"),
    ("const state = {};", "async function* all() { yield state; } for await (const s of all()) s.x = 1;"),
    (
        "const state = {};",
        "const it = { *[Symbol.iterator]() { yield state; } }; for (const s of it) s.x = 1;",
    ),
    (
        "const state = {};",
        "const it = { [Symbol.iterator]: () => ({ next: () => ({ value: state }) }) }; const [s] = it; s.x = 1;",
    ),
    ("const state = {};", "`${{ toString() { state.x = 1; return ''; } }}`;"),
    ("const state = {};", "({ valueOf() { state.x = 1; return 1; } }) + 1;"),
    ("const state = {};", "JSON.stringify({ toJSON() { state.x = 1; } });"),
    ("const state = {};", "JSON.stringify({ a: [{ get b() { state.x = 1; return 1; } }] });"),
    ("const state = {};", "JSON.stringify([1], (key, value) => { state.x = 1; return value; });"),
    ("const state = {};", "JSON.parse('[1]', (key, value) => { state.x = 1; return value; });"),
    ("const state = {};", "1 instanceof { [Symbol.hasInstance]() { state.x = 1; } };"),
    ("const state = {};", "const p = new Proxy(state, {}); p.x = 1;"),
    ("const state = {};", "const p = new Proxy({}, { get: () => state }); p.anything.x = 1;"),
    ("const state = {};", "const p = new Proxy({}, { get() { state.x = 1; } }); p.anything;"),
    ("const state = {};", "const p = new Proxy({}, { has() { state.x = 1; return true; } }); 'a' in p;"),
    ("const state = {};", "const p = new Proxy(function () {}, { apply() { state.x = 1; } }); p();"),
    ("const state = {};", "const tag = (strings, target) => { target.x = 1; }; tag`${state}`;"),
    ("const tag = (strings) => { strings.seen = 1; };", "tag`a`;"),
    ("const memo = new WeakMap(); const tag = (s) => memo.set(s, 1);", "tag`a`;"),
    ("const state = {};", "args.list.forEach(function () { this.x = 1; }, state);"),
    ("const state = {};", "args.list.reduce((target, x) => { target[x] = 1; return target; }, state);"),
    ("const state = {};", "'a'.replace(/a/, () => { state.x = 1; return ''; });"),
    ("const state = {};", "args.list.sort((a, b) => (state.x = 1));"),
    ("const state = {};", "queueMicrotask(() => { state.x = 1; });"),
    ("const state = {};", "Array.from({ length: 1 }, () => { state.x = 1; });"),
    ("const state = {};", "switch (args.x) { case 1: state.x = 1; }"),
    ("const state = {};", "with_: { state.x = 1; break with_; }"),
    ("const state = {};", "ctx.db.query('t').filter((q) => { state.x = 1; return q.eq(1, 1); });"),
    ("const state = {}; const hold = structuredClone({ a: 1 });", "hold.a = 2;"),
    ("const hold = JSON.parse('{}');", "hold.a.b = 2;"),
    ("const state = { a: { n: 0 } };", "Object.entries(state).map(([, value]) => { value.n = 1; });"),
    (
        "const state = { a: { n: 0 } };",
        "Object.entries(state).map((pair) => { pair.reverse(); const [value] = pair; value.n = 1; });",
    ),
    (
        "const state = { a: { n: 0 } };",
        "for (const pair of Object.entries(state)) { const { 1: value } = { ...pair }; value.n = 1; }",
    ),
    // Collections and arrays.
    ("const list = [];", "list.push(1);"),
    ("const list = [];", "list?.push?.(1);"),
    ("const list = [];", "list['pu' + 'sh'](1);"),
    ("const list = [];", "list[args.method](1);"),
    ("const list = [];", "const { push } = list; push.call(list, 1);"),
    ("const list = [];", "Array.prototype.push.call(list, 1);"),
    ("const list = [];", "Reflect.apply([].push, list, [1]);"),
    ("const list = [];", "list.push.apply(list, [1]);"),
    ("const list = []; const add = list.push.bind(list);", "add(1);"),
    ("const list = [];", "list[list.length] = 1;"),
    ("const list = [1];", "list.length = 0;"),
    ("const list = [2, 1];", "return list.sort();"),
    ("const list = [2, 1];", "return list.reverse().map((x) => x);"),
    ("const list = [1];", "list.pop();"),
    ("const list = [1];", "list.splice(0, 1);"),
    ("const list = [1];", "list.fill(0);"),
    ("const list = [1];", "list.copyWithin(0, 1);"),
    ("const list = [1];", "list.concat([]).at(0); list.shift();"),
    ("const list = [{ n: 1 }];", "list.map((item) => { item.n = 2; return item; });"),
    ("const list = [{ n: 1 }];", "list.find((item) => item.n).n = 2;"),
    ("const list = [{ n: 1 }];", "[...list][0].n = 2;"),
    ("const list = [{ n: 1 }];", "list.slice().filter(Boolean)[0].n = 2;"),
    ("const list = [[{ n: 1 }]];", "list.flat()[0].n = 2;"),
    ("const list = [{ n: 1 }];", "Array.from(list)[0].n = 2;"),
    ("const list = [{ n: 1 }];", "Array.from(list, (item) => item)[0].n = 2;"),
    ("const list = [{ n: 1 }];", "list.entries().next().value[1].n = 2;"),
    ("const list = [{ n: 1 }];", "list.values().map((item) => item).toArray()[0].n = 2;"),
    ("const list = [{ n: 1 }];", "const [, ...rest] = list; rest[0].n = 2;"),
    ("const list = [{ n: 1 }];", "list.reduce((a, b) => b).n = 2;"),
    ("const list = [{ n: 1 }];", "list.at(-1).n = 2;"),
    ("const list = [{ n: 1 }];", "Object.groupBy(list, (x) => x.n).a[0].n = 2;"),
    ("const cache = new Map();", "cache.set(args.id, 1);"),
    ("const cache = new Map();", "cache.delete(args.id);"),
    ("const cache = new Map();", "cache.clear();"),
    ("const cache = new Map([['a', new Map()]]);", "cache.get('a').set('b', 1);"),
    ("const cache = new Map([['a', { n: 1 }]]);", "for (const [, value] of cache) value.n = 2;"),
    ("const cache = new Map([['a', { n: 1 }]]);", "cache.forEach((value) => { value.n = 2; });"),
    ("const cache = new Map([['a', { n: 1 }]]);", "[...cache.values()][0].n = 2;"),
    ("const cache = new Map([[{ n: 1 }, 1]]);", "[...cache.keys()][0].n = 2;"),
    ("class Cache extends Map {} const cache = new Cache();", "cache.set(1, 2);"),
    ("const seen = new Set();", "seen.add(args.id);"),
    ("const memo = new WeakMap();", "memo.set(ctx, 1);"),
    ("const memo = new WeakSet();", "memo.add(ctx);"),
    ("const bytes = new Uint8Array(4);", "bytes[0] = 1;"),
    ("const bytes = new Uint8Array(4);", "bytes.set([1]);"),
    ("const bytes = new Uint8Array(4);", "bytes.subarray(1).fill(1);"),
    ("const bytes = new Uint8Array(4);", "new DataView(bytes.buffer).setInt8(0, 1);"),
    ("const bytes = new Uint8Array(4);", "new Uint8Array(bytes.buffer)[0] = 1;"),
    ("const bytes = new Uint8Array(4);", "crypto.getRandomValues(bytes);"),
    ("const bytes = new Uint8Array(4);", "new TextEncoder().encodeInto('a', bytes); bytes.fill(1);"),
    ("const bytes = new Int32Array(new SharedArrayBuffer(4));", "Atomics.add(bytes, 0, 1);"),
    ("const day = new Date(0);", "day.setHours(1);"),
    ("const url = new URL('https://a.example/');", "url.searchParams.append('a', 'b');"),
    ("const url = new URL('https://a.example/');", "url.hash = '#x';"),
    ("const headers = new Headers();", "headers.set('a', 'b');"),
    ("const stop = new AbortController();", "stop.abort();"),
    ("const list = [];", "Function.prototype.call.call(list.push, list, 1);"),
    ("const list = [{ n: 1 }];", "Array.prototype.map.call(list, (item) => { item.n = 2; });"),
    ("const list = [{ n: 1 }];", "[].concat(list)[0].n = 2;"),
    ("const list = [{ n: 1 }];", "for (const [, item] of list.entries()) item.n = 2;"),
    ("const list = [{ n: 1 }];", "for (const item of new Set(list)) item.n = 2;"),
    ("const list = [{ n: 1 }];", "Iterator.from(list).next().value.n = 2;"),
    ("const list = [{ n: 1 }];", "(await Array.fromAsync(list))[0].n = 2;"),
    ("const list = [{ n: 1 }];", "Map.groupBy(list, (x) => x.n).get(1)[0].n = 2;"),
    ("const list = [{ n: 1 }];", "list.toSpliced(0, 0)[0].n = 2;"),
    ("const list = [{ n: 1 }];", "const copy = []; copy.push(...list); copy[0].n = 2;"),
    (
        "const list = [{ n: 1 }];",
        "const copy = []; for (let i = 0; i < list.length; i++) copy[i] = list[i]; copy.pop().n = 2;",
    ),
    ("const list = [{ n: 1 }];", "const [first] = list; ({ first }).first.n = 2;"),
    ("const list = [{ n: 1 }];", "Math.max(...list.map((item) => (item.n = 2)));"),
    ("const map = new Map([['a', { n: 1 }]]);", "Object.fromEntries(map).a.n = 2;"),
    ("const map = new Map([['a', { n: 1 }]]);", "new Map(map).get('a').n = 2;"),
    ("const map = new WeakMap([[globalThis, { n: 1 }]]);", "map.get(globalThis).n = 2;"),
    ("const state = {};", "Array.of(state)[0].x = 1;"),
    ("const state = {};", "const o = Object.create(state); Object.getPrototypeOf(o).x = 1;"),
    ("const state = {};", "const o = { __proto__: state }; o.__proto__.x = 1;"),
    ("const state = { inner: {} };", "Object.create(state).inner.x = 1;"),
    ("const state = {};", "(await Promise.race([state])).x = 1;"),
    ("const state = {};", "(await Promise.any([state])).x = 1;"),
    ("const state = {};", "(await Promise.allSettled([state]))[0].value.x = 1;"),
    (
        "const state = {};",
        "await Promise.resolve().then(() => state).finally(() => {}).then((s) => { s.x = 1; });",
    ),
    ("const state = Promise.resolve({});", "(await state).x = 1;"),
    ("const state = {}; async function get() { return state; }", "(await get()).x = 1;"),
    ("const state = {};", "await Promise.try(() => state).then((s) => { s.x = 1; });"),
    ("const state = {};", "setTimeout((s) => { s.x = 1; }, 0, state);"),
    ("const state = {};", "JSON.parse('[1]', () => state).x = 1;"),
    ("const state = {};", "+{ [Symbol.toPrimitive]() { state.x = 1; return 1; } };"),
    ("const state = {};", "({})[{ toString() { state.x = 1; return 'a'; } }];"),
    ("const state = {};", "String({ toString() { state.x = 1; return 'a'; } });"),
    ("const state = {};", "[{ toString() { state.x = 1; return 'a'; } }].join();"),
    ("const state = {};", "({ valueOf() { state.x = 1; return 1; } }) < 2;"),
    ("const state = {};", "console.log({ get a() { state.x = 1; return 1; } });"),
    ("const state = {};", "const { a } = { get a() { state.x = 1; return 1; } };"),
    ("const state = {};", "({ ...{ get a() { state.x = 1; return 1; } } });"),
    ("const state = {};", "Object.assign({ set a(v) { state.x = v; } }, { a: 1 });"),
    ("const state = {};", "Object.values({ get a() { state.x = 1; return 1; } });"),
    (
        "const state = {};",
        "const key = args.k; const o = { get [key]() { state.x = 1; return 1; } }; o.anything;",
    ),
    (
        "const state = {};",
        "const o = {}; Object.defineProperty(o, 'late', { get() { state.x = 1; return 1; } }); o.late;",
    ),
    (
        "const state = {};",
        "const o = {}; Object.defineProperty(o, 'late', { set(v) { v.x = 1; } }); o.late = state;",
    ),
    (
        "const box = { get s() { return this.inner; }, inner: {} };",
        "Object.getOwnPropertyDescriptor(box, 's').get.call(box).x = 1;",
    ),
    ("const box = { s: {} };", "Object.getOwnPropertyDescriptor(box, 's').value.x = 1;"),
    ("const box = { s: {} };", "Object.getOwnPropertyDescriptors(box).s.value.x = 1;"),
    ("const box = { s: {} };", "Reflect.get(box, 's').x = 1;"),
    ("const box = { s: {} };", "Reflect.get(box, args.k).x = 1;"),
    (
        "const make = () => { const list = []; return class { add(x) { list.push(x); } }; }; const List = make();",
        "new List().add(1);",
    ),
    ("const curry = (a) => (b) => (c) => a.push(b, c); const add = curry([]);", "add(1)(2);"),
    (
        "const state = {}; const put = (key, target) => { target[key] = 1; }; const bound = put.bind(null, 'x');",
        "bound(state);",
    ),
    ("class A { constructor(s) { s.x = 1; } } const state = {};", "Reflect.construct(A, [state]);"),
    ("class A { constructor(s) { s.x = 1; } } class B extends A {} const state = {};", "new B(...[state]);"),
    ("class A { static state = {}; } class B extends A {}", "B.state.x = 1;"),
    ("class A { static make() { return this; } } ", "A.make().x = 1;"),
    ("class A { put() { super.x = 1; } } const a = new A();", "a.put();"),
    (
        "class A { put() { this.inner.x = 1; } } class B extends A { inner = {}; } const b = new B();",
        "b.put();",
    ),
    ("const a = new (class { #list = []; add(x) { this.#list.push(x); } })();", "a.add(1);"),
    ("const a = { m() { return this; } };", "a.m().x = 1;"),
    ("const a = { m() { return () => this; } };", "a.m()().x = 1;"),
    ("function F() {} F.prototype.put = function () { this.x = 1; }; const a = new F();", "a.put();"),
    ("function F() { if (!new.target) return state; } const state = {};", "F().x = 1;"),
    ("function G() { G.calls = (G.calls || 0) + 1; }", "G();"),
    ("const f1 = function self() { self.calls = 1; };", "f1();"),
    ("const state = {};", "const o = { fn: null }; o.fn = () => state; o.fn().x = 1;"),
    ("const state = {};", "const o = { fn: () => state }; (o?.fn?.()).x = 1;"),
    ("const state = { list: [] };", "const { list: { push } } = state; push.bind(state.list)(1);"),
    ("const state = {};", "const s = args.x && state; s && (s.x = 1);"),
    ("const state = {};", "let s = null; s ??= state; s.x = 1;"),
    ("const state = {};", "do { var s = state; } while (false); s.x = 1;"),
    ("const state = {};", "args.box = state; args.box.x = 1;"),
    ("const state = {};", "const row = await ctx.db.get('a'); row.deep.er = state; row.deep.er.x = 1;"),
    ("const state = {};", "ctx.state = state; (function (c) { c.state.x = 1; })(ctx);"),
    (
        "const state = {};",
        "function* g() { try { yield 1; } finally { state.x = 1; } } for (const x of g()) break;",
    ),
    (
        "const state = {};",
        "const it = { [Symbol.iterator]() { return { next: () => ({ done: false }), return() { state.x = 1; return {}; } }; } }; for (const x of it) break;",
    ),
    (
        "const state = {};",
        "const it = { async *[Symbol.asyncIterator]() { yield state; } }; for await (const s of it) s.x = 1;",
    ),
    (
        "const state = {};",
        "const p = new Proxy({}, { ownKeys() { state.x = 1; return []; } }); Object.keys(p);",
    ),
    (
        "const state = {};",
        "const p = new Proxy({}, { deleteProperty() { state.x = 1; return true; } }); delete p.a;",
    ),
    (
        "const state = {};",
        "const p = new Proxy(class {}, { construct() { state.x = 1; return {}; } }); new p();",
    ),
    ("const state = {};", "const p = new Proxy({ state }, {}); p.state.x = 1;"),
    ("const p = new Proxy({}, { set() { return true; } });", "p.x = 1;"),
    ("const state = {};", "'a'.replace({ [Symbol.replace]() { state.x = 1; return ''; } }, '');"),
    ("const state = {};", "new Map([[1, state]]).forEach((v) => { v.x = 1; });"),
    ("const state = {};", "new Map().getOrInsertComputed(1, () => state).x = 1;"),
    (
        "const state = {};",
        "new Set([1]).union({ size: 1, has: () => true, keys() { state.x = 1; return [].values(); } });",
    ),
    ("const state = {};", "const e = new Error('x', { cause: state }); e.cause.x = 1;"),
    ("const state = {};", "new AggregateError([state]).errors[0].x = 1;"),
    (
        "const state = {};",
        "class E extends Error { constructor(s) { super('x'); this.s = s; } } try { throw new E(state); } catch (e) { e.s.x = 1; }",
    ),
    ("let hits = 0; const log = { info() { hits++; } };", "log[args.level]();"),
    ("let hits = 0; const log = { info() { hits++; } }; const { info } = log;", "info();"),
    ("let hits = 0; const steps = [() => hits++, () => 2];", "for (const step of steps) step();"),
    ("let hits = 0; const steps = [() => hits++, () => 2];", "return steps[args.i]();"),
    ("let hits = 0; const steps = new Map([['a', () => hits++]]);", "steps.get(args.a)?.();"),
    ("let hits = 0; const chain = { then(done) { hits++; done(1); } };", "return await chain;"),
    ("let hits = 0; const on = {}; Object.assign(on, { go: () => hits++ });", "on.go();"),
    (
        "let hits = 0; const wrap = (fn) => (...all) => fn.apply(null, all); const go = wrap(wrap(() => hits++));",
        "go();",
    ),
    (
        "let hits = 0; const reducers = { add: (s) => ({ ...s, n: hits++ }) };",
        "return Object.keys(reducers).reduce((s, k) => reducers[k](s), {});",
    ),
    ("const state = {};", "using held = { [Symbol.dispose]() { state.x = 1; } };"),
    ("const bytes = new Uint8Array(4);", "bytes.setFromBase64('aaaa');"),
    ("", "Map.invented(1);"),
    // Iterators, patterns, generators.
    ("const pattern = /a/g;", "return pattern.test(args.text);"),
    ("const pattern = /a/y;", "return pattern.exec(args.text);"),
    ("const pattern = /a/y;", "return args.text.replace(pattern, '');"),
    ("const pattern = new RegExp('a', 'g');", "return pattern.test(args.text);"),
    ("const flags = 'gi'; const pattern = new RegExp('a', flags);", "return pattern.test(args.text);"),
    ("const pattern = /a/;", "pattern.lastIndex = 1;"),
    ("const numbers = [1, 2].values();", "return numbers.next().value;"),
    ("const numbers = [1, 2].values();", "return [...numbers];"),
    ("const numbers = [1, 2].values();", "return Array.from(numbers);"),
    ("const numbers = [1, 2].values();", "for (const n of numbers) return n;"),
    ("const numbers = [1, 2].values();", "const [n] = numbers; return n;"),
    ("const numbers = new Map([[1, 2]]).entries();", "return new Map(numbers);"),
    ("const ids = (function* () { let n = 0; while (true) yield n++; })();", "return ids.next().value;"),
    (
        "const ids = (function* () { let n = 0; while (true) yield n++; })();",
        "return ids.map((x) => x).next();",
    ),
    // Functions and classes as places to keep things.
    ("function memo() {}", "memo.last = args.x;"),
    ("class Counter { static n = 0; }", "Counter.n++;"),
    ("class Counter { static n = 0; static next() { return ++this.n; } }", "return Counter.next();"),
    ("class Counter { static #n = 0; static next() { return ++Counter.#n; } }", "return Counter.next();"),
    ("class Counter { static state = {}; static { this.get = () => this.state; } }", "Counter.get().x = 1;"),
    (
        "class Counter { n = 0; next() { return ++this.n; } } const counter = new Counter();",
        "return counter.next();",
    ),
    ("class A { n = 0; next = () => ++this.n; } class B extends A {} const b = new B();", "return b.next();"),
    (
        "class A { put() { this.x = 1; } } class B extends A { put() { super.put(); } } const b = new B();",
        "b.put();",
    ),
    ("class A {}", "A.prototype.x = 1;"),
    ("class A {} const a = new A();", "Object.getPrototypeOf(a).x = 1;"),
    ("class A {} const a = new A();", "a.constructor.x = 1;"),
    ("class A { set x(v) { this.y = v; } } const a = new A();", "a.x = 1;"),
    ("class A { get x() { return this.y = 1; } } const a = new A();", "return a.x;"),
    ("class A { get x() { return (this.y ??= 1); } } const a = new A();", "const { x } = a; return x;"),
    ("const next = (() => { let n = 0; return () => ++n; })();", "return next();"),
    (
        "const once = (fn) => { let v; return () => (v ??= fn()); }; const get = once(() => ({}));",
        "return get();",
    ),
    ("const handlers = { a(state) { state.x = 1; } }; const state = {};", "handlers[args.name](state);"),
    ("const { promise, resolve } = Promise.withResolvers();", "resolve(args.x); return promise;"),
    (
        "const state = {};",
        "new ReadableStream({ start(c) { c.enqueue(state); } }).getReader().read().then((r) => { r.value.x = 1; });",
    ),
    ("const state = {};", "for await (const chunk of ReadableStream.from([state])) chunk.x = 1;"),
    (
        "const state = {};",
        "new TransformStream({ transform(chunk) { chunk.x = 1; } }).writable.getWriter().write(state);",
    ),
    ("const state = {};", "new CustomEvent('a', { detail: state }).detail.x = 1;"),
    ("const state = {};", "AbortSignal.abort(state).reason.x = 1;"),
    ("const target = new EventTarget();", "target.addEventListener('a', () => {});"),
    ("const storage = new AsyncLocalStorage();", "storage.enterWith(1);"),
    (
        "const storage = new AsyncLocalStorage(); const state = {};",
        "storage.run(state, () => { storage.getStore().x = 1; });",
    ),
    // The realm.
    ("", "Array.prototype.last = 1;"),
    ("", "[].__proto__.last = 1;"),
    ("", "Object.getPrototypeOf([]).last = 1;"),
    ("", "({}).constructor.prototype.x = 1;"),
    ("", "Object.prototype.x = 1;"),
    ("", "Math.x = 1;"),
    ("", "const { prototype } = Map; prototype.get = 1;"),
    ("", "URL.mark = 1;"),
    ("Array.prototype.last = function () {};", "return 1;"),
    ("Object.defineProperty(Array.prototype, 'last', { value: 1 });", "return 1;"),
    ("globalThis.registry ??= {};", "return 1;"),
    ("(function () { Error.stackTraceLimit = 50; })();", "return 1;"),
    ("", "return RegExp.$1;"),
    ("", "return RegExp.lastMatch;"),
    ("", "return eval('1');"),
    ("", "return new Function('return 1')();"),
    ("", "return (() => {}).constructor('return 1')();"),
    ("", "return someGlobal(1);"),
    ("", "return import(args.path);"),
    ("", "console.count();"),
    ("", "new FinalizationRegistry(() => {});"),
    // What differs from one evaluation to the next.
    ("const started = Date.now();", "return started;"),
    ("const started = new Date();", "return started.getTime();"),
    ("const id = Math.random();", "return id;"),
    ("const id = crypto.randomUUID();", "return id;"),
    ("const key = process.env.KEY;", "return key;"),
    ("const { KEY } = process.env;", "return KEY;"),
    ("const config = { ...process.env };", "return config.x;"),
    ("const env = process.env; const key = env.KEY;", "return key;"),
    ("function now() { return Date.now(); } class Clock { static start = now(); }", "return Clock.start;"),
    ("const start = performance.now();", "return start;"),
];

#[test]
fn every_way_to_keep_state_is_noticed() {
    let mut missed = Vec::new();
    for (top, body) in CASES {
        let code = program(top, body);
        let found = verdict(&code);
        // Refused for what it does, not for being a bad example.
        let own = reasons(&found)
            .iter()
            .any(|reason| reason.module == "app.js" && !reason.message.starts_with("is "));
        if !own {
            missed.push(code);
        }
    }
    assert!(missed.is_empty(), "{} verified by mistake:\n{}", missed.len(), missed.join("\n\n"));
}

#[test]
fn functions_that_are_exported_but_not_registered_are_checked_too() {
    for code in [
        "const list = []; export function add(x) { list.push(x); }",
        "let n = 0; export default function () { n++; }",
        "const state = {}; export const put = (key) => { state[key] = 1; };",
    ] {
        assert!(matches!(verdict(code), Verdict::Fresh(_)), "{code}");
    }
}

#[test]
fn reasons_say_what_and_where() {
    let found = verdict(&program("let cache;\nconst history = [];", "\ncache = 1;\n  history.push(1);"));
    let found = reasons(&found);
    let told: Vec<(&str, u32, u32, &str)> = found
        .iter()
        .map(|reason| (reason.module.as_str(), reason.line, reason.column, reason.message.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("app.js", 4, 0, "assigns the module-level variable `cache`"),
            ("app.js", 5, 2, "calls `push` on `history`, which outlives the call"),
        ]
    );
}

#[test]
fn columns_count_utf16_units_and_the_number_of_reasons_is_bounded() {
    let names: Vec<String> = (0..40).map(|n| format!("v{n}")).collect();
    let body: String = names.iter().map(|name| format!(" {name} = 1;")).collect();
    let found = verdict(&program(&format!("let {};", names.join(", ")), &format!("'𝒳';{body}")));
    let found = reasons(&found);
    assert_eq!(found.len(), 32);
    assert_eq!((found[0].line, found[0].column), (2, 52));
}

#[test]
fn a_reason_comes_with_the_code_that_it_quotes_and_its_place() {
    let found = verdict(&program("const cache = {};", "'𝒳'; cache\n.entry = args;"));
    let [reason] = reasons(&found) else { panic!("{found:?}") };
    let quoted = reason.quoted.as_ref().expect("the message quotes code");
    assert_eq!(reason.message, "changes `cache .entry`, which outlives the call");
    assert_eq!((quoted.text.as_str(), quoted.line, quoted.column), ("cache\n.entry", 2, 52));
}
