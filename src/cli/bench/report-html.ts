/** The report as one page without anything to load: recall against queries per second, and the table below. */
import type { CurvePoint } from "./recall-run.ts";
import { reportText } from "./report.ts";
import type { RecallReport } from "./report.ts";

const SIZE = { width: 760, height: 420, left: 70, right: 20, top: 20, bottom: 46 };
const COLOURS = ["#0b62c4", "#0f8a5f", "#c2410c", "#7c3aed", "#a16207"];

interface Curve {
  readonly name: string;
  readonly colour: string;
  readonly points: readonly CurvePoint[];
}

export function reportHtml(report: RecallReport): string {
  const ks = [...new Set(report.points.map(({ k }) => k))];
  const plots = ks.map(
    (k) => `<h2>recall@${k} against queries per second</h2>\n${plot(curvesOf(report, k))}`,
  );
  const title = `Recall on ${escape(report.set.name)}`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${title}</title>
<style>
:root { color-scheme: light dark; --ink: #1c1f24; --paper: #fff; --grid: #d8dce2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7e9ec; --paper: #16181c; --grid: #3a3f47; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
svg { width: 100%; height: auto; } svg text { fill: var(--ink); font-size: 12px; } .grid { stroke: var(--grid); }
pre { overflow-x: auto; font-size: 12px; line-height: 1.35; }
</style></head><body>
<h1>${title}</h1>
<p>${escape(report.set.origin)}. Up and to the right is better; the vertical axis is logarithmic.</p>
${plots.join("\n")}
<h2>All figures</h2>
<pre>${escape(reportText(report))}</pre>
</body></html>
`;
}

function curvesOf(report: RecallReport, k: number): readonly Curve[] {
  const names = new Map<string, CurvePoint[]>();
  for (const point of report.points) {
    if (point.k !== k) continue;
    const name =
      point.who === "hnswlib"
        ? "bare hnswlib-node, one thread"
        : `Flotilla over REST, ${point.clients} client${point.clients === 1 ? "" : "s"}`;
    names.set(name, [...(names.get(name) ?? []), point]);
  }
  return [...names].map(([name, points], i) => ({
    name,
    colour: COLOURS[i % COLOURS.length] as string,
    points: [...points].sort((a, b) => a.recallId - b.recallId),
  }));
}

function plot(curves: readonly Curve[]): string {
  const all = curves.flatMap(({ points }) => points);
  const lowest = Math.min(...all.map(({ recallId }) => recallId), 0.999);
  const from = Math.max(0, Math.floor(lowest * 50) / 50);
  const decades = {
    low: Math.floor(Math.log10(Math.max(1, Math.min(...all.map(({ qps }) => qps))))),
    high: Math.ceil(Math.log10(Math.max(10, ...all.map(({ qps }) => qps)))),
  };
  const x = (recall: number) =>
    SIZE.left + ((recall - from) / (1 - from)) * (SIZE.width - SIZE.left - SIZE.right);
  const y = (qps: number) => {
    const share = (Math.log10(Math.max(1, qps)) - decades.low) / Math.max(1, decades.high - decades.low);
    return SIZE.height - SIZE.bottom - share * (SIZE.height - SIZE.top - SIZE.bottom);
  };
  const parts: string[] = [];
  for (let decade = decades.low; decade <= decades.high; decade++)
    for (const step of decade === decades.high ? [1] : [1, 2, 5]) {
      const value = step * 10 ** decade;
      parts.push(
        `<line class="grid" x1="${SIZE.left}" x2="${SIZE.width - SIZE.right}" y1="${fixed(y(value))}" y2="${fixed(y(value))}"/>`,
        `<text x="${SIZE.left - 8}" y="${fixed(y(value) + 4)}" text-anchor="end">${value}</text>`,
      );
    }
  for (let i = 0; i <= 5; i++) {
    const recall = from + ((1 - from) * i) / 5;
    parts.push(
      `<line class="grid" y1="${SIZE.top}" y2="${SIZE.height - SIZE.bottom}" x1="${fixed(x(recall))}" x2="${fixed(x(recall))}"/>`,
      `<text x="${fixed(x(recall))}" y="${SIZE.height - SIZE.bottom + 18}" text-anchor="middle">${recall.toFixed(3)}</text>`,
    );
  }
  const middle = (SIZE.left + SIZE.width - SIZE.right) / 2;
  parts.push(`<text x="${middle}" y="${SIZE.height - 6}" text-anchor="middle">recall (by id)</text>`);
  parts.push(
    `<text transform="rotate(-90)" x="${-SIZE.height / 2}" y="14" text-anchor="middle">queries per second</text>`,
  );
  curves.forEach((curve, i) => {
    const line = curve.points.map(({ recallId, qps }) => `${fixed(x(recallId))},${fixed(y(qps))}`).join(" ");
    parts.push(
      `<polyline fill="none" stroke="${curve.colour}" stroke-width="2" points="${line}"/>`,
      ...curve.points.map(
        ({ recallId, qps, ef }) =>
          `<circle cx="${fixed(x(recallId))}" cy="${fixed(y(qps))}" r="3.5" fill="${curve.colour}">` +
          `<title>${escape(curve.name)}, ef ${ef}: recall ${recallId.toFixed(4)}, ${qps.toFixed(0)} queries/s</title></circle>`,
      ),
      `<circle cx="${SIZE.left + 14}" cy="${SIZE.height - SIZE.bottom - 58 + 18 * i}" r="4" fill="${curve.colour}"/>`,
      `<text x="${SIZE.left + 24}" y="${SIZE.height - SIZE.bottom - 54 + 18 * i}">${escape(curve.name)}</text>`,
    );
  });
  return `<svg viewBox="0 0 ${SIZE.width} ${SIZE.height}" role="img">${parts.join("\n")}</svg>`;
}

const fixed = (value: number) => value.toFixed(1);

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c] ?? c);
}
