// Several processes on one file of keys and one of events.

import { assert, assertEquals } from "@std/assert";
import { connect } from "@tidings/broker";
import { FieldEncryption, Shredded } from "@tidings/broker/encryption";
import { SqliteKeyStore } from "@tidings/broker/encryption/sqlite";
import { fileURLToPath } from "node:url";
import { projectFlags } from "../docs/_run_page.ts";
import { TempDir } from "./_bench.ts";
import { BidderRegistered, masterKeyOf, SUBJECTS } from "./_bidders.ts";

const MASTER_KEY = "5f".repeat(32);
const COUNT = 30;

async function publish(folder: string, from: number): Promise<void> {
  const child = fileURLToPath(new URL("_child.ts", import.meta.url));
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", ...projectFlags(), child, folder, MASTER_KEY, `${from}`, `${COUNT}`],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
}

Deno.test("SqliteKeyStore gives concurrent processes one key for each subject, and shreds for all of them", async () => {
  await using folder = await TempDir.make();
  await Promise.all([0, 1, 2].map((nth) => publish(folder.path, nth * COUNT)));
  using keys = new SqliteKeyStore(`${folder.path}/keys.db`, { masterKey: masterKeyOf(MASTER_KEY) });
  const encryption = new FieldEncryption({ keys });
  await using broker = await connect(`sqlite:${folder.path}/events.db`, { events: [BidderRegistered], encryption });
  const read = async () => {
    const events = await Array.fromAsync(broker.history(BidderRegistered));
    return events.toSorted((a, b) => a.detail.n - b.detail.n).map(({ detail }) => detail.email);
  };
  const subjects = Array.from({ length: 3 * COUNT }, (_, n) => SUBJECTS[n % SUBJECTS.length]!);
  assertEquals(await read(), subjects.map((subject) => `${subject}@example.com`));
  await encryption.delete("bob");
  const left = await read();
  assert(
    left.every((email, n) =>
      subjects[n] === "bob" ? email instanceof Shredded : email === `${subjects[n]}@example.com`
    ),
  );
  // A process that starts now gets a new key for this subject.
  await publish(folder.path, 3 * COUNT);
  assertEquals((await read()).filter((email) => email === "bob@example.com").length, COUNT / SUBJECTS.length);
});
