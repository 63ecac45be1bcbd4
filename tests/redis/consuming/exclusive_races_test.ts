// Guarantee 39: an exclusive consumer on Redis reads by one command, and confirms the read by another one. Whatever happens at
// any moment around the two, returned deliveries come before new entries.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import { SingleServer } from "../../../src/redis/connection/_single_server.ts";
import type { TimedConnection } from "../../../src/redis/connection/_connection.ts";
import { RedisStore } from "../../../src/redis/redis_store.ts";
import { CONFIRM_READ } from "../../../src/redis/scripts/consuming/confirm_read.ts";
import type { ClaimedRecord, EventStore, GroupMember, Outcome, StreamAdmin } from "../../../src/store/mod.ts";
import { StoreError } from "../../../src/store/mod.ts";
import { sleep } from "../../../src/testing/_broker_bench.ts";
import { openConnection, openStore } from "../_bench.ts";
import { RedisServer } from "../_server.ts";

const GROUP = "group";
const MOMENTS = [
  "before both",
  "between the read and its confirmation",
  "between a confirmation and a late read",
] as const;
type Moment = typeof MOMENTS[number];

const DIGEST = Buffer.from(
  await crypto.subtle.digest("SHA-1", new TextEncoder().encode(CONFIRM_READ.source)),
).toString("hex");

/** Delays commands of an exclusive consumer's read, and acts once at the given moment. */
function interrupted(inner: TimedConnection, moment: Moment, act: () => Promise<void>): TimedConnection {
  let [acted, reading, confirming] = [false, Promise.resolve<unknown>(undefined), Promise.resolve<unknown>(undefined)];
  const once = async () => {
    if (!acted) {
      acted = true;
      await act();
    }
  };
  const send = async (command: readonly string[], timeout?: number) => {
    const go = () => inner.send(command, timeout);
    if (command[0] === "XREADGROUP") {
      reading = (async () => {
        if (moment === "before both") await once();
        // In the next turn the confirmation has been sent.
        if (moment === "between a confirmation and a late read" && !acted) {
          await sleep(0);
          await confirming;
          await once();
        }
        return await go();
      })();
      return await reading as Awaited<ReturnType<typeof go>>;
    }
    if (command[1] === CONFIRM_READ.source || command[1] === DIGEST) {
      confirming = (async () => {
        if (moment !== "between a confirmation and a late read" || acted) await reading.catch(() => {});
        if (moment === "between the read and its confirmation") await once();
        return await go();
      })();
      return await confirming as Awaited<ReturnType<typeof go>>;
    }
    return await go();
  };
  return { send, open: (options) => inner.open(options), close: () => inner.close() };
}

/** A stream a, b, c, d, e, of which the exclusive consumer holds b and c, and a is a dead letter; d and e are unread. */
interface Scene {
  readonly stream: string;
  readonly other: EventStore;
  readonly admin: StreamAdmin;
  readonly connection: TimedConnection;
  readonly member: GroupMember;
  /** The name of a consumer that is dead, and may still read. */
  readonly dead: string;
  readonly held: readonly ClaimedRecord[];
  append(...ids: string[]): Promise<unknown>;
}

const join = (store: EventStore, stream: string, consumer: string, lease: number, exclusive: boolean) =>
  store.member(stream, GROUP, { consumer, lease, startFrom: "beginning", exclusive });
const claim = (member: GroupMember, limit: number) => member.claim({ limit, signal: AbortSignal.timeout(5_000) });
const idOf = ({ fields }: ClaimedRecord) => fields[1]!;
const ack = (records: readonly ClaimedRecord[]): Outcome[] =>
  records.map(({ position, fence }) => ({ kind: "ack", position, fence }));
const read = (consumer: string, { stream, connection }: Scene) =>
  connection.send(["XREADGROUP", "GROUP", GROUP, consumer, "COUNT", "1", "STREAMS", stream, ">"]);

let server: RedisServer;
let streams = 0;
Deno.test.beforeAll(async () => void (server = await RedisServer.start()));
Deno.test.afterAll(() => server[Symbol.asyncDispose]());

