/** Every route there is: what is served, documented and checked by tests is this list. */
import type { Limits } from "../api/limits.ts";
import { clusterRoutes } from "./cluster-routes.ts";
import { collectionRoutes } from "./collection-routes.ts";
import { docsRoutes } from "./docs-routes.ts";
import { openApi } from "./openapi.ts";
import { readRoutes } from "./read-routes.ts";
import { restartRoutes } from "./restart-routes.ts";
import type { Route } from "./route.ts";
import { systemRoutes } from "./system-routes.ts";
import { writeRoutes } from "./write-routes.ts";

export function routes(parts: { readonly limits: Limits; metricsText(): Promise<string> }): readonly Route[] {
  const table: readonly Route[] = [
    ...systemRoutes(parts),
    ...docsRoutes((version) => openApi(table, version)),
    ...collectionRoutes,
    ...clusterRoutes,
    ...restartRoutes,
    ...readRoutes(parts.limits),
    ...writeRoutes(parts.limits),
  ];
  return table;
}
