import { hash32 } from "./dice.ts";

/** How many of the last lines a failure shows. */
const LAST_LINES = 80;

/** What happened, line by line: folded into one hash always, kept or printed as asked. Equal runs have equal hashes. */
export class Trace {
  #low = 0x811c9dc5;
  #high = 0x1234567;
  #lines = 0;
  readonly #recent: string[] = [];
  readonly #print: ((line: string) => void) | null;

  constructor(print: ((line: string) => void) | null = null) {
    this.#print = print;
  }

  note(atUs: number, what: string): void {
    const line = `${(atUs / 1000).toFixed(3)} ${what}`;
    this.#low = hash32(line, this.#low);
    this.#high = Math.imul(this.#high ^ this.#low, 0x01000193) + 0x9e3779b9;
    this.#recent[this.#lines++ % LAST_LINES] = line;
    this.#print?.(line);
  }

  get lines(): number {
    return this.#lines;
  }

  /** 16 hexadecimal digits over every line so far. */
  hash(): string {
    const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, "0");
    return hex(this.#high) + hex(this.#low);
  }

  recent(): string[] {
    const start = this.#lines % LAST_LINES;
    return this.#lines <= LAST_LINES
      ? [...this.#recent]
      : [...this.#recent.slice(start), ...this.#recent.slice(0, start)];
  }
}
