/** All methods of the API: what is installed, and what tests hold every credential and the .proto files against. */
import type { Limits } from "../api/limits.ts";
import { clusterMethods } from "./cluster-methods.ts";
import { collectionMethods } from "./collection-methods.ts";
import type { Method } from "./method.ts";
import { readMethods } from "./read-methods.ts";
import { writeMethods } from "./write-methods.ts";

export const methods = (limits: Limits): readonly Method[] => [
  ...writeMethods(limits),
  ...readMethods(limits),
  ...collectionMethods(limits),
  ...clusterMethods,
];
