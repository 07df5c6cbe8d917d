import { httpRouter } from "convex/server";

import { api } from "./_generated/api";
import { httpAction } from "./_generated/server";

const http = httpRouter();

http.route({
  path: "/me",
  method: "GET",
  handler: httpAction(async (ctx) => {
    try {
      const own = await ctx.auth.getUserIdentity();
      const mine: string[] = await ctx.runQuery(api.users.mine, {});
      return Response.json({ subject: own?.subject ?? null, mine });
    } catch (error) {
      return Response.json({ error: String(error) }, { status: 401 });
    }
  }),
});

/** Has tokens of its own, and never asks who its caller is. */
http.route({
  path: "/webhook",
  method: "POST",
  handler: httpAction(async (_ctx, request) => new Response(request.headers.get("authorization"))),
});

http.route({
  path: "/.well-known/openid-configuration",
  method: "GET",
  handler: httpAction(async () => {
    const issuer = process.env.CONVEX_SITE_URL;
    return Response.json({ issuer, jwks_uri: `${issuer}/.well-known/jwks.json` });
  }),
});

http.route({
  path: "/.well-known/jwks.json",
  method: "GET",
  handler: httpAction(async () => new Response(process.env.OWN_JWKS, { headers: { "content-type": "application/json" } })),
});

export default http;
