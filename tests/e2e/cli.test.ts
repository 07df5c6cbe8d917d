import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

import { runApp } from "../src/running-app.ts";
import { eventually } from "../src/server.ts";

const { server, app } = await runApp("basic", { isPushed: false });

describe("the unmodified CLI", () => {
  it("pushes an app and writes its generated files", async () => {
    const output = await app.push();
    expect(output).toContain("Convex functions ready!");
    expect(output).toMatch(/\[\+\] messages\.by_author/);
    expect(readFileSync(join(app.dir, "convex/_generated/api.d.ts"), "utf8")).toContain("counters");
  });

  it("runs functions, internal ones too", async () => {
    const sent = await app.convex("run", "messages:send", '{"author":"ada","body":"hi"}');
    expect(sent.code, sent.output).toBe(0);
    expect(sent.stdout).toMatch(/^"[0-9a-z]{31,37}"\s*$/m);
    expect(sent.output).toContain("'hi'");
    const secret = await app.convex("run", "misc:secret");
    expect(secret.stdout).toContain('"internal"');
    const relayed = await app.convex("run", "misc:relay", '{"name":"cli"}');
    expect(JSON.parse(relayed.stdout)).toEqual({ value: 1, secret: "internal", random: true });
  });

  it("lists the functions when one does not exist", async () => {
    const missing = await app.convex("run", "messages:nope");
    expect(missing.code).not.toBe(0);
    expect(missing.output).toContain("Could not find function for 'messages:nope'");
    expect(missing.output).toContain("messages:send");
  });

  it("shows data, tables and the function specification", async () => {
    expect((await app.convex("data")).stdout).toContain("messages");
    expect((await app.convex("data", "messages")).stdout).toContain('"ada"');
    const spec = JSON.parse((await app.convex("function-spec")).stdout) as { url: string; functions: { identifier?: string }[] };
    expect(spec.url).toBe(server.url);
    expect(spec.functions.map((entry) => entry.identifier)).toContain("messages.js:list");
  });

  it("sets, gets, lists and removes environment variables", async () => {
    expect((await app.convex("env", "set", "SETTING", "one")).code).toBe(0);
    expect((await app.convex("env", "get", "SETTING")).stdout.trim()).toBe("one");
    expect((await app.convex("env", "list")).stdout).toContain("SETTING=one");
    expect((await app.convex("run", "misc:setting")).stdout).toContain('"one"');
    expect((await app.convex("env", "remove", "SETTING")).code).toBe(0);
    expect((await app.convex("env", "list")).stdout).not.toContain("SETTING");
    // The CLI prints nothing for null.
    expect((await app.convex("run", "misc:setting")).stdout.trim()).toBe("");
    const refused = await app.convex("env", "set", "CONVEX_SITE_URL", "x");
    expect(refused.code).not.toBe(0);
    expect(refused.output).toContain("EnvVarNameForbidden");
  });

  it("pushes an edit", async () => {
    app.write("convex/extra.ts", 'import { query } from "./_generated/server";\nexport const version = query({ args: {}, handler: () => 1 });\n');
    await app.push();
    expect((await app.convex("run", "extra:version")).stdout.trim()).toBe("1");
    app.write("convex/extra.ts", 'import { query } from "./_generated/server";\nexport const version = query({ args: {}, handler: () => 2 });\n');
    await app.push();
    expect((await app.convex("run", "extra:version")).stdout.trim()).toBe("2");
  });

  it("deploys and generates code", async () => {
    const deployed = await app.convex("deploy", "--typecheck", "disable", "-y");
    expect(deployed.code, deployed.output).toBe(0);
    const generated = await app.convex("codegen", "--typecheck", "disable");
    expect(generated.code, generated.output).toBe(0);
    const dry = await app.convex("deploy", "--dry-run", "--typecheck", "disable", "-y");
    expect(dry.code, dry.output).toBe(0);
  });

  it("says where the syntax error is and leaves the app running", async () => {
    app.write("convex/broken.ts", "export const = 1;\n");
    const broken = await app.convex("dev", "--once", "--typecheck", "disable");
    expect(broken.code).not.toBe(0);
    expect(broken.output).toContain("broken.ts:1:13");
    app.remove("convex/broken.ts");
    expect((await app.convex("run", "extra:version")).stdout.trim()).toBe("2");
  });

  it("shows what a module throws, with the author's line", async () => {
    app.write("convex/throws.ts", '\nconsole.log("loading");\nfunction load(): number {\n  throw new Error("no configuration");\n}\nexport const value = load();\n');
    const thrown = await app.convex("dev", "--once", "--typecheck", "disable");
    expect(thrown.code).not.toBe(0);
    expect(thrown.output).toContain("Failed to analyze throws.js: Uncaught Error: no configuration");
    expect(thrown.output).toMatch(/at load \(\.\.\/convex\/throws\.ts:4:/);
    expect(thrown.output).toContain("'loading'");
    app.remove("convex/throws.ts");
  });

  it("names the import that is missing", async () => {
    app.write("convex/missing.ts", 'import { gone } from "./extra";\nexport const value: unknown = gone;\n');
    const missing = await app.convex("dev", "--once", "--typecheck", "disable");
    expect(missing.code).not.toBe(0);
    expect(missing.output).toContain("gone");
    app.remove("convex/missing.ts");
  });

  it("explains which document a new schema does not fit, and keeps the old schema", async () => {
    const schema = readFileSync(join(app.dir, "convex/schema.ts"), "utf8");
    app.write("convex/schema.ts", schema.replace("body: v.string() }", "body: v.string(), likes: v.number() }"));
    const failed = await app.convex("dev", "--once", "--typecheck", "disable");
    expect(failed.code).not.toBe(0);
    expect(failed.output).toContain("Schema validation failed.");
    expect(failed.output).toMatch(/Document with ID "[0-9a-z]+" in table "messages" does not match the schema: Object is missing the required field `likes`/);
    expect((await app.convex("run", "messages:send", '{"author":"bob","body":"still works"}')).code).toBe(0);
    app.write("convex/schema.ts", schema);
    await app.push();
  });

  it("backfills an index that is added later, and refuses queries by one that was removed", async () => {
    const schema = readFileSync(join(app.dir, "convex/schema.ts"), "utf8");
    const query = 'import { query } from "./_generated/server";\nexport const byBody = query({ args: {}, handler: async (ctx) => (await ctx.db.query("messages").withIndex("by_body" as never, (q: any) => q.eq("body", "hi")).collect()).length });\n';
    app.write("convex/schema.ts", schema.replace('.index("by_author", ["author"])', '.index("by_author", ["author"]).index("by_body", ["body"])'));
    app.write("convex/extra2.ts", query);
    await app.push();
    expect((await app.convex("run", "extra2:byBody")).stdout.trim()).toBe("1");
    app.write("convex/schema.ts", schema);
    await app.push();
    const refused = await app.convex("run", "extra2:byBody");
    expect(refused.output).toContain("Index messages.by_body not found.");
    app.remove("convex/extra2.ts");
  });

  it("refuses a wrong admin key with a clear text", async () => {
    const response = await fetch(`${server.url}/api/deploy2/start_push`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: "Convex freshet|0000" },
      body: "{}",
    });
    expect(response.status).toBe(401);
    expect(await response.json()).toEqual({ code: "BadAdminKey", message: "The provided admin key was invalid for this instance" });
  });

  it("reloads on save, and streams the log", async () => {
    const dev = app.spawnConvex("dev", "--typecheck", "disable");
    let output = "";
    dev.stdout?.on("data", (chunk: Buffer) => (output += chunk.toString()));
    dev.stderr?.on("data", (chunk: Buffer) => (output += chunk.toString()));
    try {
      await eventually("the first push", () => (output.includes("Convex functions ready!") ? true : undefined), 30_000);
      app.write("convex/extra.ts", 'import { query } from "./_generated/server";\nexport const version = query({ args: {}, handler: () => { console.log("third"); return 3; } });\n');
      await eventually(
        "the new version",
        async () => ((await app.convex("run", "extra:version")).stdout.trim() === "3" ? true : undefined),
        30_000,
      );
      await eventually("the log line", () => (output.includes("'third'") ? true : undefined));
    } finally {
      dev.kill("SIGINT");
    }
  });
});
