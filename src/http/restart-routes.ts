/** The way back for one replica, without touching the others of its node. */
import * as answers from "./answers.ts";
import { PLAIN_QUERY } from "./call-options.ts";
import { numberIn } from "./cluster-routes.ts";
import { onCluster, route, type Route } from "./route.ts";
import { object, optional, whole } from "./schema.ts";

export const restartRoutes: readonly Route[] = [
  route({
    method: "POST",
    url: "/collections/:collection/shards/:shard/restart",
    rule: onCluster("manage"),
    summary: "Close a replica and open it again, on the node asked or on `node_id`; answers once it serves",
    query: PLAIN_QUERY,
    answer: answers.DONE,
    body: object({ node_id: optional(whole(1)) }),
    async handle({ admin, permit, params, body, signal }) {
      const at = {
        collection: params["collection"] ?? "",
        shard: numberIn(params, "shard"),
        nodeId: body.node_id,
      };
      await admin.restartReplica(permit, at, { signal });
      return { result: true };
    },
  }),
];
