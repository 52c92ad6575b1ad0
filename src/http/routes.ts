/** Every route there is: what is served, documented and checked by tests is this list. */
import { collectionRoutes } from "./collection-routes.ts";
import type { Route } from "./route.ts";
import { systemRoutes } from "./system-routes.ts";

export const routes = (parts: { metricsText(): Promise<string> }): readonly Route[] => [
  ...systemRoutes(parts),
  ...collectionRoutes,
];
