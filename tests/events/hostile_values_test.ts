import { runInNewContext } from "node:vm";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  defineEvent,
  type DetailCipher,
  type DomainEvent,
  type DomainEventInit,
  type Position,
  type StandardSchemaV1,
  UndecodableError,
  ValidationError,
} from "@tidings/broker";
import { DecodingFailure } from "../../src/broker/codec/_detail_contract.ts";
import { EventCodec } from "../../src/broker/codec/_event_codec.ts";
import { errorRecord } from "../../src/broker/consuming/jobs/_outcomes.ts";
import { reasonOf, show } from "../../src/events/_check.ts";
import { errorChain, isInstance, MAX_TEXT, readText, reportable } from "../../src/events/_foreign.ts";
import { encodeDetail } from "../../src/events/_lossless.ts";
import { classify } from "../../src/redis/connection/_errors.ts";

const refuse = (): never => {
  throw new RangeError("not to be read");
};

const endless = {
  *[Symbol.iterator]() {
    for (;;) yield 1;
  },
};

/** Values that throw when they are read, and other unusual values, by description. */
function hostileValues(): Record<string, unknown> {
  const traps = {
    get: refuse,
    has: refuse,
    ownKeys: refuse,
    getPrototypeOf: refuse,
    getOwnPropertyDescriptor: refuse,
    apply: refuse,
  };
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  const revokedArray = Proxy.revocable([], {});
  revokedArray.revoke();
  const throwing = (name: string) => Object.defineProperty(new Error("hidden"), name, { get: refuse });
  const circular = new Error("circular");
  circular.cause = circular;
  return {
    "a Proxy": new Proxy({}, traps),
    "a Proxy of an Error": new Proxy(new Error("behind a proxy"), traps),
    "a Proxy of a function": new Proxy(() => {}, traps),
    "a Proxy that hides its throwing traps from instanceof": new Proxy(new Error(""), { get: refuse }),
    "a revoked Proxy": revoked.proxy,
    "a revoked Proxy of an array": revokedArray.proxy,
    "an Error with a throwing name": throwing("name"),
    "an Error with a throwing message": throwing("message"),
    "an Error with a throwing stack": throwing("stack"),
    "an Error with a throwing cause": throwing("cause"),
    "an Error whose cause is a Proxy": new Error("outer", { cause: new Proxy(new Error(""), traps) }),
    "an Error that is its own cause": circular,
    "an Error whose message is an object": Object.assign(new Error(), { message: { toString: refuse } }),
    "an Error whose name is a symbol": Object.assign(new Error(), { name: Symbol("name") }),
    "an object with a throwing toString": { toString: refuse, [Symbol.toPrimitive]: refuse },
    "an object with a throwing constructor": Object.defineProperty({}, "constructor", { get: refuse }),
    "an object without a prototype": Object.create(null),
    "a symbol": Symbol("thrown"),
    "undefined": undefined,
    "null": null,
    "a bigint": 1n,
    "a huge string": "x".repeat(1_000_000),
    "an Error with a huge message": new Error("x".repeat(1_000_000)),
    "an object whose inspection throws": { [Symbol.for("Deno.customInspect")]: refuse },
    "a function with a throwing name": Object.defineProperty(() => {}, "name", { get: refuse }),
    "an AggregateError of endless errors": Object.defineProperty(new AggregateError([]), "errors", { value: endless }),
    "an AggregateError of a Proxy": new AggregateError([new Proxy(new Error(""), traps)]),
  };
}

/** Runs `check` for each hostile value, and names the one that fails. */
async function forEach(check: (value: unknown, name: string) => unknown): Promise<void> {
  for (const [name, value] of Object.entries(hostileValues())) {
    try {
      await check(value, name);
    } catch (error) {
      throw new Error(`with ${name}`, { cause: isInstance(error, Error) ? error : show(error) });
    }
  }
}

Deno.test("show() and reasonOf() give a short text of any value", async () => {
  await forEach((value) => {
    assert(show(value).length < 200);
    const reason = reasonOf(value);
    assert(reason !== "" && typeof reason === "string");
  });
  assertEquals(reasonOf(new Error("x".repeat(1_000_000))).length, MAX_TEXT + 1);
  assertEquals(reasonOf(new Error("")), "Error");
});

