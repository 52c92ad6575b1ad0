import type { GroupId, NodeId } from "../../shards/ports.ts";
import type { RegisterInput, RegisterOutput } from "../linearizability/register.ts";

/** One client operation from its call to its end, with every attempt that was made of it. */
export interface ClientOperation {
  readonly id: number;
  readonly client: number;
  readonly group: GroupId;
  readonly key: string;
  readonly input: RegisterInput;
  /** An eventual read answers from one replica as it is; everything else is linearizable. */
  readonly consistency: "linearizable" | "eventual";
  /** Position in the order of all calls and ends of the run. */
  readonly called: number;
  /** The highest index anybody knew to be committed in the group at the call. */
  readonly committedBefore: number;
  /** The node asked last. */
  node: NodeId;
  ended: OperationEnd | null;
}

export type OperationEnd =
  | {
      readonly kind: "answered";
      readonly at: number;
      readonly output: RegisterOutput;
      /** Of a linearizable read: what the state it saw had applied. */
      readonly index?: number;
    }
  /** Promised never to happen. */
  | { readonly kind: "refused"; readonly at: number }
  | { readonly kind: "unknown"; readonly at: number };
