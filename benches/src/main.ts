/** Runs one measurement by name, or all of them. */

import process from "node:process";

const NAMES = ["startup", "recovery", "tokens"];
const wanted = process.argv.slice(2);
const unknown = wanted.find((name) => !NAMES.includes(name));
if (unknown !== undefined) {
  console.error(`there is no benchmark "${unknown}"; choose from: ${NAMES.join(", ")}`);
  process.exit(2);
}
for (const name of wanted.length === 0 ? NAMES : wanted) {
  await import(`./${name}.ts`);
}
