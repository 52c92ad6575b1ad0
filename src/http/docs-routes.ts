/** The API described: as an OpenAPI document for tools, and as a page to browse. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { JsonValue } from "../api/types.ts";
import { PLAIN_QUERY } from "./call-options.ts";
import { onCluster, route, type Route } from "./route.ts";

/** The page loads nothing from anywhere else. */
const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta http-equiv="content-security-policy"
      content="default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:">
    <title>Flotilla: API</title>
    <link rel="stylesheet" href="/docs/swagger-ui.css">
  </head>
  <body>
    <div id="page"></div>
    <script src="/docs/swagger-ui-bundle.js"></script>
    <script src="/docs/start.js"></script>
  </body>
</html>
`;

const START = `SwaggerUIBundle({ url: "/openapi.json", dom_id: "#page", deepLinking: true });\n`;

const HTML = "text/html; charset=utf-8";
const SCRIPT = "text/javascript; charset=utf-8";
const STYLE = "text/css; charset=utf-8";

/** A file of the page, from the package that has it; read once, when first asked for. */
function asset(name: string): () => Promise<string> {
  let reading: Promise<string> | null = null;
  return () => {
    const main = createRequire(import.meta.url).resolve("@fastify/swagger-ui");
    reading ??= readFile(join(dirname(main), "static", name), "utf8");
    return reading;
  };
}

/** `document` is asked for when it is first needed: it describes these routes too. */
export function docsRoutes(document: (version: string) => JsonValue): readonly Route[] {
  let made: JsonValue = null;
  return [
    route({
      method: "GET",
      url: "/openapi.json",
      rule: onCluster("list"),
      summary: "This description, in the OpenAPI format",
      query: PLAIN_QUERY,
      answer: { kind: "bare", json: { type: "object", additionalProperties: true } },
      body: null,
      handle: ({ service, permit }) => ({ bare: (made ??= document(service.version(permit))) }),
    }),
    file("/docs", "This description, as a page to browse", HTML, () => Promise.resolve(PAGE)),
    file("/docs/start.js", "A part of that page", SCRIPT, () => Promise.resolve(START)),
    file("/docs/swagger-ui.css", "A part of that page", STYLE, asset("swagger-ui.css")),
    file("/docs/swagger-ui-bundle.js", "A part of that page", SCRIPT, asset("swagger-ui-bundle.js")),
  ];
}

function file(url: string, summary: string, type: string, read: () => Promise<string>): Route {
  return route({
    method: "GET",
    url,
    rule: onCluster("list"),
    summary,
    query: PLAIN_QUERY,
    answer: { kind: "text", type },
    body: null,
    handle: async () => ({ text: await read(), type }),
  });
}
