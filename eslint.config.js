// Lint rules for every TypeScript and JavaScript file of the project. Formatting is not linted.
import js from "@eslint/js";
import { defineConfig, globalIgnores } from "eslint/config";
import reactHooks from "eslint-plugin-react-hooks";
import globals from "globals";
import tseslint from "typescript-eslint";

export default defineConfig(
  globalIgnores([
    "target/**",
    "**/node_modules/**",
    "**/dist/**",
    "**/.venv/**",
    // Data of local servers, and copies of apps that tests push.
    "**/.freshet/**",
    "tests/.work/**",
    // Written by the `convex` CLI.
    "**/_generated/**",
  ]),
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
  },
  js.configs.recommended,
  {
    files: ["**/*.{ts,tsx,mts,cts}"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      // `interface` and `type` say different things to a reader; keep both.
      "@typescript-eslint/consistent-type-definitions": "off",
      // Numbers and booleans read well in templates; objects are still refused.
      "@typescript-eslint/restrict-template-expressions": [
        "error",
        { allowNumber: true, allowBoolean: true },
      ],
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      eqeqeq: ["error", "always"],
    },
  },
  {
    files: ["**/*.{js,mjs,cjs}"],
    languageOptions: { globals: globals.node },
    rules: { eqeqeq: ["error", "always"] },
  },
  {
    // Handlers are `async` by convention, whether they wait for anything or not.
    files: ["**/convex/**/*.ts"],
    rules: { "@typescript-eslint/require-await": "off" },
  },
  {
    files: ["examples/*/src/**/*.{ts,tsx}"],
    extends: [reactHooks.configs.flat["recommended-latest"]],
    languageOptions: { globals: globals.browser },
  },
);
