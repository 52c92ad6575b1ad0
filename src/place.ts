/** This node's place in a cluster: written down, found by asking members, or founded here. */
import { randomUUID } from "node:crypto";
import { statSync } from "node:fs";
import type { Catalogue } from "./catalog/catalogue.ts";
import {
  decodeJoinAnswer,
  encodeJoin,
  findPlace,
  JOIN,
  type JoinAnswer,
  type JoinRequest,
  type Member,
} from "./cluster/join.ts";
import type { Roles } from "./cluster/roles.ts";
import type { DataDirectory, NodeIdentity } from "./config/data-directory.ts";
import { ConfigError, joinAddresses } from "./config/load.ts";
import type { Config } from "./config/options.ts";
import { programVersion } from "./observability/build-facts.ts";
import type { Log } from "./observability/log.ts";
import type { ConsensusRpc } from "./threads/start.ts";

export interface TakenPlace {
  readonly identity: NodeIdentity;
  /** Founders of the catalogue's group: this node, or nobody that a newcomer would know of. */
  readonly founders: readonly number[];
  /** Whom to talk to until the catalogue says so. */
  readonly members: readonly Member[];
}

const ASK_MS = 3_000;
const ROUND_MS = 300;

/** Resolves with an identity that is on disk. Throws {@link ConfigError} when no member will ever let this node in. */
export async function takePlace(
  config: Config,
  parts: {
    readonly data: DataDirectory;
    readonly catalogue: Catalogue;
    readonly consensus: ConsensusRpc;
    /** Where others reach the peer port. */
    readonly peer: string;
    readonly log: Log;
    readonly stop: AbortSignal;
  },
): Promise<TakenPlace> {
  const { data, catalogue, consensus, peer, log } = parts;
  const known = data.identity;
  if (known !== null) {
    const raftLog = statSync(data.raftFile, { throwIfNoEntry: false });
    // An empty file would be filled with a log that knows of no vote, and this node could vote twice in a term.
    if ((raftLog === undefined || raftLog.size === 0) && catalogue.applied > 0) {
      throw new ConfigError(
        `${data.raftFile} is ${raftLog === undefined ? "missing" : "empty"}, and with it what this node promised to ` +
          "others: restore it, or remove the directory and let the node join again under a new id",
      );
    }
    const members = catalogue
      .nodes()
      .map(({ nodeId, peer: address, incarnation }) => ({ node: nodeId, address, incarnation }));
    return { identity: known, founders: known.founder ? [known.nodeId] : [], members };
  }
  const addresses = joinAddresses(config);
  const me: JoinRequest = {
    incarnation: data.incarnation,
    nodeId: config.node.id,
    peer,
    grpc: "",
    http: "",
    version: programVersion(),
  };
  const place =
    addresses.length === 0
      ? null
      : await findPlace(
          me,
          { addresses, expect: config.cluster.bootstrapExpect },
          {
            ask: async (address, request) => await ask(consensus, address, request),
            tell: (message) => log.info({ peer }, message),
            signal: parts.stop,
            pauseMs: () => ROUND_MS * (0.5 + Math.random()),
          },
        ).catch((error: unknown) => {
          if (error instanceof Error && error.name === "JoinRefused") {
            throw new ConfigError(error.message, { cause: error });
          }
          throw error;
        });
  if (place === null) {
    const identity = { nodeId: config.node.id ?? 1, clusterId: randomUUID(), founder: true };
    data.assign(identity);
    log.info(identity, "founded a cluster");
    return { identity, founders: [identity.nodeId], members: [] };
  }
  const identity = { nodeId: place.nodeId, clusterId: place.clusterId, founder: false };
  data.assign(identity);
  log.info({ ...identity, members: place.members.map(({ node }) => node) }, "joined a cluster");
  return { identity, founders: [], members: place.members };
}

/**
 * Tells the catalogue where this node is; asked of members over their peer ports, this one included, until one of them
 * leads. A first start waits for it; a later one goes on meanwhile, and hears whether it is a member still: who was
 * removed while it was away is told by nobody else, and would serve what it once had for ever.
 */
