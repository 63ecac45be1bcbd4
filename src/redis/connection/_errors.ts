import { StoreError } from "../../store/mod.ts";
import { causesOf, ReplyError, replyOf } from "./_reply_error.ts";

// Replies to commands that did not run and may succeed later, each with its advice. A pattern may match inside the
// message: the error of a script quotes the error of its command.
const TRANSIENT: readonly (readonly [RegExp, string])[] = [
  [/\bLOADING\s/, "it is loading its data; wait until it has finished"],
  [/\bREADONLY\s/, "it is a replica; promote it, or connect to its master"],
  [/\bMASTERDOWN\s/, "it is a replica that has lost its master; promote it, or restore the connection to its master"],
  [/\bMISCONF\s/, "it cannot write to its disk; make room there, or see its log"],
  [/\bOOM\s/, "its memory is full; raise maxmemory, or keep less by retention"],
  [/\bBUSY\s/, "it is busy with a long script; end the script with SCRIPT KILL"],
  [/\bNOREPLICAS\s/, "too few of its replicas are connected; reconnect them, or lower min-replicas-to-write"],
  [/max number of clients/, "its limit of clients is reached; close some, or raise maxclients"],
  [/\bUNBLOCKED\s/, "it ended a blocked read"],
  [/\b(CLUSTERDOWN|TRYAGAIN|ASK|MOVED)\s/, "its cluster is moving slots or failing over; wait until it has finished"],
];

// Replies that stay the same until somebody changes the server or the configuration, each with its advice.
const FINAL: readonly (readonly [RegExp, string])[] = [
  [
    /\bWRONGPASS\b|invalid password|AUTH <password> called without any password/,
    "wrong user or password; correct them in the URL, the options or the client",
  ],
  [
    /\bNOAUTH\b/,
    "it wants a password; give redis.password, or a URL such as redis://:password@host or redis://user:password@host",
  ],
  [
    /\bNOPERM\b|user executing the script can't|can't access at least one of the keys|ACL failure in script/,
    "its user lacks a permission; grant it with ACL SETUSER",
  ],
  [
    /\bWRONGTYPE\b/,
    "a key has another type than expected, so another program wrote it; rename that key, or choose another prefix",
  ],
  [
    /unknown command .?SENTINEL/i,
    "it is no Sentinel; give the addresses of Sentinels, which listen on port 26379 by default",
  ],
  [
    /unknown command/i,
    "the server does not know a command; Redis 7.0 or Valkey 7.2 is needed, with no command renamed",
  ],
  [
    /SELECT is not allowed in cluster mode/,
    "it is a node of a Redis Cluster, which has only database 0; leave out the number after the slash",
  ],
  [
    /DB index is out of range|invalid DB index/,
    "it has no database of that number; give a lower number after the slash, or none",
  ],
  [/\bDENIED\b/, "it is in protected mode; set a password, or bind it to 127.0.0.1"],
];

// A server refuses a client certificate by a TLS alert, whose text differs between Deno and Node.
const NO_CERTIFICATE = /CERTIFICATE_REQUIRED|CertificateRequired|certificate required/i;
const BAD_CERTIFICATE = /ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE)|alert: (UnknownCA|BadCertificate|Certificate)/;
const OTHER_NAME = /ERR_TLS_CERT_ALTNAME_INVALID|NotValidForName|not valid for (any )?name/;
const CERTIFICATE = /CERT|UNABLE_TO_|invalid peer certificate|certificate|UnknownIssuer/;
const NO_TLS = /WRONG_VERSION_NUMBER|packet length too long|InvalidContentType|corrupt message/;
const CLOSED = /ECONNRESET|EPIPE|closed|EOF|reset|BrokenPipe|BadResource/i;
const NO_REDIS = /Unknown RESP type|Protocol error|reply type|unknown code|invalid line|not a Redis/i;

const CONNECT_FINAL: readonly (readonly [RegExp, string])[] = [
  [NO_TLS, "it does not use TLS on this port; use redis:// instead of rediss://, or its TLS port"],
  [
    NO_CERTIFICATE,
    "it wants a client certificate; give redis.tls.cert and redis.tls.key, or pass a client that has them",
  ],
  [
    BAD_CERTIFICATE,
    "it rejected the client certificate; give one signed by an authority in its tls-ca-cert-file as redis.tls.cert",
  ],
  [
    OTHER_NAME,
    "its certificate is for another host name; connect by that name, or give it as redis.tls.servername",
  ],
  [
    CERTIFICATE,
    "its certificate is not trusted; give its authority's certificate as redis.tls.ca, or pass a client that trusts it",
  ],
  [NO_REDIS, "the server there is not a Redis; check host and port, and use rediss:// if it wants TLS"],
  [
    // Node's `getaddrinfo` fails like this on Deno without the permission.
    /NotCapable|Requires (net|env|sys|read) access|getaddrinfo EPERM/,
    "Deno needs --allow-net to connect, and --allow-env too if the client is ioredis",
  ],
];

