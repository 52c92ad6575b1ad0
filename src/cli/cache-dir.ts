/** Where the tools keep what is worth keeping but can be made again. Never inside a repository. */
import { homedir } from "node:os";
import { join } from "node:path";

/** FLOTILLA_CACHE_DIR, else `flotilla` in the XDG cache directory. */
export function cacheDirectory(env: NodeJS.ProcessEnv = process.env): string {
  const own = env["FLOTILLA_CACHE_DIR"];
  if (own !== undefined && own !== "") return own;
  const xdg = env["XDG_CACHE_HOME"];
  return join(xdg !== undefined && xdg !== "" ? xdg : join(homedir(), ".cache"), "flotilla");
}
