/**
 * The peer: what a developer writes by hand instead of using Freshet. One process, node:http, SQLite in it, each request
 * one transaction that is durable before the answer.
 *
 * Usage: node server.mjs DRIVER FILE ACCOUNTS DOCUMENTS
 * Prints its port on the first line.
 */

import { createServer } from "node:http";
import process from "node:process";

import { open } from "./database.mjs";

const BALANCE = 1_000_000;

const [driver, file, accounts, documents] = process.argv.slice(2);
const database = await open(driver, file);
database.exec(`
  CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
  CREATE TABLE documents (id INTEGER PRIMARY KEY, room INTEGER NOT NULL, number INTEGER NOT NULL, author TEXT NOT NULL, body TEXT NOT NULL);
  CREATE INDEX by_number ON documents (number);
  CREATE INDEX by_room ON documents (room);
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${Number(accounts)})
    INSERT INTO accounts SELECT i, ${BALANCE} FROM n WHERE ${Number(accounts)} > 0;
  WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${Number(documents)} - 1)
    INSERT INTO documents SELECT i, i / 1000, i, 'author ' || (i % 100), 'message ' || i || ' of a conversation that nobody reads' FROM n
    WHERE ${Number(documents)} > 0;
`);

const begin = database.prepare("BEGIN IMMEDIATE");
const commit = database.prepare("COMMIT");
const rollback = database.prepare("ROLLBACK");
const readAccount = database.prepare("SELECT balance FROM accounts WHERE id = ?");
const writeAccount = database.prepare("UPDATE accounts SET balance = ? WHERE id = ?");
const sum = database.prepare("SELECT sum(balance) AS total FROM accounts");
const get = database.prepare("SELECT * FROM documents WHERE id = ?");
const collect = database.prepare("SELECT * FROM documents WHERE room = ?");
const range = database.prepare("SELECT * FROM documents WHERE number >= ? ORDER BY number LIMIT 10");

function transfer({ from, to, amount }) {
  begin.run();
  try {
    const sender = readAccount.get(from);
    const receiver = readAccount.get(to);
    if (sender === undefined || receiver === undefined) {
      throw new Error("there is no such account");
    }
    const enough = sender.balance >= amount;
    if (enough) {
      writeAccount.run(sender.balance - amount, from);
      writeAccount.run(receiver.balance + amount, to);
    }
    commit.run();
    return enough;
  } catch (error) {
    rollback.run();
    throw error;
  }
}

const routes = {
  "/transfer": transfer,
  "/balanced": () => sum.get().total === BALANCE * Number(accounts),
  "/get": ({ id }) => get.get(id) ?? null,
  "/collect": ({ room }) => collect.all(room),
  "/range": ({ from }) => range.all(from),
};

const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    try {
      const route = routes[request.url];
      if (route === undefined) {
        throw new Error(`there is no ${request.url}`);
      }
      answer(response, 200, route(JSON.parse(Buffer.concat(chunks).toString())));
    } catch (error) {
      answer(response, 500, { error: String(error) });
    }
  });
});

function answer(response, status, value) {
  const body = JSON.stringify(value);
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) });
  response.end(body);
}

server.keepAliveTimeout = 600_000;
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