export async function announceAddresses(
  addresses: { readonly peer: string; readonly grpc: string; readonly http: string },
  parts: {
    readonly nodeId: number;
    readonly incarnation: string;
    readonly catalogue: Catalogue;
    readonly consensus: ConsensusRpc;
    readonly members: readonly Member[];
    /** What this node answers when it is asked itself, without a way over the network. */
    readonly answer: (name: string, body: Uint8Array) => Promise<Uint8Array>;
    /** The node was removed: its data is good for nothing any more. */
    readonly removed: (error: ConfigError) => void;
    readonly log: Log;
    readonly stop: AbortSignal;
  },
): Promise<void> {
  const { answer, catalogue, consensus, log, removed, stop, nodeId, incarnation } = parts;
  const known = catalogue.node(nodeId);
  const { peer, grpc, http } = addresses;
  const version = programVersion();
  const isNews =
    known?.peer !== peer || known.grpc !== grpc || known.http !== http || known.version !== version;
  if (!isNews && catalogue.nodes().length === 1) return;
  const told = findPlace(
    { incarnation, nodeId, version, ...addresses },
    { addresses: [peer, ...parts.members.map(({ address }) => address)], expect: 1 },
    {
      ask: async (address, request) =>
        address === peer
          ? decodeJoinAnswer(await answer(JOIN, encodeJoin(request)))
          : await ask(consensus, address, request),
      tell: (message) => (isNews ? log.info(addresses, message) : log.debug(addresses, message)),
      signal: stop,
      pauseMs: () => ROUND_MS * (0.5 + Math.random()),
    },
  );
  if (known === null) {
    await told;
    return;
  }
  told.catch((error: unknown) => {
    if (error instanceof Error && error.name === "JoinRefused")
      removed(
        new ConfigError(
          `this node was removed from its cluster (${error.message}): start it on an empty data directory`,
          { cause: error },
        ),
      );
    else if (!stop.aborted)
      log.error({ error: String(error) }, "cannot tell the catalogue where this node is");
  });
}

async function ask(consensus: ConsensusRpc, address: string, request: JoinRequest): Promise<JoinAnswer> {
  const body = encodeJoin(request);
  return decodeJoinAnswer(await consensus.call("callPeer", { address, name: JOIN, body, timeoutMs: ASK_MS }));
}

/** Opens group 0 and waits until this node's copy holds what it must before anything else can start. */
export async function openCatalogue(
  consensus: ConsensusRpc,
  parts: {
    readonly catalogue: Catalogue;
    readonly roles: Roles;
    readonly place: TakenPlace;
    readonly openMs: number;
    readonly stop: AbortSignal;
  },
): Promise<void> {
  const { catalogue, roles, place, openMs, stop } = parts;
  const { nodeId } = place.identity;
  const { firstIndex, conf } = await consensus.call("openGroup", {
    group: 0,
    engine: null,
    founders: place.founders,
  });
  if (firstIndex > catalogue.applied + 1) {
    throw new ConfigError(
      `catalogue.json ends at entry ${catalogue.applied}, but the log begins at ${firstIndex}: ` +
        "it was removed or is older than raft.db; restore both from one backup",
    );
  }
  if (conf.voters.length === 1 && conf.voters[0] === nodeId && conf.votersOutgoing.length === 0) {
    await roles.leading(0, AbortSignal.timeout(openMs));
    const outcome = await consensus.call("readIndex", { group: 0, timeoutMs: openMs });
    if (outcome.kind !== "ready") throw new Error(`the catalogue cannot be read: ${JSON.stringify(outcome)}`);
    return;
  }
  // A newcomer knows nothing until the leader has sent it; a member goes on with what it has.
  if (!place.identity.founder) await known(catalogue, nodeId, stop);
}

/** Resolves when the catalogue's copy here names this node. */
function known(catalogue: Catalogue, nodeId: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (catalogue.node(nodeId) !== null) return resolve();
    const onStop = (): void => {
      forget();
      reject(stop.reason as Error);
    };
    const forget = catalogue.onChange(() => {
      if (catalogue.node(nodeId) === null) return;
      forget();
      stop.removeEventListener("abort", onStop);
      resolve();
    });
    stop.addEventListener("abort", onStop, { once: true });
  });
}
