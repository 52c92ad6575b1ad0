/** The verification keys of a configuration: its secrets, and its files as they are at the moment. */
import { KeyFileError, parseJwks, parsePemKeys, secretKey, type TokenKey } from "./token-keys.ts";
import { WatchedFiles } from "./watched-files.ts";

export interface KeyFileOptions {
  /** Verify HS256; null: not set. */
  readonly secrets: readonly (string | null)[];
  /** PEM with public keys or certificates; null: none. */
  readonly publicKeyFile: string | null;
  readonly jwksFile: string | null;
  /** Between two looks at the files; 0: never by itself. */
  readonly everyMs: number;
}

/** Every key there is now, anew whenever a file changes. */
export class KeyFiles implements Disposable {
  readonly #secrets: readonly TokenKey[];
  readonly #files: readonly WatchedFiles<readonly TokenKey[]>[];

  /** Throws {@link KeyFileError} with the path when a file cannot be used. */
  constructor(
    options: KeyFileOptions,
    parts: { changed(keys: readonly TokenKey[]): void; trouble(error: Error): void },
  ) {
    this.#secrets = options.secrets.flatMap((secret) => (secret === null ? [] : [secretKey(secret)]));
    const sources = [
      { path: options.publicKeyFile, parse: parsePemKeys },
      { path: options.jwksFile, parse: parseJwks },
    ];
    this.#files = sources.flatMap(({ path, parse }) =>
      path === null ? [] : [watched(path, options.everyMs, parse, parts.trouble)],
    );
    for (const file of this.#files) file.onChange(() => parts.changed(this.keys));
  }

  get keys(): readonly TokenKey[] {
    return [...this.#secrets, ...this.#files.flatMap((file) => file.value)];
  }

  /** Looks at the files now. */
  async check(): Promise<void> {
    for (const file of this.#files) await file.check();
  }

  [Symbol.dispose](): void {
    for (const file of this.#files) file[Symbol.dispose]();
  }
}

function watched(
  path: string,
  everyMs: number,
  parse: (text: string) => readonly TokenKey[],
  trouble: (error: Error) => void,
): WatchedFiles<readonly TokenKey[]> {
  const read = ([bytes]: readonly Buffer[]): readonly TokenKey[] => {
    try {
      return parse((bytes ?? Buffer.alloc(0)).toString("utf8"));
    } catch (cause) {
      if (!(cause instanceof KeyFileError)) throw cause;
      throw new KeyFileError(`${path}: ${cause.message}`, { cause });
    }
  };
  return new WatchedFiles({ paths: [path], everyMs }, { parse: read, trouble });
}
