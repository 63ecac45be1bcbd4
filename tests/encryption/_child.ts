// A process that publishes encrypted events: arguments are the folder, the master key in hexadecimal, how many.

import { connect } from "@tidings/broker";
import { FieldEncryption } from "@tidings/broker/encryption";
import { SqliteKeyStore } from "@tidings/broker/encryption/sqlite";
import { BidderRegistered, masterKeyOf, SUBJECTS } from "./_bidders.ts";

const [folder, masterKey, from, count] = Deno.args as [string, string, string, string];
using keys = new SqliteKeyStore(`${folder}/keys.db`, { masterKey: masterKeyOf(masterKey) });
const encryption = new FieldEncryption({ keys });
await using broker = await connect(`sqlite:${folder}/events.db`, { events: [BidderRegistered], encryption });
for (let n = Number(from); n < Number(from) + Number(count); n++) {
  const subject = SUBJECTS[n % SUBJECTS.length]!;
  await broker.publish(new BidderRegistered({ n, email: `${subject}@example.com` }, { subject }));
}
