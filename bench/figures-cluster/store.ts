/** What the figures about replication need of a store on three nodes: Flotilla, or etcd to compare it with. */
export interface ReplicatedStore extends AsyncDisposable {
  readonly name: string;
  /** Position of the node that leads what is written. Waits until all nodes run and follow. */
  leader(): Promise<number>;
  /** Writes one value of about the usual size through the node at this position; true: acknowledged. Never throws. */
  put(at: number, key: number): Promise<boolean>;
  kill(at: number): Promise<void>;
  stop(at: number): Promise<void>;
  pause(at: number): void;
  resume(at: number): void;
  /** Starts a node that has ended, on its data. */
  start(at: number): Promise<void>;
}

export const NODES = 3;
/** Numbers per vector, and what they weigh as JSON beside a key: both stores get the same. */
export const DIMENSION = 128;
/** A request to a node that hangs is given up and repeated elsewhere, by either store's clients alike. */
export const REQUEST_MS = 2_000;
export const SETTLE_MS = 60_000;

export const values: readonly string[] = Array.from({ length: 64 }, (_, at) =>
  Array.from({ length: DIMENSION }, (_, axis) => Math.sin(at * 131 + axis).toFixed(6)).join(","),
);
export function valueOf(key: number): string {
  return values[key % values.length] ?? "";
}
