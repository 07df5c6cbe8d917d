/** Runs one measurement by name, or all of them. */

import process from "node:process";

const NAMES = ["startup", "recovery", "tokens", "transfer", "reads", "growth", "fanout", "calls", "deploy", "hostile", "scheduler", "files"];
// Options belong to the one benchmark that is named first.
const options = process.argv.findIndex((argument) => argument.startsWith("-"));
const wanted = process.argv.slice(2, options === -1 ? undefined : options);
const unknown = wanted.find((name) => !NAMES.includes(name));
if (unknown !== undefined) {
  console.error(`there is no benchmark "${unknown}"; choose from: ${NAMES.join(", ")}`);
  process.exit(2);
}
if (options !== -1 && wanted.length !== 1) {
  console.error("options need the name of one benchmark before them");
  process.exit(2);
}
for (const name of wanted.length === 0 ? NAMES : wanted) {
  await import(`./${name}.ts`);
}
