/**
 * Names, at the very end of a run, the tests that passed only when they were tried again, with what they said the first time.
 * A run that is all green except for them is green, since a machine that others share may stall for longer than any
 * patience, but nobody overlooks them.
 */

import type { Reporter, TestModule } from "vitest/node";

export class FlakyReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        if (test.diagnostic()?.flaky === true) {
          const causes = (test.result().errors ?? []).map(({ message, stack }) => `\n  ${stack ?? message}`);
          console.log(`FLAKY: ${module.relativeModuleId} > ${test.fullName} passed at the second try${causes.join("")}`);
        }
      }
    }
  }
}
