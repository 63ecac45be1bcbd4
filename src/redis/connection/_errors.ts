import { StoreError } from "../../store/mod.ts";
import type { Node } from "./_address.ts";

/** What the server answered instead of a reply. Adapters throw it, so that nobody else needs to know their classes. */
export class ReplyError extends Error {
  override readonly name = "ReplyError";
  /** The first word of the answer, as in `WRONGTYPE`. */
  readonly code: string;

  constructor(message: string) {
    // One of the clients leaves the protocol's own sign for an error in front; and newer servers name the user.
    super(message.replace(/^-/, "").replace(/\bUser (?:.*) (?=has no permissions\b)/s, "this user "));
    this.code = /^[A-Z]+/.exec(this.message)?.[0] ?? "";
  }
}

// Nothing was done, and it may be possible later: what the server says, and what ends that. Not only at the beginning: a
// script's error may stand around another.
const TRANSIENT: readonly (readonly [RegExp, string])[] = [
  [/\bLOADING\s/, "it loads its data, and answers when it has"],
  [/\bREADONLY\s/, "it is a replica; promote it, or connect to its master"],
  [/\bMASTERDOWN\s/, "it is a replica that has lost its master; promote it, or mend the link"],
  [/\bMISCONF\s/, "it cannot write to its disk; make room there, and see its log"],
  [/\bOOM\s/, "its memory is full; raise maxmemory, or keep less by retention"],
  [/\bBUSY\s/, "somebody's script holds it up; end that by SCRIPT KILL"],
  [/\bNOREPLICAS\s/, "too few of its replicas are there; bring them back, or lower min-replicas-to-write"],
  [/max number of clients/, "it has as many clients as it takes; close some, or raise maxclients"],
  [/\bUNBLOCKED\s/, "it ended a read that was waiting"],
  [/\b(CLUSTERDOWN|TRYAGAIN|ASK|MOVED)\s/, "its cluster is changing"],
];

// What will not change by itself: what the server or the network says, and the way out.
const FINAL: readonly (readonly [RegExp, string])[] = [
  [/\bWRONGPASS\b|invalid password|AUTH <password> called without any password/, "wrong user or password"],
  [
    /\bNOAUTH\b/,
    "it wants a password; give it by redis.password, or as in redis://:password@host or redis://user:password@host",
  ],
  [
    /\bNOPERM\b|user executing the script can't|can't access at least one of the keys|ACL failure in script/,
    "its user may not do this; allow it with ACL SETUSER",
  ],
  [
    /\bWRONGTYPE\b/,
    "a key is of another type than expected; something else has written it: move it, or choose another prefix",
  ],
  [
    /unknown command/i,
    "the server does not know a command; Redis 7.0 or Valkey 7.2 is needed, with no command renamed",
  ],
  [
    /SELECT is not allowed in cluster mode/,
    "it is a node of a Redis Cluster, which has only database 0; leave the number behind the slash out",
  ],
  [/DB index is out of range|invalid DB index/, "it has no database of that number; give another one behind the slash"],
  [/\bDENIED\b/, "it is in protected mode; set a password, or bind it to 127.0.0.1"],
];

// What the other end says of our certificate comes as an alert, in words of the runtime's own.
const NO_CERTIFICATE = /CERTIFICATE_REQUIRED|CertificateRequired|certificate required/i;
const BAD_CERTIFICATE = /ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE)|alert: (UnknownCA|BadCertificate|Certificate)/;
const OTHER_NAME = /ERR_TLS_CERT_ALTNAME_INVALID|NotValidForName|not valid for (any )?name/;
const CERTIFICATE = /CERT|UNABLE_TO_|invalid peer certificate|certificate|UnknownIssuer/;
const NO_TLS = /WRONG_VERSION_NUMBER|packet length too long|InvalidContentType|corrupt message/;
const NO_REDIS = /Unknown RESP type|Protocol error|reply type|unknown code|invalid line|not a Redis/i;

const CONNECT_FINAL: readonly (readonly [RegExp, string])[] = [
  [NO_TLS, "it does not speak TLS there; use redis:// instead of rediss://, or the port that does"],
  [
    NO_CERTIFICATE,
    "it wants a certificate of its clients; give redis.tls.cert and redis.tls.key, or pass a client that has them",
  ],
  [
    BAD_CERTIFICATE,
    "it does not take our certificate; give one that its tls-ca-cert-file has signed as redis.tls.cert",
  ],
  [
    OTHER_NAME,
    "its certificate is for another host; connect to the one that it is for, or give that as redis.tls.servername",
  ],
  [
    CERTIFICATE,
    "its certificate is not trusted; give its authority as redis.tls.ca, or pass a client that knows it",
  ],
  [NO_REDIS, "what answers there is not a Redis; check host and port, and rediss:// if it wants TLS"],
  [
    /NotCapable|Requires (net|env|sys|read) access/,
    "Deno needs --allow-net for it, and --allow-env where the client is ioredis",
  ],
];

