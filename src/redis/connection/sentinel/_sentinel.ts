import { StoreError } from "../../../store/mod.ts";
import { type Node, nodeText } from "../_address.ts";
import { COMMAND_TIMEOUT, type OpenNode, type TimedConnection } from "../_connection.ts";
import { connectError } from "../_errors.ts";
import { isServerReply } from "../_reply_error.ts";
import { parseInfo } from "../_replies.ts";
import type { Reply } from "../client.ts";

// Extra time after the deadline, in ms: after a stall of this process, a reply may have arrived unread.
const GRACE = 250;

/** A master that Sentinels watch, and how to find it. */
export interface Watch {
  /** The master's name in the Sentinels' configuration. */
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

/** The master according to one Sentinel. */
interface Answer {
  readonly node: Node;
  /** The configuration epoch, which rises with each failover. */
  readonly epoch: number;
}

/**
 * Asks the Sentinels for the master, and connects to it. Each call asks again, since a failover changes the master.
 *
 * All Sentinels are asked at once. A Sentinel may have missed a failover, so the answer with the highest epoch counts,
 * once a majority has answered or all others have failed.
 *
 * @throws {StoreError} `"transient"` if no Sentinel replies, or the server that they name is not a master now.
 */
export async function openMaster(watch: Watch, { signal }: Options): Promise<Master> {
  const node = await findMaster(watch, signal);
  try {
    return { node, connection: await inTime(signal, (signal) => openAsMaster(watch, node, signal)) };
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    const failure = asConnectError(nodeText(node), error);
    // An error that a later attempt would meet again, such as a wrong password.
    if (!(failure instanceof StoreError)) throw error;
    throw new StoreError("transient", `Cannot reach the master "${watch.name}" now: ${failure.message}`, {
      cause: error,
    });
  }
}

async function findMaster(watch: Watch, signal: AbortSignal | undefined): Promise<Node> {
  const answers: Answer[] = [];
  const majority = Math.floor(watch.sentinels.length / 2) + 1;
  const outcomes = await inTime(signal, async (signal, end) => {
    return await Promise.all(watch.sentinels.map(async (sentinel) => {
      try {
        answers.push(await ask(watch, sentinel, signal));
        if (answers.length >= majority) end();
      } catch (error) {
        return asConnectError(`the Sentinel ${nodeText(sentinel)}`, error);
      }
    }));
  });
  signal?.throwIfAborted();
  const [newest] = answers.sort((a, b) => b.epoch - a.epoch);
  if (newest !== undefined) return newest.node;
  const failures = outcomes.filter((failure) => failure !== undefined);
  const final = failures.find((failure) => !(failure instanceof StoreError));
  if (final !== undefined) throw credentialError(final);
  const reasons = failures.map(({ message }) => message).join("; ");
  throw new StoreError("transient", `Cannot find the master "${watch.name}" by its Sentinels now: ${reasons}`);
}

// The Sentinel wants its own password. The master's password is never sent to a Sentinel.
function credentialError(error: Error): Error {
  const refusal = /^(Cannot connect to the Sentinel \S+: (?:it wants a password|wrong user or password))/.exec(
    error.message,
  );
  if (refusal === null) return error;
  const wayOut = "pass in a client that has it as sentinelPassword (ioredis) or in sentinelClientOptions (node-redis)";
  return new TypeError(`${refusal[1]!} of its own; ${wayOut}`, { cause: error });
}

function asConnectError(where: string, error: unknown): Error {
  return error instanceof StoreError ? error : connectError(where, error);
}

async function ask({ name, openSentinel }: Watch, node: Node, signal: AbortSignal): Promise<Answer> {
  const sentinel = await openSentinel(node, { signal });
  const close = () => sentinel.close();
  signal.addEventListener("abort", close, { once: true });
  try {
    const [address, state] = await Promise.all([
      sentinel.send(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name]),
      sentinel.send(["SENTINEL", "MASTER", name]).catch(nullForReply),
    ]);
    if (!Array.isArray(address)) {
      throw new StoreError("transient", `${nodeText(node)} knows no master "${name}"; compare SENTINEL MASTERS there`);
    }
    return { node: { host: String(address[0]), port: Number(address[1]) }, epoch: epochIn(state) };
  } finally {
    signal.removeEventListener("abort", close);
    sentinel.close();
  }
}

// An error reply: the Sentinel knows no such master, or our user may only ask for the address.
function nullForReply(error: unknown): null {
  if (isServerReply(error)) return null;
  throw error;
}

function epochIn(state: Reply): number {
  const at = Array.isArray(state) ? state.indexOf("config-epoch") : -1;
  return at < 0 ? 0 : Number((state as readonly Reply[])[at + 1]);
}

// Checks the role too: a Sentinel that was disconnected may name a former master, and a master that was demoted while it
// was down restarts as a master, until a Sentinel reconfigures it.
async function openAsMaster({ openNode }: Watch, node: Node, signal: AbortSignal): Promise<TimedConnection> {
  const connection = await openNode(node, { signal });
  const close = () => connection.close();
  signal.addEventListener("abort", close, { once: true });
  try {
    const role = parseInfo(await connection.send(["INFO", "replication"])).get("role");
    if (role === "master") return connection;
    throw new StoreError("transient", `${nodeText(node)} is not a master now, but a ${role}`);
  } catch (error) {
    connection.close();
    throw error;
  } finally {
    signal.removeEventListener("abort", close);
  }
}

/**
 * Runs with a deadline.
 *
 * @param run Its `signal` aborts with `outer`, at the deadline, and when it calls `end`.
 */
async function inTime<T>(
  outer: AbortSignal | undefined,
  run: (signal: AbortSignal, end: () => void) => Promise<T>,
): Promise<T> {
  outer?.throwIfAborted();
  const limit = new AbortController();
  const abort = () => limit.abort(outer?.reason);
  outer?.addEventListener("abort", abort, { once: true });
  const late = () => limit.abort(new DOMException(`no reply within ${COMMAND_TIMEOUT} ms`, "TimeoutError"));
  let timer = setTimeout(() => timer = setTimeout(late, GRACE), COMMAND_TIMEOUT);
  try {
    return await run(limit.signal, () => limit.abort());
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener("abort", abort);
  }
}
