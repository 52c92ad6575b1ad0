/** The `flotilla` program: arguments to exit code. */
process.exitCode = 0;