/** What happens, and which events the consumer gets from then on, in order. */
const CASES: Record<string, { readonly act: (scene: Scene) => Promise<unknown>; readonly gets: string }> = {
  "nothing happens": { act: () => Promise.resolve(), gets: "de" },
  "it returns a retry": {
    act: ({ member, held: [b] }) =>
      member.settle([{ kind: "retry", position: b!.position, fence: b!.fence, attempt: 1, delay: 0 }]),
    gets: "bde",
  },
  "it returns a retry that is due much later": {
    act: ({ member, held: [b] }) =>
      member.settle([{ kind: "retry", position: b!.position, fence: b!.fence, attempt: 1, delay: 60_000 }]),
    gets: "bde",
  },
  "it releases a delivery": {
    act: ({ member, held: [, c] }) => member.settle([{ kind: "release", position: c!.position, fence: c!.fence }]),
    gets: "cde",
  },
  "a letter is redriven": { act: ({ admin }) => admin.deadLetters(GROUP).redrive(), gets: "ade" },
  "a letter is redriven whose entry is gone": {
    act: async ({ admin }) => {
      await admin.trim({ maxLength: 4 });
      await admin.deadLetters(GROUP).redrive();
    },
    gets: "ade",
  },
  "the group is rewound": { act: ({ admin, held: [b] }) => admin.rewind(GROUP, b!.position), gets: "bcde" },
  "the group is rewound to its beginning": { act: ({ admin }) => admin.rewind(GROUP, "beginning"), gets: "abcde" },
  "the group is rewound, and an earlier read of its own comes late": {
    act: async (scene) => {
      await scene.admin.rewind(GROUP, scene.held[0]!.position);
      await read(scene.member.consumer, scene);
    },
    gets: "bcde",
  },
  "an operator gives its delivery to another consumer": {
    act: ({ connection, stream, dead, held: [b] }) =>
      connection.send(["XCLAIM", stream, GROUP, dead, "0", b!.position, "JUSTID"]),
    gets: "bde",
  },
  "a dead consumer reads": { act: (scene) => read(scene.dead, scene), gets: "de" },
  "an earlier read of its own comes late": { act: (scene) => read(scene.member.consumer, scene), gets: "de" },
  "both read": {
    act: async (scene) => {
      await read(scene.member.consumer, scene);
      await scene.append("f");
      await read(scene.dead, scene);
      await scene.append("g");
    },
    gets: "defg",
  },
  "a dead consumer reads, and a letter is redriven": {
    act: async (scene) => {
      await read(scene.dead, scene);
      await scene.admin.deadLetters(GROUP).redrive();
    },
    gets: "ade",
  },
  "an operator makes the group again": {
    act: async ({ connection, stream }) => {
      await connection.send(["XGROUP", "DESTROY", stream, GROUP]);
      await connection.send(["XGROUP", "CREATE", stream, GROUP, "0"]);
    },
    gets: "abcde",
  },
  "an operator destroys the group": {
    act: ({ connection, stream }) => connection.send(["XGROUP", "DESTROY", stream, GROUP]),
    gets: "bcde",
  },
  "all data is lost": {
    act: async ({ append }) => {
      await server.cli("FLUSHALL");
      await append("x", "y");
    },
    gets: "xy",
  },
};

async function withScene(
  moment: Moment,
  act: (scene: Scene) => Promise<unknown>,
  lease: number,
  use: (scene: Scene) => Promise<void>,
) {
  await using other = await openStore(server.url);
  const connection = await openConnection(server.url);
  let scene: Scene | undefined;
  let [armed, acted] = [false, false];
  const hooked = interrupted(await openConnection(server.url), moment, async () => {
    assert(armed, "the first claim is a look");
    acted = true;
    await act(scene!);
  });
  await using store = new RedisStore(new SingleServer(hooked, server.url.host));
  try {
    const stream = `events:Counted${++streams}`;
    const append = (...ids: string[]) => other.append(stream, ids.map((id) => ["id", id]));
    const { consumer: dead } = await join(other, stream, "dead", 20, false);
    await sleep(30);
    const member = await join(store, stream, "one", lease, true);
    await append("a", "b", "c");
    const [a, ...held] = (await claim(member, 3)).records;
    const error = { name: "Error", message: "no" };
    await member.settle([{ kind: "dead", ...a!, reason: "permanent", attempts: 1, error }]);
    await append("d", "e");
    scene = { stream, other, admin: other.admin(stream), connection, member, dead, held, append };
    armed = true;
    await use(scene);
    assert(acted);
  } finally {
    connection.close();
  }
}

/** Claims until the last of these events has come. */
async function getAll(member: GroupMember, last: string): Promise<string> {
  let ids = "";
  while (!ids.endsWith(last)) {
    const { records, disturbed } = await claim(member, 2);
    if (disturbed) await member.renew([]);
    if (records.length > 0) await member.settle(ack(records));
    ids += records.map(idOf).join("");
    if (records.length === 0 && !disturbed) throw new Error(`Waited in vain for ${last}: only ${ids} came`);
  }
  return ids;
}

for (const moment of MOMENTS) {
  for (const [title, { act, gets }] of Object.entries(CASES)) {
    Deno.test(`claim() of an exclusive consumer keeps the order when ${title} ${moment}`, async () => {
      await withScene(moment, act, 60_000, async ({ member, admin }) => {
        assertEquals(await getAll(member, gets.at(-1)!), gets);
        const [group] = (await admin.info()).groups;
        assertEquals(group!.lag, 0);
        await member.leave();
      });
    });
  }

  for (
    const [title, holds, exclusive] of [
      ["has joined", true, true],
      ["has joined, and nothing was pending", false, true],
      ["that is not exclusive has joined, and nothing was pending", false, false],
    ] as const
  ) {
    Deno.test(`claim() of an exclusive consumer claims nothing when another one ${title} ${moment}`, async () => {
      let heir: GroupMember | undefined;
      const act = async ({ other, stream, member, held }: Scene) => {
        if (!holds) await member.settle(ack(held));
        while (heir === undefined) heir = await join(other, stream, "heir", 60_000, exclusive).catch(() => undefined);
      };
      await withScene(moment, act, 300, async ({ member }) => {
        const error = await assertRejects(() => claim(member, 2), StoreError);
        assertEquals([error.kind, error.holder], ["occupied", heir!.consumer]);
        assertEquals(await getAll(heir!, "e"), holds ? "bcde" : "de");
        await heir!.leave();
      });
    });
  }

  Deno.test(`claim() of an exclusive consumer claims nothing when its group was deleted ${moment}`, async () => {
    await withScene(moment, ({ admin }) => admin.removeGroup(GROUP, { force: true }), 60_000, async ({ member }) => {
      const error = await assertRejects(() => claim(member, 2), StoreError);
      assertEquals(error.kind, "group-deleted");
    });
  });
}
