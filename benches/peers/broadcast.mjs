/**
 * The bare broadcast: what is left of a live query when there is no query. One process, the npm package `ws`; each message
 * that names a mutation changes one element of a list in memory and sends the whole list to everybody.
 *
 * Usage: node broadcast.mjs MESSAGES [deflate]
 * Prints its port on the first line.
 */

import process from "node:process";

import { WebSocketServer } from "ws";

const [messages, deflate] = process.argv.slice(2);
const FILLER = "a message of a conversation that goes on and on, and about which nobody has anything to say";
const list = Array.from({ length: Number(messages) }, (_, position) => ({
  _creationTime: 1_700_000_000_000 + position,
  _id: `j57${String(position).padStart(29, "0")}`,
  author: `author ${position % 7}`,
  body: `v=0 ${position} ${FILLER}`,
  channel: 0,
  position,
}));

let versions = 0;

/** As large as a Transition of the protocol with this list. */
function frame() {
  const version = { querySet: 1, identity: 0, ts: Buffer.from(String(versions).padStart(8, "0")).toString("base64") };
  const modification = { type: "QueryUpdated", queryId: 0, value: list, logLines: [], journal: null };
  const transition = { type: "Transition", startVersion: version, endVersion: version, modifications: [modification] };
  return Buffer.from(JSON.stringify({ ...transition, clientClockSkew: 0, serverTs: 1_700_000_000_000_000 + versions }));
}

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: deflate === "deflate" ? { threshold: 0 } : false }, () =>
  console.log(server.address().port),
);
server.on("connection", (socket) => {
  socket.on("error", () => socket.terminate());
  socket.on("message", (data) => {
    const message = JSON.parse(data.toString());
    if (message.type === "ModifyQuerySet") {
      socket.send(frame(), { binary: false });
    } else if (message.type === "Mutation") {
      const [{ position, version }] = message.args;
      list[position].body = `v=${version} ${position} ${FILLER}`;
      versions += 1;
      const update = frame();
      for (const client of server.clients) {
        client.send(update, { binary: false });
      }
    }
  });
});
