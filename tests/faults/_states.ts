import { until } from "../../src/testing/_broker_bench.ts";
import { openConnection } from "../redis/_bench.ts";
import type { RedisServer } from "../redis/_server.ts";
import { CAN_MAKE_DISKS, SmallDisk } from "./_small_disk.ts";

/** A temporary state of a server in which it refuses commands. */
export interface State {
  readonly title: string;
  /** Its error reply in this state; undefined if it does not reply. */
  readonly says?: RegExp;
  /** Arguments that the server is started with. */
  readonly options?: readonly string[];
  /** Makes the disk for the server's files, if they need one of their own. */
  readonly disk?: () => Promise<SmallDisk>;
  /** Whether consumers can read and settle in this state. */
  readonly consumersGoOn?: boolean;
  readonly ignore?: boolean;
  /** Whether the test mostly waits, so that it can run concurrently with others. */
  readonly mostlyWaits?: boolean;
  /** Resolves with a function that ends the state, once the server is in it. */
  enter(server: RedisServer, disk: SmallDisk | undefined): Promise<() => Promise<unknown>>;
}

// At a millisecond each, loading them would take 20 seconds; the test ends it earlier.
const LOAD_KEYS = 20_000;

/** A state that one command begins and another one ends. */
function switched(enter: readonly string[], leave: readonly string[]): State["enter"] {
  return async (server) => {
    await server.cli(...enter);
    return () => server.cli(...leave);
  };
}

/** Waits until the reply to PING matches. */
function says(server: RedisServer, answer: RegExp): Promise<void> {
  return until(async () => answer.test(await server.cli("PING")), `the server says ${answer}`);
}

/** States in which a command may fail now and succeed later. */
export const STATES: readonly State[] = [
  {
    title: "loads its data after a crash",
    says: /LOADING/,
    mostlyWaits: true,
    // A millisecond for each key; the server answers other connections after each kilobyte.
    options: ["--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"],
    async enter(server) {
      await server.cli("EVAL", `for n = 1, ${LOAD_KEYS} do redis.call('SET', 'ballast:' .. n, 'some text') end`, "0");
      await server.cli("BGREWRITEAOF");
      const rewritten = /aof_rewrite_in_progress:0[^]*aof_rewrite_scheduled:0[^]*aof_last_bgrewrite_status:ok/;
      await until(
        async () => rewritten.test(await server.cli("INFO", "persistence")),
        "the append-only file is rewritten",
      );
      await server.kill();
      const restarted = server.restart();
      // It rejects while nobody awaits it yet if the server takes too long.
      restarted.catch(() => {});
      // Commands fail until it listens.
      await until(
        () => server.cli("PING").then((answer) => answer.includes("LOADING"), () => false),
        "the server loads its data",
      );
      return async () => {
        await server.cli("CONFIG", "SET", "key-load-delay", "0");
        await restarted;
      };
    },
  },
  {
    title: "is a replica until it is promoted",
    says: /READONLY/,
    mostlyWaits: true,
    enter: switched(["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"]),
  },
  {
    title: "is a replica that has lost its master, and serves nothing stale",
    says: /MASTERDOWN/,
    mostlyWaits: true,
    options: ["--replica-serve-stale-data", "no"],
    enter: switched(["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"]),
  },
  {
    title: "cannot save a snapshot",
    says: /MISCONF/,
    options: ["--save", "3600 1000000"],
    async enter(server) {
      // A directory with the name of the snapshot makes saving it fail.
      await Deno.mkdir(`${server.folder}/dump.rdb`);
      await server.cli("BGSAVE");
      await says(server, /MISCONF/);
      return async () => {
        await Deno.remove(`${server.folder}/dump.rdb`);
        await server.cli("BGSAVE");
        await says(server, /PONG/);
      };
    },
  },
  {
    title: "has no room on its disk",
    says: /MISCONF/,
    ignore: !CAN_MAKE_DISKS,
    disk: () => SmallDisk.make(),
    async enter(server, disk) {
      await disk!.fill();
      // The server accepts the first write, and refuses those after it.
      await server.cli("SET", "ballast", "x".repeat(8_192));
      await says(server, /MISCONF/);
      return async () => {
        await disk!.makeRoom();
        await says(server, /PONG/);
      };
    },
  },
  {
    title: "has no memory left",
    says: /OOM/,
    options: ["--maxmemory-policy", "noeviction"],
    consumersGoOn: true,
    enter: switched(["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "SET", "maxmemory", "0"]),
  },
  {
    title: "is busy with the script of another client",
    says: /BUSY/,
    options: ["--busy-reply-threshold", "50"],
    async enter(server) {
      const other = await openConnection(server.url);
      const running = other.send(["EVAL", "while true do end", "0"], 60_000).catch(() => {});
      await says(server, /BUSY/);
      return async () => {
        await server.cli("SCRIPT", "KILL");
        await running;
        other.close();
      };
    },
  },
  {
    title: "has too few replicas",
    says: /NOREPLICAS/,
    mostlyWaits: true,
    enter: switched(["CONFIG", "SET", "min-replicas-to-write", "1"], ["CONFIG", "SET", "min-replicas-to-write", "0"]),
  },
  {
    title: "has as many clients as it takes",
    says: /max number of clients|as many clients/,
    mostlyWaits: true,
    async enter(server) {
      const only = await openConnection(server.url);
      await only.send(["CONFIG", "SET", "maxclients", "1"]);
      await only.send(["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
      return async () => {
        await only.send(["CONFIG", "SET", "maxclients", "10000"]);
        only.close();
      };
    },
  },
  {
    title: "keeps all writers waiting",
    enter: switched(["CLIENT", "PAUSE", "60000", "WRITE"], ["CLIENT", "UNPAUSE"]),
  },
];