const CONNECT_TRANSIENT: readonly (readonly [RegExp, string])[] = [
  [
    // The TypeError of node-redis for a reply that comes before the first command.
    /reading 'reject'/,
    "it refused the connection at once; its limit of clients may be reached: close some, or raise maxclients",
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
    CLOSED,
    "it closed the connection without an answer; check that it is a Redis, and whether it wants TLS (rediss://)",
  ],
];

// A server that wants a client certificate may close the connection before its TLS alert is read.
const CONNECT_TLS: typeof CONNECT_TRANSIENT = CONNECT_TRANSIENT.map(([pattern, advice]) => [
  pattern,
  pattern.test("closed")
    ? "it closed the connection without an answer; it may want a client certificate, or another one: " +
      "give redis.tls.cert and redis.tls.key"
    : advice,
]);

/**
 * Turns the error of a command into a StoreError where the engine can act on it, and otherwise into an error that says
 * what to do. Errors of this package and of aborted signals are returned unchanged.
 *
 * An error that is not a reply of the server means that the connection was lost: it is unknown whether the command ran.
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
  return new StoreError("uncertain", `Cannot tell whether Redis ran the command: the connection was lost (${text})`, {
    cause: error,
  });
}

/**
 * Turns the error of an attempt to connect into one that says what to do: a StoreError "transient" if a later attempt may
 * succeed, otherwise another error. No command was sent.
 *
 * @param where The address or its name; credentials of a URL are not shown.
 */
export function connectError(where: URL | string, thrown: unknown): StoreError | Error {
  const error = described(thrown);
  if (isAbort(error) || isOurs(error)) return error;
  const place = typeof where === "string" ? where : withoutCredentials(where);
  const cannot = `Cannot connect to ${place}`;
  const cause = { cause: error };
  // `error` may be the result of classify(): look for the server's reply among its causes.
  const reply = replyOf(error);
  const text = textOf(reply ?? error);
  const final = adviceFor(text, reply === undefined ? CONNECT_FINAL : FINAL);
  if (final !== undefined) {
    // The reply names the command or key that was refused.
    const quoted = /ACL SETUSER/.test(final) ? ` (${text})` : "";
    return new Error(`${cannot}: ${final}${quoted}`, cause);
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

/** A URL without credentials, for errors and logs. */
export function withoutCredentials(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname === "/" ? "" : url.pathname}`;
}

/** True when a connection ended because the server closed it; false when this process closed it. */
export function isClosedByServer(error: unknown): boolean {
  return CLOSED.test(textOf(described(error)));
}

/** True for an error reply of a server that runs and accepted our credentials, such as one that is loading its data. */
export function isAlive(error: unknown): boolean {
  const text = replyOf(error)?.message ?? "";
  return /^NOPERM\b/.test(text) ||
    (adviceFor(text, TRANSIENT) !== undefined && !text.includes("max number of clients"));
}

function adviceFor(text: string, table: readonly (readonly [RegExp, string])[]): string | undefined {
  return table.find(([pattern]) => pattern.test(text))?.[1];
}

function isAbort(error: unknown): error is Error {
  return error instanceof Error && error.name === "AbortError";
}

// Errors of this package, which say what to do already. A bug of a client, such as "Cannot read properties of undefined",
// is not one of them.
function isOurs(error: unknown): error is Error {
  // These say more than the error of a single connection.
  if (error instanceof StoreError) return /^Cannot (find|reach) the master\b/.test(error.message);
  return error instanceof TypeError &&
    /^Cannot (connect to|tell where|wait for|use (this|a Redis|a Valkey))\b/.test(error.message);
}

/**
 * Adds a message to an error that has none: the messages of its parts, its code, or that of its cause. Some clients
 * report a connection that the server closed by an empty error.
 */
export function described(error: unknown): unknown {
  if (!(error instanceof Error) || error.message !== "") return error;
  const parts = error instanceof AggregateError ? error.errors.map(textOf).join("; ") : "";
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  const message = parts || code ||
    (error.cause instanceof Error ? textOf(error.cause) : "The server closed the connection");
  const named = Object.assign(new Error(message, { cause: error.cause }), code && { code });
  if (error.cause === undefined) delete named.cause;
  named.name = error.name;
  return named;
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
