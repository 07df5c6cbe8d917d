import { actionGeneric as action, mutationGeneric as mutation, queryGeneric as query } from "convex/server";
import { v } from "convex/values";

import { failures } from "./checks";

export const inQuery = query({ args: {}, handler: async () => await failures() });
export const inMutation = mutation({ args: {}, handler: async () => await failures() });
export const inAction = action({ args: {}, handler: async () => await failures() });

/** What queries and mutations refuse, with the texts of their errors. */
async function refusals(): Promise<Record<string, string>> {
  const attempts: Record<string, () => unknown> = {
    fetch: async () => await fetch("http://127.0.0.1:9"),
    setTimeout: () => setTimeout(() => undefined, 1),
    setInterval: () => setInterval(() => undefined, 1),
    generateKey: async () => await crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, true, ["sign"]),
  };
  const texts: Record<string, string> = {};
  for (const [name, attempt] of Object.entries(attempts)) {
    try {
      await attempt();
      texts[name] = "allowed";
    } catch (error) {
      texts[name] = (error as Error).message;
    }
  }
  return texts;
}

export const refusedInQuery = query({ args: {}, handler: async () => await refusals() });
export const refusedInMutation = mutation({ args: {}, handler: async () => await refusals() });

const until = async (ms: number): Promise<void> => { await new Promise((wake) => setTimeout(wake, ms)); };

/** What only actions may do. */
export const onlyActions = action({
  args: { url: v.string() },
  handler: async (_ctx, { url }) => {
    const order: string[] = [];
    const canceled = setTimeout(() => order.push("canceled"), 1);
    clearTimeout(canceled);
    const ticks = setInterval(() => order.push("tick"), 5);
    setTimeout(() => order.push("timeout"), 2);
    while (order.length < 3) {
      await until(5);
    }
    clearInterval(ticks);

    const streamed = await fetch(`${url}/echo`, {
      method: "POST",
      headers: { "X-A": "1" },
      // eslint-disable-next-line @typescript-eslint/ban-ts-comment -- Node's types do not know it
      // @ts-ignore
      duplex: "half",
      body: new ReadableStream({
        start(controller) {
          controller.enqueue(new TextEncoder().encode("str"));
          controller.enqueue(new TextEncoder().encode("eam"));
          controller.close();
        },
      }),
    });
    const form = new FormData();
    form.append("a", "1");
    form.append("f", new Blob(["file"]), "x.txt");
    const posted = await (await fetch(`${url}/echo`, { method: "POST", body: form })).text();
    const parsed = await new Response(form).formData();
    const urlencoded = await new Request("http://x", { method: "POST", body: new URLSearchParams({ q: "a b" }) }).formData();
    const aborted = await fetch(`${url}/never`, { signal: AbortSignal.timeout(20) }).catch((error: unknown) => (error as Error).name);
    const redirected = await fetch(`${url}/redirect`);
    const scheme = await fetch("file:///etc/passwd").catch(() => "refused");

    const pair = (await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]));
    const data = new TextEncoder().encode("data");
    const ecdsa = { name: "ECDSA", hash: "SHA-256" };
    const signed = await crypto.subtle.verify(ecdsa, pair.publicKey, await crypto.subtle.sign(ecdsa, pair.privateKey, data), data);
    const rsa = (await crypto.subtle.generateKey(
      { name: "RSA-OAEP", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" },
      true,
      ["encrypt", "decrypt"],
    ));
    const sealed = await crypto.subtle.encrypt({ name: "RSA-OAEP" }, rsa.publicKey, data);
    const opened = new TextDecoder().decode(await crypto.subtle.decrypt({ name: "RSA-OAEP" }, rsa.privateKey, sealed));
    const exported = (await crypto.subtle.exportKey("spki", rsa.publicKey)).byteLength > 200;
    const before = [Date.now(), performance.now()] as const;
    await until(15);
    const moves = [Date.now() - before[0] >= 10, performance.now() - before[1] >= 10];
    return {
      order: order.includes("timeout") && order.includes("tick") && !order.includes("canceled"),
      streamed: [streamed.status, streamed.headers.get("x-seen"), await streamed.text()],
      posted: posted.includes('name="a"') && posted.includes('filename="x.txt"') && posted.includes("file"),
      parsed: [parsed.get("a"), (parsed.get("f") as File).name, urlencoded.get("q")],
      aborted,
      redirected: [redirected.redirected, await redirected.text()],
      scheme,
      crypto: [signed, opened, exported],
      moves,
    };
  },
});
