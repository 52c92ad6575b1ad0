import { beginHello, greet, PROTOCOL_VERSION, readHello } from "../../shards/adapters.ts";
import type { PeerProof } from "../cluster/node-calls/proof.ts";

export interface PeerProofOptions {
  readonly secret: string;
  readonly cluster: string;
  readonly node: number;
  readonly incarnation: string;
}

const PURPOSE = "node-calls";

/** The handshake of the peer port for calls between fronts: one way to prove who one is. */
export function peerProof({ secret, cluster, node, incarnation }: PeerProofOptions): PeerProof {
  return {
    dial(receiver) {
      const dialling = beginHello(secret, {
        purpose: PURPOSE,
        cluster,
        sender: node,
        receiver,
        senderIncarnation: incarnation,
        receiverIncarnation: null,
        advertise: "",
      });
      return { hello: dialling.hello, answer: (challenge) => dialling.answer(challenge).proof };
    },
    accept() {
      let sender = 0;
      let isProved: (answer: Uint8Array) => boolean = () => false;
      return {
        challenge(bytes) {
          const hello = readHello(bytes);
          if (hello.version !== PROTOCOL_VERSION || hello.purpose !== PURPOSE)
            throw new Error("it speaks another version of the protocol");
          if (hello.cluster !== cluster) throw new Error("it belongs to another cluster");
          if (hello.receiver !== node) throw new Error(`it means node ${hello.receiver}, this is ${node}`);
          const greeting = greet(secret, hello, incarnation);
          sender = hello.sender;
          isProved = (answer) => greeting.isProved(answer);
          return greeting.welcome;
        },
        verify(answer) {
          if (!isProved(answer)) throw new Error("it does not know the cluster's secret");
          return sender;
        },
      };
    },
  };
}
