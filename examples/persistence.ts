/**
 * What survived: a new process looks at what earlier ones left, and does nothing about it.
 *
 *     deno run --allow-read=.tidings --allow-write=.tidings examples/persistence.ts
 *
 * @module
 */
import { connect } from "@tidings/broker";
import { events } from "./auction/events.ts";
import { assertDurable, assertPast, main } from "./_cli.ts";
import { deadLetters, groups, heading, line, streams, table } from "./_print.ts";

await main("persistence", "What survived, seen from a new process that only looks", async ({ url, signal, begin }) => {
  assertDurable("persistence", url);
  await using broker = await connect(url, { events, signal });
  const infos = await streams(broker);
  assertPast("persistence", url, infos);

  begin();
  console.log(`This is process ${Deno.pid}, and it has published nothing. All it shows was in ${url}.`);

  heading(
    "Streams",
    "One per type of event. A position is the time in milliseconds and a number, unique in its stream.",
  );
  const rows = infos.map(({ type, length, first, last }) => [type, length, first, last]);
  table([["stream", "events", "first", "last"], ...rows]);

  heading("History", "The last six events of all types, oldest first, each with the service it came from.");
  const recent = await Array.fromAsync(broker.history(events, { limit: 6, reverse: true, signal }));
  for (const event of recent.reverse()) line(event);

  heading(
    "Groups",
    "How far each got. A group goes on from there when its service starts, here or in another process:\n" +
      "what it handled does not come again, what it did not handle is not lost.",
  );
  groups(infos);

  heading("Dead letters", "What a group gave up, and why. broker.redrive() hands it back to that group.");
  await deadLetters(broker, 3);
});
