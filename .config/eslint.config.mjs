import { fileURLToPath } from "node:url";
import tseslint from "typescript-eslint";

const root = fileURLToPath(new URL("..", import.meta.url));

/** What the consensus core may not even name: it is a function of its inputs (adr/0002). */
const WORLD = [
  "Date",
  "performance",
  "setTimeout",
  "setInterval",
  "setImmediate",
  "queueMicrotask",
  "process",
  "console",
];

export default tseslint.config(
  { ignores: ["**/dist/**", "**/node_modules/**"] },
  {
    files: ["src/**/*.ts", "shards/**/*.ts", "test/**/*.ts", "bench/**/*.ts"],
    extends: [tseslint.configs.base],
    linterOptions: { reportUnusedDisableDirectives: "error" },
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: root } },
    rules: {
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true, allowDefaultCaseForExhaustiveSwitch: true },
      ],
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/await-thenable": "error",
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/only-throw-error": "error",
      "@typescript-eslint/no-unnecessary-type-assertion": "error",
      "@typescript-eslint/ban-ts-comment": "error",
      "no-empty": "error",
      "no-restricted-syntax": [
        "error",
        { selector: "ExportDefaultDeclaration", message: "Named exports only." },
        {
          selector: "CatchClause > BlockStatement[body.length=0]",
          message: "Say what happens to the failure.",
        },
      ],
      eqeqeq: "error",
      "prefer-const": "error",
      "no-var": "error",
    },
  },
  {
    files: ["shards/raft/**/*.ts"],
    rules: {
      "no-restricted-globals": ["error", ...WORLD],
      "no-restricted-properties": [
        "error",
        { object: "Math", property: "random", message: "Dice are an input." },
      ],
      "no-restricted-syntax": [
        "error",
        { selector: "ExportDefaultDeclaration", message: "Named exports only." },
        { selector: ":function[async=true]", message: "The core never waits." },
        { selector: "AwaitExpression", message: "The core never waits." },
        { selector: "NewExpression[callee.name='Promise']", message: "The core never waits." },
      ],
    },
  },
  {
    files: [".config/*.ts"],
    rules: {},
  },
);
