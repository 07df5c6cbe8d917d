/**
 * Translates the lines of stacks into the author's sources, in action hosts. Lanes ask the engine, whose rules are the
 * same: see `crates/functions/src/stack.rs`. Nothing here fails: a line that cannot be translated is left out.
 */

import { SourceMap } from "node:module";

/** Sources of the client package's server side: between the host and the handler, of no interest to the author. */
const CLIENT_PACKAGE_INTERNALS = "convex/src/server/impl/";
/** Parsed maps; more modules than this do not occur in one stack, nor in those that follow each other. */
const MAPS_MAX = 64;

interface Translated {
  text: string;
  /** Dropped at either end of the stack. */
  isInternal: boolean;
}

/** Gives the source map of a module as JSON text; `undefined` when there is no such module, or none for it. */
export type SourceMapReader = (path: string) => string | undefined;

export class StackTranslator {
  readonly #read: SourceMapReader;
  readonly #maps = new Map<string, SourceMap | undefined>();

  constructor(read: SourceMapReader) {
    this.#read = read;
  }

  translate(lines: string[]): string[] {
    const translated = lines.map((line) => this.#line(line)).filter((line) => line !== undefined);
    const first = translated.findIndex((line) => !line.isInternal);
    const last = translated.findLastIndex((line) => !line.isInternal);
    return first < 0 ? [] : translated.slice(first, last + 1).map((line) => line.text);
  }

  #line(line: string): Translated | undefined {
    const call = /^ *at (.*)$/.exec(line)?.[1];
    if (call === undefined) {
      return undefined;
    }
    const named = /^(.*) \((.*)\)$/.exec(call);
    const isAsync = call.startsWith("async ");
    const name = named?.[1] ?? (isAsync ? "async <anonymous>" : "<anonymous>");
    const location = named?.[2] ?? (isAsync ? call.slice("async ".length) : call);
    if (location.startsWith("index ")) {
      return { text: `    at ${name} (${location})`, isInternal: true };
    }
    const place = /^(.*):(\d+):(\d+)$/.exec(location);
    const map = place?.[1] === undefined ? undefined : this.#mapOf(place[1]);
    if (place === null || map === undefined) {
      return undefined;
    }
    const entry = map.findEntry(Number(place[2]) - 1, Number(place[3]) - 1);
    if (!("originalSource" in entry)) {
      return undefined;
    }
    const { originalSource, originalLine, originalColumn } = entry;
    return {
      text: `    at ${name} (${originalSource}:${originalLine + 1}:${originalColumn + 1})`,
      isInternal: originalSource.includes(CLIENT_PACKAGE_INTERNALS),
    };
  }

  /** The map of the module that a file name or URL ends in. */
  #mapOf(file: string): SourceMap | undefined {
    let path = file.replace(/[?#].*$/, "");
    for (;;) {
      const map = this.#map(path);
      if (map !== undefined) {
        return map;
      }
      const slash = path.indexOf("/");
      if (slash < 0) {
        return undefined;
      }
      path = path.slice(slash + 1);
    }
  }

  #map(path: string): SourceMap | undefined {
    if (this.#maps.has(path)) {
      return this.#maps.get(path);
    }
    const text = this.#read(path);
    if (text === undefined) {
      return undefined;
    }
    let map: SourceMap | undefined;
    try {
      map = new SourceMap(JSON.parse(text) as ConstructorParameters<typeof SourceMap>[0]);
    } catch {
      map = undefined;
    }
    if (this.#maps.size >= MAPS_MAX) {
      this.#maps.clear();
    }
    this.#maps.set(path, map);
    return map;
  }
}
