import { httpRouter } from "convex/server";

import { api } from "./_generated/api";
import { httpAction } from "./_generated/server";

const http = httpRouter();

http.route({
  path: "/echo",
  method: "POST",
  handler: httpAction(async (_ctx, request) => {
    const text = await request.text();
    return new Response(text.toUpperCase(), {
      status: 201,
      headers: { "X-Method": request.method, "X-Path": new URL(request.url).pathname },
    });
  }),
});

/** Sends each piece of the request body back as soon as it arrives. */
http.route({
  path: "/duplex",
  method: "POST",
  handler: httpAction(async (_ctx, request) => new Response(request.body?.pipeThrough(new TransformStream()) ?? null)),
});

/** Writes one line at a time. */
http.route({
  path: "/ticks",
  method: "GET",
  handler: httpAction(async () => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const write = async (): Promise<void> => {
      const writer = writable.getWriter();
      for (let tick = 0; tick < 5; tick += 1) {
        await writer.write(new TextEncoder().encode(`tick ${tick}\n`));
        await new Promise((wake) => setTimeout(wake, 100));
      }
      await writer.close();
    };
    void write();
    return new Response(readable);
  }),
});

/** Answers before it has read what it was sent. */
http.route({
  path: "/impatient",
  method: "POST",
  handler: httpAction(async () => new Response("enough")),
});

/** Never ends, but counts until its client leaves. */
http.route({
  path: "/stream",
  method: "GET",
  handler: httpAction(async (ctx, request) => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const write = async (): Promise<void> => {
      while (!request.signal.aborted) {
        await writer.write(new TextEncoder().encode("more\n"));
        await new Promise((wake) => setTimeout(wake, 20));
      }
      await ctx.runMutation(api.counters.add, { name: "left", by: 1 });
      await writer.close();
    };
    void write();
    return new Response(readable);
  }),
});

/** Has no answer until its client leaves. */
http.route({
  path: "/silent",
  method: "GET",
  handler: httpAction(async (ctx, request) => {
    await ctx.runMutation(api.counters.add, { name: "silent began", by: 1 });
    await new Promise((resolve) => { request.signal.addEventListener("abort", resolve); });
    await ctx.runMutation(api.counters.add, { name: "silent left", by: 1 });
    return new Response("nobody reads this");
  }),
});

http.route({
  pathPrefix: "/count/",
  method: "GET",
  handler: httpAction(async (ctx, request) => {
    const name = new URL(request.url).pathname.slice("/count/".length);
    return Response.json({ name, value: await ctx.runMutation(api.counters.add, { name, by: 1 }) });
  }),
});

http.route({
  path: "/fail",
  method: "GET",
  handler: httpAction(async () => {
    throw new Error("http on purpose");
  }),
});

export default http;
