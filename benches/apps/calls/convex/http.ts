import { httpRouter } from "convex/server";

import { httpAction } from "./_generated/server";

const http = httpRouter();

// eslint-disable-next-line @typescript-eslint/require-await -- handlers return promises
http.route({ path: "/empty", method: "POST", handler: httpAction(async () => new Response("ok")) });

export default http;
