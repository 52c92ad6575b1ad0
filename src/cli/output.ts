/** What becomes of a command whose output nobody takes. */

/** As a shell reports SIGPIPE. */
const EXIT_UNREAD = 141;
const EXIT_UNWRITTEN = 1;

/**
 * A reader that has seen enough (`| head`) ends a command without a word, and a disk that is full with one line. A node
 * (`goesOn`) serves on whoever listens.
 */
export function watchOutput({ goesOn }: { readonly goesOn: boolean }): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (goesOn) return;
      if (error.code === "EPIPE") process.exit(EXIT_UNREAD);
      if (stream === process.stdout)
        process.stderr.write(`flotilla: the output cannot be written: ${error.message}\n`);
      process.exit(EXIT_UNWRITTEN);
    });
}
