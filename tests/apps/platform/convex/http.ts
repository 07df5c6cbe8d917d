import { httpRouter } from "convex/server";

import { httpMeta } from "./host";

const http = httpRouter();
http.route({ path: "/meta", method: "GET", handler: httpMeta });
export default http;
