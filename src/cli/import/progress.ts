/** Shows how far something long has come: a bar on a terminal, a line now and then elsewhere, nothing for `--json`. */
import { Presets, SingleBar } from "cli-progress";

export interface Progress {
  update(done: number): void;
  /** A line beside the bar. */
  note(line: string): void;
  stop(): void;
}

export interface ProgressOptions {
  readonly title: string;
  /** null when only the end will tell. */
  readonly total: number | null;
  /** Where counting begins: what an earlier run did. */
  readonly from?: number;
  readonly unit: string;
  readonly silent?: boolean;
  readonly stream?: ProgressStream;
}

/** What progress needs of standard output or error. */
export type ProgressStream = NodeJS.WritableStream & { readonly isTTY?: boolean };

const LINE_EVERY_MS = 2_000;

export function startProgress(options: ProgressOptions): Progress {
  const stream = options.stream ?? process.stderr;
  if (options.silent === true)
    return { update: () => undefined, note: () => undefined, stop: () => undefined };
  return stream.isTTY === true && options.total !== null
    ? bar({ ...options, total: options.total }, stream)
    : lines(options, stream);
}

function bar(options: ProgressOptions & { readonly total: number }, stream: ProgressStream): Progress {
  const from = options.from ?? 0;
  const started = performance.now();
  const single = new SingleBar(
    {
      stream,
      format: `${options.title} [{bar}] {percentage}% | {value}/{total} ${options.unit} | {rate}/s | {left} left`,
      hideCursor: true,
      clearOnComplete: false,
      fps: 5,
    },
    Presets.rect,
  );
  single.start(options.total, from, { rate: "-", left: "-" });
  return {
    update: (done) => {
      const { rate, secondsLeft } = pace(done, options, started);
      single.update(done, { rate: count(rate), left: duration(secondsLeft) });
    },
    note: (line) => {
      stream.write(`\n${line}\n`);
    },
    stop: () => single.stop(),
  };
}

function lines(options: ProgressOptions, stream: ProgressStream): Progress {
  const started = performance.now();
  let lastAt = started;
  let done = options.from ?? 0;
  let shown = -1;
  const show = () => {
    if (shown === done) return;
    shown = done;
    const { rate, secondsLeft } = pace(done, options, started);
    const share = options.total === null ? "" : ` of ${count(options.total)}`;
    const left = options.total === null ? "" : `, ${duration(secondsLeft)} left`;
    stream.write(`${options.title}: ${count(done)}${share} ${options.unit}, ${count(rate)}/s${left}\n`);
  };
  return {
    update: (now) => {
      done = now;
      if (performance.now() - lastAt < LINE_EVERY_MS) return;
      lastAt = performance.now();
      show();
    },
    note: (line) => {
      stream.write(`${line}\n`);
    },
    stop: show,
  };
}

function pace(
  done: number,
  options: ProgressOptions,
  startedMs: number,
): { readonly rate: number; readonly secondsLeft: number } {
  const seconds = (performance.now() - startedMs) / 1000;
  const rate = seconds > 0 ? (done - (options.from ?? 0)) / seconds : 0;
  return { rate, secondsLeft: rate > 0 ? ((options.total ?? done) - done) / rate : Number.NaN };
}

/** 12,345: whole, with separators, the same in every locale. */
export function count(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** 8 s, 3 min 20 s, 2 h 5 min. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
