import { StoreError } from "../../../store/mod.ts";
import { type Node, nodeText } from "../_address.ts";
import type { OpenNode } from "../cluster/_cluster.ts";
import { COMMAND_TIMEOUT, type TimedConnection } from "../_connection.ts";
import { connectError } from "../_errors.ts";
import { isServerReply } from "../_reply_error.ts";
import { parseInfo } from "../_replies.ts";
import type { Reply } from "../client.ts";

// What an attempt gets on top, in ms: where the process itself stood still, the answer may be here, unread.
const GRACE = 250;

/** What it takes to find a master. */
export interface Watch {
  /** What the Sentinels call it. */
  readonly name: string;
  readonly sentinels: readonly Node[];
  /** Opens a connection to a Sentinel. */
  readonly openSentinel: OpenNode;
  /** Opens a connection to a server. */
  readonly openNode: OpenNode;
}

/** A connection to the master. */
export interface Master {
  readonly connection: TimedConnection;
  readonly node: Node;
}

interface Options {
  readonly signal?: AbortSignal | undefined;
}

/** What a Sentinel says. */
interface Answer {
  readonly node: Node;
  /** It rises with every failover. */
  readonly epoch: number;
}

/**
 * Connects to the server that the Sentinels say is the master, anew each time: after a failover it is another one.
 *
 * All are asked at once. One may have slept through a failover, so that of what most of them answer the newest counts.
 *
 * @throws {StoreError} `"transient"` if no Sentinel answers, or what they name is no master (any more).
 */
export async function openMaster(watch: Watch, { signal }: Options): Promise<Master> {
  const node = await findMaster(watch, signal);
  try {
    return { node, connection: await inTime(signal, (signal) => openAsMaster(watch, node, signal)) };
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    const failure = why(nodeText(node), error);
    // What refuses us will do so again.
    if (!(failure instanceof StoreError)) throw error;
    throw new StoreError("transient", `Cannot reach the master "${watch.name}" now: ${failure.message}`, {
      cause: error,
    });
  }
}

async function findMaster(watch: Watch, signal: AbortSignal | undefined): Promise<Node> {
  const answers: Answer[] = [];
  const most = Math.floor(watch.sentinels.length / 2) + 1;
  const outcomes = await inTime(signal, async (signal, end) => {
    return await Promise.all(watch.sentinels.map(async (sentinel) => {
      try {
        answers.push(await ask(watch, sentinel, signal));
        if (answers.length >= most) end();
      } catch (error) {
        return why(`the Sentinel ${nodeText(sentinel)}`, error);
      }
    }));
  });
  signal?.throwIfAborted();
  const [newest] = answers.sort((a, b) => b.epoch - a.epoch);
  if (newest !== undefined) return newest.node;
  const failures = outcomes.filter((failure) => failure !== undefined);
  const final = failures.find((failure) => !(failure instanceof StoreError));
  if (final !== undefined) throw ofSentinel(final);
  const reasons = failures.map(({ message }) => message).join("; ");
  throw new StoreError("transient", `Cannot find the master "${watch.name}" by its Sentinels now: ${reasons}`);
}

// What it asks for is a password of its own: that of the master is told to no Sentinel.
function ofSentinel(error: Error): Error {
  const refusal = /^(Cannot connect to the Sentinel \S+: (?:it wants a password|wrong user or password))/.exec(
    error.message,
  );
  if (refusal === null) return error;
  const wayOut = "pass in a client that has it as sentinelPassword (ioredis) or in sentinelClientOptions (node-redis)";
  return new TypeError(`${refusal[1]!} of its own; ${wayOut}`, { cause: error });
}

function why(where: string, error: unknown): Error {
  return error instanceof StoreError ? error : connectError(where, error);
}

async function ask({ name, openSentinel }: Watch, node: Node, signal: AbortSignal): Promise<Answer> {
  const sentinel = await openSentinel(node, { signal });
  const close = () => sentinel.close();
  signal.addEventListener("abort", close, { once: true });
  try {
    const [place, state] = await Promise.all([
      sentinel.send(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name]),
      sentinel.send(["SENTINEL", "MASTER", name]).catch(unlessLost),
    ]);
    if (!Array.isArray(place)) {
      throw new StoreError("transient", `${nodeText(node)} knows no master "${name}"; compare SENTINEL MASTERS there`);
    }
    return { node: { host: String(place[0]), port: Number(place[1]) }, epoch: epochIn(state) };
  } finally {
    signal.removeEventListener("abort", close);
    sentinel.close();
  }
}

// It knows no such master, or its user may not ask for more than the address.
function unlessLost(error: unknown): null {
  if (isServerReply(error)) return null;
  throw error;
}

function epochIn(state: Reply): number {
  const at = Array.isArray(state) ? state.indexOf("config-epoch") : -1;
  return at < 0 ? 0 : Number((state as readonly Reply[])[at + 1]);
}

// A master that was lost comes back as one for a moment, and so may what a Sentinel says that was away itself.
async function openAsMaster({ openNode }: Watch, node: Node, signal: AbortSignal): Promise<TimedConnection> {
  const connection = await openNode(node, { signal });
  const close = () => connection.close();
  signal.addEventListener("abort", close, { once: true });
  try {
    const role = parseInfo(await connection.send(["INFO", "replication"])).get("role");
    if (role === "master") return connection;
    throw new StoreError("transient", `${nodeText(node)} is not a master (any more), but a ${role}`);
  } catch (error) {
    connection.close();
    throw error;
  } finally {
    signal.removeEventListener("abort", close);
  }
}

/** @param run Works until `signal` aborts: when `outer` does, when the time is over, or when it calls `end` itself. */
async function inTime<T>(
  outer: AbortSignal | undefined,
  run: (signal: AbortSignal, end: () => void) => Promise<T>,
): Promise<T> {
  outer?.throwIfAborted();
  const limit = new AbortController();
  const abort = () => limit.abort(outer?.reason);
  outer?.addEventListener("abort", abort, { once: true });
  const late = () => limit.abort(new DOMException(`nothing answered within ${COMMAND_TIMEOUT} ms`, "TimeoutError"));
  let timer = setTimeout(() => timer = setTimeout(late, GRACE), COMMAND_TIMEOUT);
  try {
    return await run(limit.signal, () => limit.abort());
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener("abort", abort);
  }
}