const CONNECT_TRANSIENT: readonly (readonly [RegExp, string])[] = [
  [
    // What node-redis makes of an answer that comes before anything was asked.
    /reading 'reject'/,
    "it refused before it was asked anything; it may have as many clients as it takes: close some, or raise maxclients",
  ],
  [
    /ECONNREFUSED|ConnectionRefused|refused/i,
    "nothing listens there; start one with `redis-server` or `docker compose up -d redis`",
  ],
  [/ENOTFOUND|EAI_AGAIN|failed to lookup|Name or service not known/i, "its name cannot be resolved; check it"],
  [
    /TimeoutError|ETIMEDOUT|timed? ?out/i,
    "nothing answered in time; check host, port and firewall, and whether it wants TLS (rediss://) or none (redis://)",
  ],
  [
    /ECONNRESET|EPIPE|closed|EOF|reset|BrokenPipe|BadResource/i,
    "it closed the connection without an answer; is it a Redis, and does it want TLS (rediss://)",
  ],
];

// A server that misses a certificate may have gone before what it says of it is read.
const CONNECT_TLS: typeof CONNECT_TRANSIENT = CONNECT_TRANSIENT.map(([pattern, advice]) => [
  pattern,
  pattern.test("closed")
    ? "it closed the connection without an answer; it may want a certificate of its clients, or another one: " +
      "give redis.tls.cert and redis.tls.key"
    : advice,
]);

/**
 * What a failed command means: a StoreError where the engine can act, else an error that says what to do. Errors of
 * ours and of aborted signals come back as they are.
 *
 * Whatever is not an answer of the server leaves open whether the command was run: the connection was lost, or closed.
 */
export function classify(thrown: unknown): StoreError | Error {
  const error = described(thrown);
  if (error instanceof StoreError || isAbort(error)) return error;
  const text = textOf(error);
  if (error instanceof ReplyError) {
    const cause = { cause: error };
    const passing = adviceFor(text, TRANSIENT);
    if (passing !== undefined) return new StoreError("transient", `Cannot use Redis now: ${passing} (${text})`, cause);
    const advice = adviceFor(text, FINAL);
    return advice === undefined ? error : new Error(`Cannot use Redis: ${advice} (${text})`, cause);
  }
  if (isOurs(error)) return error;
  return new StoreError("uncertain", `Cannot tell whether Redis did it: the connection was lost (${text})`, {
    cause: error,
  });
}

/**
 * What a connection that could not be made means. Final if trying again would not help; otherwise a StoreError
 * "transient", since nothing was sent: a first attempt throws it, a later one may be followed by others.
 *
 * @param where What was tried; credentials in it are not shown.
 */
export function connectError(where: URL | string, thrown: unknown): StoreError | Error {
  const error = described(thrown);
  if (isAbort(error) || isOurs(error)) return error;
  const place = typeof where === "string" ? where : withoutCredentials(where);
  const cannot = `Cannot connect to ${place}`;
  const cause = { cause: error };
  // Of what was classed before, once more what the server said.
  const reply = replyOf(error);
  const text = textOf(reply ?? error);
  const final = adviceFor(text, reply === undefined ? CONNECT_FINAL : FINAL);
  if (final !== undefined) {
    // Which command, or that it is a key, nobody can tell otherwise.
    const said = /ACL SETUSER/.test(final) ? ` (${text})` : "";
    return new Error(`${cannot}: ${final}${said}`, cause);
  }
  if (reply !== undefined) {
    const passing = adviceFor(text, TRANSIENT);
    return passing === undefined
      ? new Error(`${cannot}: ${text}`, cause)
      : new StoreError("transient", `${cannot} now: ${passing} (${text})`, cause);
  }
  const advice = adviceFor(text, place.startsWith("rediss") ? CONNECT_TLS : CONNECT_TRANSIENT);
  return new StoreError("transient", `${cannot}: ${advice ?? text}`, cause);
}