Deno.test("errorRecord() gives bounded plain text of any value", async () => {
  await forEach((value) => {
    const record = errorRecord(value);
    const { name, message, stack = "" } = record;
    for (const text of [name, message, stack]) assert(typeof text === "string" && text.length <= MAX_TEXT + 1);
    assert(name !== "");
    assertEquals(JSON.parse(JSON.stringify(record)), record);
  });
  const unreadable = Object.defineProperty({ path: "detail", message: "" }, "message", { get: refuse });
  for (const error of [Object.create(ValidationError.prototype), new ValidationError("refused", [unreadable])]) {
    assertEquals(errorRecord(error).issues, undefined);
  }
});

Deno.test("errorRecord() and reasonOf() keep name and message of an Error of another realm", () => {
  const error: unknown = runInNewContext(`new RangeError("too far")`);
  assert(!(error instanceof Error));
  const { name, message } = errorRecord(error);
  assertEquals({ name, message }, { name: "RangeError", message: "too far" });
  assertEquals(reasonOf(error), "too far");
  assertEquals(show(runInNewContext("({})")), "a plain object");
});

Deno.test("isInstance(), readText() and errorChain() never throw", async () => {
  await forEach((value) => {
    assertEquals(typeof isInstance(value, Error), "boolean");
    for (const name of ["name", "message", "stack", "cause"]) readText(value, name);
    assert([...errorChain(value)].length <= 20);
  });
});

Deno.test("reportable() gives a value that the platform reports without throwing or ending the process", async () => {
  await forEach((value) => {
    const caught = (event: Event) => event.preventDefault();
    addEventListener("error", caught);
    try {
      reportError(reportable(value));
    } finally {
      removeEventListener("error", caught);
    }
  });
  const error = new Error("readable", { cause: new Error("too") });
  assert(reportable(error) === error);
});

Deno.test("encodeDetail() gives an error that names the detail when reading a value throws", async () => {
  const hostile = hostileValues();
  for (const name of ["a Proxy", "a revoked Proxy", "a revoked Proxy of an array"]) {
    assertThrows(() => encodeDetail({ inner: hostile[name] }), TypeError, "Cannot encode detail");
  }
  const detail = { a: 1 };
  Object.defineProperty(detail, "a", { get: refuse, enumerable: true });
  assertThrows(() => encodeDetail(detail), TypeError, "Cannot encode detail: reading it threw: not to be read");
  const toJSON = Object.defineProperty({}, "toJSON", { value: refuse });
  assertThrows(() => encodeDetail(toJSON), TypeError, "Cannot encode detail: reading it threw: not to be read");
  await forEach((value) => {
    const getter = Object.defineProperty({}, "a", {
      enumerable: true,
      get() {
        throw value;
      },
    });
    assertThrows(() => encodeDetail(getter), TypeError, "Cannot encode detail: reading it threw");
  });
});

Deno.test("new refuses an id and a time that cannot be read", async () => {
  await forEach((value) => {
    if (value === undefined) return;
    assertThrows(() => new Tick(1, { id: value as string }), TypeError);
    assertThrows(() => new Tick(1, { time: value as Date }), TypeError);
  });
});

class Tick extends defineEvent("Tick")<number> {}

/** A schema whose `validate` is this function. */
function schemaOf(validate: (value: unknown) => unknown): StandardSchemaV1 {
  return { "~standard": { version: 1, vendor: "test", validate: validate as never } };
}

const position: Position = "1-0";
const entry = (payload = "1") => ({ position, fields: ["id", "a", "payload", payload] });

Deno.test("a schema that throws a hostile value gives a TypeError, and makes an entry undecodable", async () => {
  await forEach((value) => {
    const schema = schemaOf(() => {
      throw value;
    });
    const Strict = defineEvent("Strict", { schema });
    assertThrows(() => new Strict(1), TypeError, "its schema threw");
    assert(new EventCodec(Strict, "events").decode(entry()) instanceof UndecodableError);
  });
});

