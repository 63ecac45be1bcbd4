/**
 * Shows in a new process the events, groups and dead letters that earlier processes left. It changes nothing.
 *
 *     deno run --allow-read=.tidings --allow-write=.tidings examples/persistence.ts
 *
 * @module
 */
import { connect } from "@tidings/broker";
import { events } from "./auction/events.ts";
import { assertDurable, assertPast, main, shown } from "./_cli.ts";
import { say } from "./_columns.ts";
import { deadLetters, groups, heading, show, streams, table } from "./_print.ts";

await main("persistence", "What earlier processes left, seen from a new one", async ({ url, signal, begin }) => {
  assertDurable("persistence", url);
  await using broker = await connect(url, { events, signal });
  const infos = await streams(broker);
  assertPast("persistence", url, infos);

  begin();
  say(`This is process ${Deno.pid}. It publishes nothing: all that it shows was stored in ${shown(url)}.`);

  heading(
    "Streams",
    "One for each type of event. A position is a time in milliseconds and a number, unique in its stream.",
  );
  const rows = infos.map(({ type, length, first, last }) => [type, length, first, last]);
  table([["stream", "events", "first", "last"], ...rows]);

  heading("History", "The last six events of all types, the oldest first, each with the service that published it.");
  const recent = await Array.fromAsync(broker.history(events, { limit: 6, reverse: true, signal }));
  for (const event of recent.reverse()) show(event);

  heading(
    "Groups",
    "How far each group is. It goes on from there when its service starts again, in any process: an event that " +
      "was handled is not delivered again, and an event that was not handled is not lost.",
  );
  groups(infos);

  heading("Dead letters", "Events that a group gave up, and why. broker.redrive() returns them to their group.");
  await deadLetters(broker, 3);
});