/** A URL as it may be shown and logged. */
export function withoutCredentials(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname === "/" ? "" : url.pathname}`;
}

/** True for what the server answered, which means that the connection works and whether the command was run is known. */
export function isServerReply(error: unknown): boolean {
  return replyOf(error) !== undefined;
}

/** True when the server is there and knows us, whatever else keeps it from answering. */
export function isAlive(error: unknown): boolean {
  const text = replyOf(error)?.message ?? "";
  return /^NOPERM\b/.test(text) ||
    (adviceFor(text, TRANSIENT) !== undefined && !text.includes("max number of clients"));
}

/** True when the server does not have the script: nothing ran. */
export function isNoScript(error: unknown): boolean {
  return says(error, /\bNOSCRIPT\b/);
}

/** True when the stream or the group is gone, also while a read was waiting for it. */
export function isNoGroup(error: unknown): boolean {
  return says(error, /\bNOGROUP\b|\bUNBLOCKED the stream key/);
}

/** True when a key that XINFO was asked about does not exist. */
export function isNoKey(error: unknown): boolean {
  return says(error, /no such key/i);
}

/** True when the server has no such command. */
export function isUnknownCommand(error: unknown): boolean {
  return says(error, /unknown command/i);
}

/** True when a replica says that it is not the one to ask. */
export function isReplicaReply(error: unknown): boolean {
  return says(error, /cannot be used with replica instances/);
}

/** True when the group exists already. */
export function isBusyGroup(error: unknown): boolean {
  return says(error, /\bBUSYGROUP\b/);
}

/** True when somebody ended a blocked read by CLIENT UNBLOCK. */
export function isUnblocked(error: unknown): boolean {
  return says(error, /\bUNBLOCKED client/);
}

/**
 * Where a node of a cluster says that the keys are, in place of doing what it was asked; undefined for anything else.
 *
 * @param asked The node: it may not know its own host, and then means it.
 * @returns The node to ask; `once` if that is true of this one command only.
 */
export function redirectionOf(
  error: unknown,
  asked: Node,
): { readonly node: Node; readonly once: boolean } | undefined {
  const [, word, host, port] = /\b(MOVED|ASK) \d+ (\S*):(\d+)/.exec(replyOf(error)?.message ?? "") ?? [];
  if (word === undefined) return undefined;
  return { node: { host: hostOr(host, asked), port: Number(port) }, once: word === "ASK" };
}

/** A host as a node of a cluster tells it; one that knows none, which it says in either of two ways, is where it was asked. */
export function hostOr(host: string | null | undefined, asked: Node): string {
  return host && host !== "?" ? host : asked.host;
}

function says(error: unknown, pattern: RegExp): boolean {
  return pattern.test(replyOf(error)?.message ?? "");
}

// The server's answer in an error, or in what an error was made of.
function replyOf(error: unknown): ReplyError | undefined {
  for (const at of causesOf(error)) if (at instanceof ReplyError) return at;
  return undefined;
}

function adviceFor(text: string, table: readonly (readonly [RegExp, string])[]): string | undefined {
  return table.find(([pattern]) => pattern.test(text))?.[1];
}

function isAbort(error: unknown): error is Error {
  return error instanceof Error && error.name === "AbortError";
}

// A wrong option or argument: what the caller did, not what befell the connection. A client's own slip, as in "Cannot
// read properties of undefined", is none of these.
function isOurs(error: unknown): error is Error {
  // What is said of a master is more than can be told from the connection to it.
  if (error instanceof StoreError) return /^Cannot (find|reach) the master\b/.test(error.message);
  return error instanceof TypeError &&
    /^Cannot (connect to|tell where|wait for|use (this|a Redis|a Valkey))\b/.test(error.message);
}

/** The error itself; one without a message is what clients throw when the server closes the connection. */
function described(error: unknown): unknown {
  if (!(error instanceof Error) || error.message !== "" || "code" in error || error.cause !== undefined) return error;
  const closed = new Error("The server closed the connection");
  closed.name = error.name;
  return closed;
}

// An error and its causes, as far as they are errors; causes that form a circle end after some.
function causesOf(error: unknown): Error[] {
  const errors: Error[] = [];
  for (let at = error; at instanceof Error && errors.length < 20; at = at.cause) errors.push(at);
  return errors;
}

// The reason stands in the message, the name or the code, of the error or of its causes.
function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return causesOf(error).map((at) => {
    if (at instanceof ReplyError) return at.message;
    const code = "code" in at && typeof at.code === "string" ? ` ${at.code}` : "";
    const name = at.name === "Error" ? "" : `${at.name}: `;
    return `${name}${at.message}${code}`;
  }).join(" ");
}