Deno.test("a schema that rejects with a hostile value gives an Error, and makes decoding an entry a failed attempt", async () => {
  await forEach(async (value) => {
    const Strict = defineEvent("Strict", { schema: schemaOf(() => Promise.reject(value)) });
    const codec = new EventCodec<DomainEvent>(Strict, "events");
    const failed = await assertRejects(() => codec.prepare(new Strict(1))!, Error, "its schema gave no answer");
    assert(failed.message.length < MAX_TEXT + 200);
    await assertRejects(() => codec.decode(entry()) as Promise<unknown>, DecodingFailure);
  });
});

Deno.test("a result of a schema that cannot be read gives a TypeError, and makes an entry undecodable", () => {
  const { "a Proxy": proxy, "a revoked Proxy": revoked } = hostileValues();
  const results = [
    proxy,
    revoked,
    Object.defineProperty({}, "issues", { get: refuse }),
    Object.defineProperty({}, "value", { get: refuse }),
    Object.defineProperty({}, "then", { get: refuse }),
    { issues: [Object.defineProperty({}, "message", { get: refuse })] },
    { issues: [{ message: "m", path: [{ key: { toString: refuse } }] }] },
    { issues: [{ message: { toString: refuse } }] },
    { issues: 1 },
    { issues: [null] },
    undefined,
  ];
  for (const result of results) {
    const Strict = defineEvent("Strict", { schema: schemaOf(() => result) });
    const error = assertThrows(() => new Strict(1), TypeError, "its schema");
    assert(!(error instanceof ValidationError));
    assert(new EventCodec(Strict, "events").decode(entry()) instanceof UndecodableError);
  }
});

Deno.test("a ValidationError has bounded issues when the schema's are huge", () => {
  const Strict = defineEvent("Strict", { schema: schemaOf(() => ({ issues: [{ message: "x".repeat(1_000_000) }] })) });
  const error = assertThrows(() => new Strict(1), ValidationError);
  assertEquals(error.issues[0]!.message.length, MAX_TEXT);
});

Deno.test("a cipher that throws or rejects with a hostile value gives an Error, and makes decoding an entry a failed attempt", async () => {
  class Sealed extends defineEvent("Sealed", { sensitive: ["a"], encrypt: true })<{ a: number }> {}
  await forEach(async (value) => {
    const toss = (): never => {
      throw value;
    };
    const ciphers: DetailCipher[] = [
      { seal: toss, open: toss },
      { seal: () => Promise.reject(value), open: () => Promise.reject(value) },
      {
        seal: () => Promise.resolve(undefined),
        open: () =>
          Promise.resolve({
            get detail() {
              return toss();
            },
            shredded: false,
          }),
      },
    ];
    for (const cipher of ciphers) {
      const codec = new EventCodec<Sealed>(Sealed, "events", cipher);
      const event = new Sealed({ a: 1 }, { subject: "s" });
      await assertRejects(() => codec.prepare(event)!, Error, "its sensitive fields could not be encrypted");
      await assertRejects(() => codec.decode(entry('{"a":{"$enc":"x"}}')) as Promise<unknown>, DecodingFailure);
    }
  });
});

Deno.test("an upcaster or a constructor that throws a hostile value makes an entry undecodable", async () => {
  await forEach((value) => {
    const upcast = {
      1: () => {
        throw value;
      },
    };
    const Second = defineEvent("Second", { version: 2, upcast });
    assert(new EventCodec(Second, "events").decode(entry()) instanceof UndecodableError);
    class Picky extends defineEvent("Picky")<number> {
      constructor(detail: number, init?: DomainEventInit) {
        super(detail, init);
        throw value;
      }
    }
    assert(new EventCodec(Picky as never, "events").decode(entry()) instanceof UndecodableError);
  });
});

Deno.test("classify() ends for an error whose causes form a circle", () => {
  const error = new Error("closed");
  error.cause = new Error("EPIPE", { cause: error });
  assertEquals((classify(error) as { kind?: string }).kind, "uncertain");
});
