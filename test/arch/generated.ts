/** The parts of the README that are made from tables in the code. */
import { ERRORS } from "../../src/api/errors.ts";
import {
  OPTIONS,
  OPTION_NAMES,
  environmentName,
  flagOf,
  type NumberRow,
  type OptionRow,
} from "../../src/config/options.ts";
import { METRICS } from "../../src/observability/metrics.ts";
import { refusalRows } from "../support/qdrant-refusals.ts";

const SECTIONS: Readonly<Record<string, () => string>> = {
  options: optionsTable,
  errors: errorsTable,
  metrics: metricsTable,
  refusals: () => table(["feature", "a request for it", "400 `UNSUPPORTED` says"], refusalRows()),
};

/** The text with everything between its markers made anew; RangeError for a marker that names nothing or has no end. */
export function regenerate(text: string): string {
  return text.replace(/<!-- generated:(\w+) -->\n[\s\S]*?<!-- \/generated:\1 -->/g, (_, name: string) => {
    const make = SECTIONS[name];
    if (make === undefined) throw new RangeError(`nothing is generated under the name ${name}`);
    return `<!-- generated:${name} -->\n${make()}\n<!-- /generated:${name} -->`;
  });
}

function optionsTable(): string {
  return table(
    ["option", "flag", "default", "bounds", "what and why"],
    OPTION_NAMES.map((name) => {
      const row: OptionRow = OPTIONS[name];
      return [
        `\`${name}\``,
        `\`${flagOf(name)}\``,
        row.kind === "number" ? numberDefault(row) : defaultOf(row),
        boundsOf(row),
        [row.about, row.reason].filter((part) => part !== "").join(" "),
      ];
    }),
  ).concat(
    `\n\nIn the environment \`${OPTION_NAMES[0]}\` is \`${environmentName(OPTION_NAMES[0] ?? "node.id")}\`, and so on. ` +
      "Bytes take `KiB`, `MiB`, `GiB`, times `s`, `m`, `h`, shares `%`.",
  );
}

function numberDefault(row: NumberRow): string {
  return row.default === null ? "-" : quantity(row, row.default);
}

function defaultOf(row: Exclude<OptionRow, NumberRow>): string {
  if (row.default === null) return "-";
  return `\`${String(row.default)}\``;
}

function boundsOf(row: OptionRow): string {
  switch (row.kind) {
    case "number":
      return `${quantity(row, row.min)} to ${quantity(row, row.max)}`;
    case "choice":
      return row.choices.map((choice) => `\`${choice}\``).join(", ");
    case "switch":
      return "`true`, `false`";
    case "address":
      return "HOST:PORT";
    case "secret":
    case "text":
      return "";
  }
}

const UNITS: readonly (readonly [number, string])[] = [
  [2 ** 30, "GiB"],
  [2 ** 20, "MiB"],
  [2 ** 10, "KiB"],
];

function quantity({ unit }: NumberRow, value: number): string {
  if (unit === "bytes") {
    const [size, name] = UNITS.find(([bytes]) => value % bytes === 0 && value > 0) ?? [1, "B"];
    return `${value / size} ${name}`;
  }
  const digits = value.toLocaleString("en-US", { maximumFractionDigits: 3 });
  return unit === "ms" ? `${digits} ms` : digits;
}

function errorsTable(): string {
  const retry = { yes: "yes", no: "no", "safe-with-key": "with the same `Idempotency-Key`" };
  return table(
    ["code", "HTTP", "gRPC", "meaning", "retry"],
    Object.entries(ERRORS).map(([code, row]) => [
      `\`${code}\``,
      String(row.http),
      `\`${row.grpc}\``,
      row.meaning,
      retry[row.retry],
    ]),
  );
}

function metricsTable(): string {
  return table(
    ["metric", "kind", "labels", "what"],
    Object.entries(METRICS).map(([name, row]) => [
      `\`${name}\``,
      row.kind,
      row.labels.map((label) => `\`${label}\``).join(", "),
      row.help,
    ]),
  );
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), `|${head.map(() => "---").join("|")}|`, ...rows.map(line)].join("\n");
}
