/**
 * What functions may rely on, item by item: each check throws when something is not as it should be. They run in queries,
 * mutations and actions alike.
 */

function same(actual: unknown, expected: unknown): void {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== b) {
    throw new Error(`${a} instead of ${b}`);
  }
}

function throws(run: () => unknown, name: string): void {
  try {
    run();
  } catch (error) {
    same((error as Error).name, name);
    return;
  }
  throw new Error(`no ${name}`);
}

const text = (bytes: ArrayBuffer | Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (value: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(value);
const hex = (buffer: ArrayBuffer): string => [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

export const checks: Record<string, () => unknown> = {
  globals: () => {
    same(globalThis === self, true);
    const absent = ["global", "window", "document", "Buffer", "require", "module", "XMLHttpRequest", "WebSocket", "Worker"];
    same(absent.filter((name) => name in globalThis), []);
    const present = [
      ...["BigInt", "Proxy", "Intl", "WeakRef", "FinalizationRegistry", "WebAssembly", "SharedArrayBuffer", "console"],
      ...["TextEncoder", "TextDecoder", "TextEncoderStream", "TextDecoderStream", "atob", "btoa", "URL", "URLSearchParams"],
      ...["Headers", "Request", "Response", "FormData", "Blob", "File", "fetch", "ReadableStream", "ReadableStreamDefaultReader"],
      ...["ReadableStreamBYOBReader", "WritableStream", "WritableStreamDefaultWriter", "TransformStream", "Event", "EventTarget"],
      ...["AbortController", "AbortSignal", "DOMException", "crypto", "Crypto", "CryptoKey", "SubtleCrypto", "setTimeout"],
      ...["setInterval", "clearTimeout", "clearInterval", "AsyncLocalStorage", "AsyncResource", "performance", "Performance"],
      ...["PerformanceEntry", "PerformanceMark", "PerformanceMeasure", "structuredClone"],
    ];
    same(present.filter((name) => !(name in globalThis)), []);
  },
  noCodeFromStrings: () => {
    throws(() => (0, eval)("1"), "EvalError");
    // eslint-disable-next-line @typescript-eslint/no-implied-eval -- that it is refused is the point
    throws(() => new Function("return 1"), "EvalError");
  },
  encoding: () => {
    same(text(bytes("grün 😀")), "grün 😀");
    same([...bytes("é")], [195, 169]);
    same(new TextEncoder().encodeInto("abc", new Uint8Array(2)), { read: 2, written: 2 });
    same(new TextDecoder("utf-16le").decode(new Uint8Array([104, 0, 105, 0])), "hi");
    throws(() => new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array([255])), "TypeError");
    const decoder = new TextDecoder();
    same(decoder.decode(new Uint8Array([226, 130]), { stream: true }) + decoder.decode(new Uint8Array([172])), "€");
    same([btoa("hi"), atob("aGk=")], ["aGk=", "hi"]);
    throws(() => btoa("😀"), "InvalidCharacterError");
    throws(() => atob("*"), "InvalidCharacterError");
  },
  url: () => {
    const url = new URL("../b?x=1&y=a%20b#top", "https://user:pw@example.com:8443/a/c");
    same(url.href, "https://user:pw@example.com:8443/b?x=1&y=a%20b#top");
    same([url.origin, url.host, url.pathname, url.search, url.hash], ["https://example.com:8443", "example.com:8443", "/b", "?x=1&y=a%20b", "#top"]);
    url.searchParams.append("z", "ü");
    url.pathname = "/new path";
    url.hash = "";
    same(url.toString(), "https://user:pw@example.com:8443/new%20path?x=1&y=a+b&z=%C3%BC");
    same(new URL("http://BÜCHER.example/").hostname, "xn--bcher-kva.example");
    same([URL.canParse("x:"), URL.canParse("x")], [true, false]);
    throws(() => new URL("nonsense"), "TypeError");
    const params = new URLSearchParams([["b", "2"], ["a", "1"], ["b", "3"]]);
    params.sort();
    params.delete("a");
    same([...params], [["b", "2"], ["b", "3"]]);
    same([params.getAll("b"), params.has("c"), String(new URLSearchParams({ q: "a&b" }))], [["2", "3"], false, "q=a%26b"]);
  },
  headers: () => {
    const headers = new Headers({ "Content-Type": "text/plain" });
    headers.append("X-A", "1");
    headers.append("x-a", "2");
    same([headers.get("X-A"), headers.has("content-type"), [...headers]], ["1, 2", true, [["content-type", "text/plain"], ["x-a", "1, 2"]]]);
    headers.append("Set-Cookie", "a=1");
    headers.append("Set-Cookie", "b=2");
    same(headers.getSetCookie(), ["a=1", "b=2"]);
    throws(() => { headers.set("bad name", "x"); }, "TypeError");
  },
  request: async () => {
    const request = new Request("https://example.com/x", { method: "post", headers: { "X-A": "1" }, body: JSON.stringify({ a: 1 }) });
    same([request.method, request.url, request.headers.get("x-a")], ["POST", "https://example.com/x", "1"]);
    const copy = request.clone();
    same([await request.json(), await copy.text(), request.bodyUsed], [{ a: 1 }, '{"a":1}', true]);
    throws(() => new Request("https://example.com", { method: "GET", body: "x" }), "TypeError");
    const aborted = new Request("https://example.com", { signal: AbortSignal.abort() });
    same(aborted.signal.aborted, true);
  },
  response: async () => {
    const response = new Response("hi", { status: 201, statusText: "Made", headers: { "X-A": "1" } });
    same([response.status, response.statusText, response.ok, response.headers.get("content-type")], [201, "Made", true, "text/plain;charset=UTF-8"]);
    const copy = response.clone();
    same([await response.text(), text(await copy.arrayBuffer())], ["hi", "hi"]);
    const json = Response.json({ a: [1] }, { status: 202 });
    same([json.status, json.headers.get("content-type"), await json.json()], [202, "application/json", { a: [1] }]);
    const redirect = Response.redirect("https://example.com/y", 307);
    same([redirect.status, redirect.headers.get("location"), Response.error().type], [307, "https://example.com/y", "error"]);
    same((await new Response(new Uint8Array([1, 2])).blob()).size, 2);
    throws(() => new Response("", { status: 199 }), "RangeError");
    same(await new Response(null, { status: 204 }).text(), "");
  },
  blobsAndFiles: async () => {
    const blob = new Blob(["ab", new Uint8Array([99])], { type: "text/plain" });
    same([blob.size, blob.type, await blob.text(), await blob.slice(1, 3).text()], [3, "text/plain", "abc", "bc"]);
    same(text(await blob.arrayBuffer()), "abc");
    same(await new Response(blob.stream()).text(), "abc");
    const file = new File(["x"], "a.txt", { type: "text/html", lastModified: 5 });
    same([file.name, file.lastModified, file.type, await file.text(), file instanceof Blob], ["a.txt", 5, "text/html", "x", true]);
  },
  formData: () => {
    const form = new FormData();
    form.append("a", "1");
    form.append("a", "2");
    form.set("f", new Blob(["x"]), "x.bin");
    same([form.getAll("a"), (form.get("f") as File).name, form.has("b"), [...form.keys()]], [["1", "2"], "x.bin", false, ["a", "a", "f"]]);
    form.delete("a");
    same(form.has("a"), false);
  },
  readableStreams: async () => {
    const stream = new ReadableStream<string>({
      start(controller) {
        controller.enqueue("a");
        controller.enqueue("b");
        controller.close();
      },
    });
    const [one, two] = stream.tee();
    const parts: string[] = [];
    for await (const part of one) {
      parts.push(part);
    }
    const reader = two.getReader();
    same([parts, await reader.read(), await reader.read(), (await reader.read()).done], [["a", "b"], { done: false, value: "a" }, { done: false, value: "b" }, true]);
    const failing = new ReadableStream({ pull(controller) { controller.error(new Error("broken")); } });
    same(await failing.getReader().read().catch((error: unknown) => (error as Error).message), "broken");
  },
  byteStreams: async () => {
    const stream = new ReadableStream({
      type: "bytes",
      start(controller) {
        controller.enqueue(new Uint8Array([1, 2, 3]));
        controller.close();
      },
    });
    const reader = stream.getReader({ mode: "byob" });
    const { value } = await reader.read(new Uint8Array(2));
    same([...(value ?? [])], [1, 2]);
  },
  transforms: async () => {
    const written: string[] = [];
    const upper = new TransformStream<string, string>({ transform: (part, controller) => { controller.enqueue(part.toUpperCase()); } });
    const sink = new WritableStream<string>({ write: (part) => { written.push(part); } });
    const piped = upper.readable.pipeTo(sink);
    const writer = upper.writable.getWriter();
    await writer.write("a");
    await writer.write("b");
    await writer.close();
    await piped;
    same(written, ["A", "B"]);
    const source = new ReadableStream<string>({ start(controller) { controller.enqueue("grün"); controller.close(); } });
    const decoded: string[] = [];
    for await (const part of source.pipeThrough(new TextEncoderStream()).pipeThrough(new TextDecoderStream())) {
      decoded.push(part);
    }
    same(decoded.join(""), "grün");
  },
  events: () => {
    const target = new EventTarget();
    const seen: string[] = [];
    target.addEventListener("ping", (event) => { seen.push(event.type); }, { once: true });
    target.dispatchEvent(new Event("ping"));
    target.dispatchEvent(new Event("ping"));
    same(seen, ["ping"]);
    const event = new Event("x", { cancelable: true });
    event.preventDefault();
    same(event.defaultPrevented, true);
  },
  aborting: () => {
    const controller = new AbortController();
    const reasons: unknown[] = [];
    controller.signal.addEventListener("abort", () => { reasons.push(controller.signal.reason); });
    const any = AbortSignal.any([controller.signal, new AbortController().signal]);
    controller.abort("why");
    same([reasons, any.aborted, any.reason], [["why"], true, "why"]);
    same((AbortSignal.abort().reason as DOMException).name, "AbortError");
    throws(() => { AbortSignal.abort().throwIfAborted(); }, "AbortError");
    const error = new DOMException("text", "NotFoundError");
    same([error.name, error.message, error instanceof Error], ["NotFoundError", "text", true]);
  },
  cloning: () => {
    const source = { map: new Map([["k", new Set([1n])]]), date: new Date(5), bytes: new Uint8Array([1]), list: [undefined, null] };
    const clone = structuredClone(source);
    same([clone.map.get("k")?.has(1n), clone.date.getTime(), [...clone.bytes], clone.list.length, clone === source], [true, 5, [1], 2, false]);
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    const copy = structuredClone(cycle);
    same(copy.self === copy, true);
    throws(() => structuredClone(() => 1), "DataCloneError");
  },
  digests: async () => {
    const digest = async (name: string): Promise<string> => hex(await crypto.subtle.digest(name, bytes("abc"))).slice(0, 16);
    same(
      [await digest("SHA-1"), await digest("SHA-256"), await digest("SHA-384"), await digest("SHA-512")],
      ["a9993e364706816a", "ba7816bf8f01cfea", "cb00753f45a35e8b", "ddaf35a193617aba"],
    );
  },
  symmetricCrypto: async () => {
    const data = bytes("secret message");
    for (const [name, parameters] of [
      ["AES-CBC", { iv: new Uint8Array(16) }],
      ["AES-CTR", { counter: new Uint8Array(16), length: 64 }],
      ["AES-GCM", { iv: new Uint8Array(12) }],
    ] as const) {
      const key = await crypto.subtle.importKey("raw", new Uint8Array(16).fill(7), name, true, ["encrypt", "decrypt"]);
      const sealed = await crypto.subtle.encrypt({ name, ...parameters }, key, data);
      same([name, text(await crypto.subtle.decrypt({ name, ...parameters }, key, sealed))], [name, "secret message"]);
      same((await crypto.subtle.exportKey("jwk", key)).kty, "oct");
    }
  },
  hmac: async () => {
    const key = await crypto.subtle.importKey("raw", bytes("key"), { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);
    const mac = await crypto.subtle.sign("HMAC", key, bytes("The quick brown fox jumps over the lazy dog"));
    same(hex(mac), "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
    same(await crypto.subtle.verify("HMAC", key, mac, bytes("something else")), false);
  },
  derivation: async () => {
    const password = await crypto.subtle.importKey("raw", bytes("password"), "PBKDF2", false, ["deriveBits", "deriveKey"]);
    const bits = await crypto.subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt: bytes("salt"), iterations: 1 }, password, 256);
    same(hex(bits), "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b");
    const secret = await crypto.subtle.importKey("raw", new Uint8Array(22).fill(11), "HKDF", false, ["deriveBits"]);
    const info = new Uint8Array([240, 241, 242, 243, 244, 245, 246, 247, 248, 249]);
    const salt = new Uint8Array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    same(hex(await crypto.subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt, info }, secret, 336)).slice(0, 32), "3cb25f25faacd57a90434f64d0362f2a");
    const derived = await crypto.subtle.deriveKey({ name: "PBKDF2", hash: "SHA-256", salt: bytes("s"), iterations: 1 }, password, { name: "AES-GCM", length: 128 }, true, ["encrypt"]);
    same((await crypto.subtle.exportKey("raw", derived)).byteLength, 16);
  },
  ed25519: async () => {
    const key = await crypto.subtle.importKey("raw", Uint8Array.from("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a".match(/../g) ?? [], (byte) => parseInt(byte, 16)), "Ed25519", true, ["verify"]);
    const signature = Uint8Array.from(
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b".match(/../g) ?? [],
      (byte) => parseInt(byte, 16),
    );
    same(await crypto.subtle.verify("Ed25519", key, signature, new Uint8Array()), true);
    same(await crypto.subtle.verify("Ed25519", key, signature, bytes("x")), false);
  },
  randomness: () => {
    same(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/.test(crypto.randomUUID()), true);
    same(crypto.getRandomValues(new Uint8Array(32)).some((byte) => byte !== 0), true);
    throws(() => crypto.getRandomValues(new Uint8Array(65_537)), "QuotaExceededError");
    same(Math.random() !== Math.random(), true);
  },
  internationalization: () => {
    same(new Date(0).toLocaleString(), "1/1/1970, 12:00:00 AM");
    same([new Intl.NumberFormat().resolvedOptions().locale, Intl.DateTimeFormat().resolvedOptions().timeZone], ["en-US", "UTC"]);
    same(new Intl.NumberFormat("de-DE", { style: "currency", currency: "EUR" }).format(1234.5), "1.234,50\u00a0€");
    same(["z", "ä", "a"].sort(new Intl.Collator("de").compare), ["a", "ä", "z"]);
    same(new Intl.PluralRules("en-US", { type: "ordinal" }).select(2), "two");
    same([...new Intl.Segmenter("en", { granularity: "grapheme" }).segment("👨‍👩‍👧e")].length, 2);
    same(new Intl.ListFormat("en").format(["a", "b"]), "a and b");
    same("I".toLocaleLowerCase("tr"), "ı");
    same(new Date(2020, 0, 1).getTimezoneOffset(), 0);
  },
  asyncLocalStorage: async () => {
    const storage = new (globalThis as unknown as { AsyncLocalStorage: new () => { run: <T>(value: string, inside: () => T) => T; getStore: () => string | undefined } }).AsyncLocalStorage();
    const inside = await storage.run("inside", async () => {
      await Promise.resolve();
      return storage.getStore();
    });
    same([inside, storage.getStore() ?? null], ["inside", null]);
  },
  webAssembly: async () => {
    // (module (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))
    const code = new Uint8Array([
      ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 2, 127, 127, 1, 127, 3, 2, 1, 0, 7, 7, 1, 3, 97, 100, 100, 0, 0],
      ...[10, 9, 1, 7, 0, 32, 0, 32, 1, 106, 11],
    ]);
    const exported = (instance: WebAssembly.Instance): unknown => (instance.exports.add as (a: number, b: number) => number)(2, 3);
    same(exported(new WebAssembly.Instance(new WebAssembly.Module(code))), 5);
    same(exported((await WebAssembly.instantiate(code)).instance), 5);
    same(exported(await WebAssembly.instantiate(await WebAssembly.compile(code))), 5);
  },
  languageFeatures: () => {
    same([1, 2, 3].at(-1), 3);
    same(Object.fromEntries(Object.entries({ a: 1 }).map(([key, value]) => [key + key, value])), { aa: 1 });
    same([3, 1].toSorted(), [1, 3]);
    same(2n ** 64n === 18446744073709551616n, true);
    same(/(?<year>\d{4})/u.exec("in 2024")?.groups?.year, "2024");
    const proxy = new Proxy({}, { get: (_target, name) => String(name) });
    same((proxy as { any: string }).any, "any");
    same(new WeakRef(proxy).deref() === proxy, true);
    throws(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1), "TypeError");
  },
  performance: () => {
    same([typeof performance.now(), performance.now() >= 0, typeof performance.timeOrigin], ["number", true, "number"]);
  },
  environment: () => {
    same([process.env.CONVEX_CLOUD_URL?.startsWith("http"), process.env.NOT_SET ?? null], [true, null]);
  },
};

/** Runs every check and tells which failed. */
export async function failures(): Promise<string[]> {
  const failed: string[] = [];
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
    } catch (error) {
      failed.push(`${name}: ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`);
    }
  }
  return failed;
}
