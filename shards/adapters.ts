/** Door two: the parts to put a host together from. Only the composition root and its thread entries open it. */
export { openSqliteLog } from "./log/sqlite-log.ts";
export type { SqliteLog, SqliteLogOptions } from "./log/sqlite-log.ts";
export { MemoryLog } from "./log/memory-log.ts";
export { systemClock, systemRandom, systemScheduler } from "./system.ts";
export { noPeers } from "./transport/alone.ts";
export { callPeer, openPeerTransport } from "./transport/peer-transport.ts";
export { TlsCredentials, type TlsIdentity } from "./transport/tls.ts";
export type { PeerCredentials, PeerTransport, PeerTransportLimits } from "./transport/peer-transport.ts";
export { limitFirstFrames, type FirstFramesOptions } from "./transport/first-frames.ts";
export type { PeerEvent } from "./transport/peer-events.ts";
export { beginHello, greet, PROTOCOL_VERSION, readHello } from "./transport/handshake.ts";
export { recoverGroups } from "./recover.ts";
export type { Recovery } from "./recover.ts";
