import vm from "node:vm";

import { describe, expect, it } from "vitest";

import { Realm, SHARED_CLASSES } from "../src/realm.ts";

function inRealm(code: string, realm = new Realm("transaction", { isShared: true })): unknown {
  return vm.runInContext(`"use strict"; ${code}`, realm.context);
}

/** Everything that can be reached from the global by properties and prototypes, with a way to it. */
const REACHABLE = `
  const found = new Map();
  const pending = [[globalThis, "globalThis"]];
  const syntax = { generator: function* () {}, async: async () => {}, asyncGenerator: async function* () {}, values: [].values(),
    mapValues: new Map().values(), setValues: new Set().values(), characters: ""[Symbol.iterator](), matches: "".matchAll(/x/g),
    segments: new Intl.Segmenter().segment("") };
  for (const [name, value] of Object.entries(syntax)) {
    pending.push([Object.getPrototypeOf(value), "(" + name + ")"]);
  }
  while (pending.length > 0) {
    const [value, way] = pending.pop();
    if ((typeof value !== "object" && typeof value !== "function") || value === null || found.has(value)) continue;
    found.set(value, way);
    for (const key of Reflect.ownKeys(value)) {
      const property = Reflect.getOwnPropertyDescriptor(value, key);
      for (const part of [property.value, property.get, property.set]) pending.push([part, way + "." + String(key)]);
    }
    pending.push([Reflect.getPrototypeOf(value), way + ".__proto__"]);
  }
  found;
`;

describe("a shared realm", () => {
  it("has nothing that code can change, but what is compared and what is the thread's", () => {
    const realm = new Realm("transaction", { isShared: true });
    const found = inRealm(REACHABLE, realm) as Map<object, string>;
    const regExpPrototype = inRealm("RegExp.prototype", realm);
    const threads = new Set<unknown>();
    const pending: unknown[] = [...Object.values(SHARED_CLASSES), Object.prototype, Function.prototype];
    for (let value = pending.pop(); value !== undefined || pending.length > 0; value = pending.pop()) {
      if (((typeof value !== "object" || value === null) && typeof value !== "function") || threads.has(value)) {
        continue;
      }
      threads.add(value);
      for (const key of Reflect.ownKeys(value)) {
        const property = Reflect.getOwnPropertyDescriptor(value, key);
        pending.push(property?.value, property?.get, property?.set);
      }
      pending.push(Reflect.getPrototypeOf(value));
    }
    const changeable = [...found].filter(([object]) => !threads.has(object) && object !== regExpPrototype && !Object.isFrozen(object));
    expect(changeable.map(([, way]) => way)).toEqual([]);
    expect(found.size).toBeGreaterThan(500);
  });

  it.each([
    "globalThis.left = 1;",
    "Object.prototype.left = 1;",
    "Object.getPrototypeOf([]).left = 1;",
    "Array.prototype.map = () => [];",
    "delete Array.prototype.map;",
    "Math.left = 1;",
    "JSON.parse = () => 1;",
    "Date.now = () => 1;",
    "Error.stackTraceLimit = 0;",
    "Error.prepareStackTrace = () => 1;",
    "Promise.prototype.then = () => 1;",
    "Object.getPrototypeOf(function* () {}).left = 1;",
    "Object.getPrototypeOf(async function () {}).left = 1;",
    "Object.getPrototypeOf(Object.getPrototypeOf([].values())).left = 1;",
    "console.log = () => 1;",
    "crypto.subtle.digest = () => 1;",
    "Convex.syscall = () => 1;",
    "process.env = {};",
    "Object.prototype.toString = () => 1;",
    "Object.setPrototypeOf(Array.prototype, {});",
  ])("refuses %s", (code) => {
    let thrown: unknown;
    try {
      inRealm(code);
    } catch (error) {
      thrown = error;
    }
    expect(String(thrown)).toMatch(/^TypeError: Cannot|is not extensible/);
  });

  it("lets ordinary code give objects properties of its own that others inherit", () => {
    const code = `
      class MyError extends Error { constructor(text) { super(text); this.name = "MyError"; this.message = text + "!"; } }
      const Old = function () {};
      Old.prototype.toString = function () { return "old"; };
      Old.prototype.constructor = Old;
      const plain = {}; plain.toString = () => "plain"; plain.valueOf = () => 7; plain.hasOwnProperty = 1;
      const list = []; list.toString = () => "list";
      const f = () => 1; f.toString = () => "f"; f.bind = 3;
      const error = new MyError("m");
      [error.name, error.message, Object.keys(error).join(), String(new Old()), String(plain), plain + 1, Object.keys(plain).length,
        String(list), String(f), f.bind, new TypeError("t").toString()];
    `;
    expect([...(inRealm(code) as unknown[])]).toEqual(["MyError", "m!", "name", "old", "plain", 8, 3, "list", "f", 3, "TypeError: t"]);
  });

  it("is not intact once the prototype of regular expressions is changed in any way", () => {
    for (const code of [
      "RegExp.prototype.exec = () => null;",
      "RegExp.prototype.left = 1;",
      "delete RegExp.prototype.test;",
      "Object.defineProperty(RegExp.prototype, 'flags', { get: () => 'g' });",
      "Object.setPrototypeOf(RegExp.prototype, null);",
    ]) {
      const realm = new Realm("transaction", { isShared: true });
      expect(realm.isIntact()).toBe(true);
      inRealm(code, realm);
      expect([code, realm.isIntact()]).toEqual([code, false]);
    }
  });

  it("forgets the last match", () => {
    const realm = new Realm("transaction", { isShared: true });
    inRealm("/s(.)c/.exec('secret');", realm);
    expect(inRealm("RegExp.$1 + RegExp.lastMatch", realm)).toBe("esec");
    realm.isIntact();
    expect(inRealm("RegExp.$1 + RegExp.lastMatch + RegExp.input", realm)).toBe("");
  });
});
