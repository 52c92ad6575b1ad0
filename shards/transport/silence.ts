/** A peer whose machine answers pings may still have stopped doing what it was asked: its disk hangs, it is stuck. */
import { DialError, type PeerStream } from "./dial.ts";

/** What can be said and heard on a stream. */
export type Conversation = Pick<PeerStream, "onFrame" | "onEnd" | "write">;

/** The same stream, closed when nothing has come from the other side for so long. It must not be used beside this. */
export function endingInSilence(stream: PeerStream, silenceMs: number): Conversation {
  const conversation: Conversation = {
    onFrame: () => undefined,
    onEnd: () => undefined,
    write: (frame, sent) => stream.write(frame, sent),
  };
  const silent = setTimeout(() => {
    stream.onEnd = () => undefined;
    stream.close();
    conversation.onEnd(new DialError("unreachable", `the other side said nothing for ${silenceMs} ms`));
  }, silenceMs);
  stream.onFrame = (frame) => {
    silent.refresh();
    conversation.onFrame(frame);
  };
  stream.onEnd = (failure) => {
    clearTimeout(silent);
    conversation.onEnd(failure);
  };
  return conversation;
}
