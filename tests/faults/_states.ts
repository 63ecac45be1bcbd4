import { until } from "../../src/testing/_broker_bench.ts";
import { openConnection } from "../redis/_bench.ts";
import type { RedisServer } from "../redis/_server.ts";
import { CAN_MAKE_DISKS, SmallDisk } from "./_small_disk.ts";

/** A state of a server in which it refuses what it is asked, for a while. */
export interface State {
  readonly title: string;
  /** What the server says in it; undefined where it says nothing at all. */
  readonly says?: RegExp;
  /** Arguments that the server is started with. */
  readonly options?: readonly string[];
  /** Where the server's files are, if that matters. */
  readonly disk?: () => Promise<SmallDisk>;
  /** Consumers read and settle in this state as in any other. */
  readonly consumersGoOn?: boolean;
  readonly ignore?: boolean;
  /** What it takes is mostly waiting, so that it is shown along with others. */
  readonly mostlyWaits?: boolean;
  /** Resolves once the server is in it, with how to end it. */
  enter(server: RedisServer, disk: SmallDisk | undefined): Promise<() => Promise<unknown>>;
}

const LOAD_KEYS = 2_500;

/** Set by one command, and ended by another. */
function switched(enter: readonly string[], leave: readonly string[]): State["enter"] {
  return async (server) => {
    await server.cli(...enter);
    return () => server.cli(...leave);
  };
}

/** Waits until the server answers a PING by this. */
function says(server: RedisServer, answer: RegExp): Promise<void> {
  return until(async () => answer.test(await server.cli("PING")), `the server says ${answer}`);
}

/** The states in which what fails now may be possible later. */
export const STATES: readonly State[] = [
  {
    title: "loads its data after a crash",
    says: /LOADING/,
    mostlyWaits: true,
    // A millisecond for each key, and others are answered now and then.
    options: ["--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"],
    async enter(server) {
      await server.cli("EVAL", `for n = 1, ${LOAD_KEYS} do redis.call('SET', 'ballast:' .. n, 'some text') end`, "0");
      await server.cli("BGREWRITEAOF");
      const rewritten = /aof_rewrite_in_progress:0[^]*aof_rewrite_scheduled:0[^]*aof_last_bgrewrite_status:ok/;
      await until(async () => rewritten.test(await server.cli("INFO", "persistence")), "its file is compact");
      await server.kill();
      const restarted = server.restart();
      // Until it listens there is nobody to ask.
      await until(() => server.cli("PING").then((answer) => answer.includes("LOADING"), () => false), "it loads");
      return () => restarted;
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
      // A directory stands where the file is to be.
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
      // The first write is still answered: only what comes after it is refused.
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
    title: "is busy with somebody's script",
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
