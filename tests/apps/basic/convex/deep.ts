/** Imported by functions of both runtimes, so that the bundler puts it into a shared chunk of each. */
export function failDeep(): never {
  throw new Error("deep on purpose");
}
