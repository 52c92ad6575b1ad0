/** Time as routing needs it: a port, so that tests decide when it passes. */
export interface Timers {
  /** Milliseconds since some moment; never goes back. */
  nowMs(): number;
  /** Calls back once, `ms` from now; the returned function prevents that. Does not keep the process alive. */
  after(ms: number, callback: () => void): () => void;
}

export const systemTimers: Timers = {
  nowMs: () => performance.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
