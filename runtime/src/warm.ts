/**
 * Warm realms: contexts in which the modules of one version of the code are evaluated already, for calls of modules
 * that may share one.
 *
 * A realm serves one function at a time, so that what its code asks of the engine is always that function's; a nested
 * call takes another. A realm that a call may have left unlike a fresh one is not used again. What a module does while
 * it is evaluated must be the same every time: one that uses randomness, prints, or needs an environment that is
 * protected against changes less than this one is evaluated afresh for each call, as if it had been decided so from the
 * beginning.
 *
 * This file decides nothing about which modules may share; the engine does.
 */

import process from "node:process";

import type { Addon } from "./addon.ts";
import { type CodeCache, ModuleGraph } from "./modules.ts";
import { CAN_SHARE, Realm, type RealmHost } from "./realm.ts";

/** Modules that share because nothing can be kept, and modules that share although it can, are kept apart. */
export type WarmGroup = "verified" | "reuse";

/** Realms that wait for calls, of one version and group. As many as calls were ever nested in another, within reason. */
const IDLE_REALMS_MAX = 4;
/** Versions of the code: the live one, and the one that calls on a slightly older snapshot still run. */
const VERSIONS_MAX = 2;

/** Needed of the environment that a module saw while it was evaluated. */
interface EnvironmentReader {
  readEnvironment(name: string): string | undefined;
}

/** Since Node 24 the asynchronous context is V8's own; before, every promise of the thread would pay for it. */
const TRACKING_IS_CHEAP = Number.parseInt(process.versions.node) >= 24;

type Invoke = (args: string) => unknown;

export class WarmRealm {
  readonly realm: Realm;
  readonly group: WarmGroup;
  readonly version: string;
  readonly #graph: ModuleGraph;
  readonly #namespaces = new Map<string, Record<string, unknown>>();
  readonly #functions = new Map<string, Invoke>();
  /** Variables that modules read while they were evaluated. */
  readonly #environment = new Map<string, string | undefined>();
  #isPure = true;
  /** Whether modules took hold of the Web API while they were evaluated. */
  #holdsWebApi = false;

  constructor(version: string, group: WarmGroup, read: (path: string) => string | undefined, cache: CodeCache) {
    this.realm = new Realm("transaction", {
      isShared: true,
      tracksCallers: group === "reuse" || TRACKING_IS_CHEAP,
    });
    this.version = version;
    this.group = group;
    this.#graph = new ModuleGraph({ realm: this.realm, read, version, cache, dynamicImport: false });
  }

  /** Binds the realm to one function. */
  attach(host: RealmHost): void {
    this.realm.attach(host);
    this.realm.usedWebApi = this.#holdsWebApi;
  }

  /** False once something was evaluated that may come out differently another time. */
  get isPure(): boolean {
    return this.#isPure;
  }

  noteImpure(): void {
    this.#isPure = false;
  }

  noteEnvironment(name: string, value: string | undefined): void {
    this.#environment.set(name, value);
    if (this.group === "verified") {
      this.#isPure = false;
    }
  }

  /** Whether the modules would see the same variables again. Whoever asks depends on them from now on. */
  hasSameEnvironment(reader: EnvironmentReader): boolean {
    let isSame = true;
    for (const [name, value] of this.#environment) {
      isSame = reader.readEnvironment(name) === value && isSame;
    }
    return isSame;
  }

  /** The exports of a module that is evaluated already. */
  namespace(path: string): Record<string, unknown> | undefined {
    return this.#namespaces.get(path);
  }

  /** Evaluates a module. Fails with what it threw. */
  async load(path: string): Promise<Record<string, unknown>> {
    const namespace = await this.#graph.load(path);
    this.#holdsWebApi = this.realm.usedWebApi;
    this.#namespaces.set(path, namespace);
    return namespace;
  }

  /** A function that was looked up before. */
  function(key: string): Invoke | undefined {
    return this.#functions.get(key);
  }

  remember(key: string, invoke: Invoke): void {
    this.#functions.set(key, invoke);
  }
}

/** The warm realms of one lane. */
export class WarmRealms {
  readonly #addon: Addon;
  readonly #lane: number;
  readonly #cache: CodeCache;
  /** By version, least recently used first. */
  readonly #versions = new Map<string, Version>();

  constructor(lane: number, addon: Addon, cache: CodeCache) {
    this.#lane = lane;
    this.#addon = addon;
    this.#cache = cache;
  }

  /** A realm for one function, or nothing if the module has to be evaluated afresh for each call. */
  take(version: string, group: WarmGroup, path: string, reader: EnvironmentReader): WarmRealm | undefined {
    const known = this.#version(version);
    if (!CAN_SHARE || known.unshareable.has(path)) {
      return undefined;
    }
    for (let realm = known.idle[group].pop(); realm !== undefined; realm = known.idle[group].pop()) {
      if (realm.hasSameEnvironment(reader)) {
        return realm;
      }
    }
    return new WarmRealm(version, group, (module) => this.#addon.laneModule(this.#lane, module) ?? undefined, this.#cache);
  }

  /** Takes back a realm whose function is over, if the next one can use it. */
  give(warm: WarmRealm): void {
    warm.realm.detach();
    const idle = this.#versions.get(warm.version)?.idle[warm.group];
    if (idle !== undefined && idle.length < IDLE_REALMS_MAX && warm.isPure && warm.realm.isIntact()) {
      idle.push(warm);
    }
  }

  /** From now on the module is evaluated afresh for each call. */
  refuse(version: string, path: string): void {
    this.#version(version).unshareable.add(path);
  }

  #version(name: string): Version {
    const known = this.#versions.get(name) ?? { idle: { verified: [], reuse: [] }, unshareable: new Set<string>() };
    if (this.#newest !== name) {
      this.#newest = name;
      this.#versions.delete(name);
      this.#versions.set(name, known);
      for (const oldest of this.#versions.keys()) {
        if (this.#versions.size <= VERSIONS_MAX) {
          break;
        }
        this.#versions.delete(oldest);
      }
    }
    return known;
  }

  #newest: string | undefined;
}

interface Version {
  idle: Record<WarmGroup, WarmRealm[]>;
  /** Modules that turned out not to be fit for sharing. */
  unshareable: Set<string>;
}

