/** Another process that uses a file: `_child.ts <command> <file> <name>`. It reports on standard output, line by line. */
import { SqliteStore } from "../../src/sqlite/sqlite_store.ts";
import { acks, entries, idOf } from "./_scratch.ts";

const [command, file, name] = Deno.args as [string, string, string];
const never = new AbortController().signal;
const store = await SqliteStore.open(file);
const say = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));

switch (command) {
  /** Appends batches of twenty until it is killed. Reports the number of each batch that was acknowledged. */
  case "append-for-ever":
    for (let batch = 0;; batch++) {
      await store.append("Stream", entries(20, batch * 20));
      say(`${batch}`);
    }
  /** Claims up to ten entries, reports their ids, and holds them until it is killed, or its parent has ended. */
  case "hold": {
    const member = await store.member("Stream", "group", { consumer: name, lease: 300, startFrom: "beginning" });
    const { records } = await member.claim({ limit: 10, signal: never });
    say(records.map(idOf).join());
    await Deno.stdin.readable.pipeTo(new WritableStream());
    break;
  }
  /** Appends a hundred batches, and claims entries of all processes meanwhile. Reports their ids, until "end" comes. */
  case "compete": {
    const member = await store.member("Stream", "group", { consumer: name, lease: 30_000, startFrom: "beginning" });
    const appending = (async () => {
      for (let batch = 0; batch < 100; batch++) {
        await store.append(
          "Stream",
          entries(10, batch * 10).map(([id, value, ...rest]) => [id!, name + value, ...rest]),
        );
      }
    })();
    for (let ended = false; !ended;) {
      const { records } = await member.claim({ limit: 50, signal: never });
      await member.settle(acks(records));
      const ids = records.map(idOf);
      ended = ids.includes("end");
      say(ids.join());
      if (ended) await store.append("Stream", [["id", "end"]]);
    }
    await appending;
    await member.leave();
    break;
  }
}
await store[Symbol.asyncDispose]();
