import { httpActionGeneric, httpRouter } from "convex/server";

const http = httpRouter();

/** The way to upload that the documentation shows for HTTP actions. */
http.route({
  path: "/send",
  method: "POST",
  handler: httpActionGeneric(async (ctx, request) => {
    const blob = await request.blob();
    return Response.json({ id: await ctx.storage.store(blob) });
  }),
});

http.route({
  path: "/fetch",
  method: "GET",
  handler: httpActionGeneric(async (ctx, request) => {
    const id = new URL(request.url).searchParams.get("id") ?? "";
    const blob = await ctx.storage.get(id as never);
    return blob === null ? new Response("gone", { status: 404 }) : new Response(blob);
  }),
});

export default http;
