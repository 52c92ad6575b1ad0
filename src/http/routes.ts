/** Every route there is: what is served, documented and checked by tests is this list. */
import type { Limits } from "../api/limits.ts";
import { clusterRoutes } from "./cluster-routes.ts";
import { collectionRoutes } from "./collection-routes.ts";
import { readRoutes } from "./read-routes.ts";
import type { Route } from "./route.ts";
import { systemRoutes } from "./system-routes.ts";
import { writeRoutes } from "./write-routes.ts";

export const routes = (parts: {
  readonly limits: Limits;
  metricsText(): Promise<string>;
}): readonly Route[] => [
  ...systemRoutes(parts),
  ...collectionRoutes,
  ...clusterRoutes,
  ...readRoutes(parts.limits),
  ...writeRoutes(parts.limits),
];
