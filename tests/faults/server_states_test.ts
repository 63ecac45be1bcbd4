// Guarantees 15, 30: commands that a server refuses for a while are done once afterwards, and cost no attempt.

import { openBroker } from "../redis/_bench.ts";
import { RedisServer } from "../redis/_server.ts";
import { byAllClients, concurrently } from "./_concurrently.ts";
import { testFault } from "./_seed.ts";
import { type State, STATES } from "./_states.ts";
import { Witness } from "./_witness.ts";

async function outlast(state: State): Promise<void> {
  await using opened = new AsyncDisposableStack();
  const disk = await state.disk?.();
  if (disk !== undefined) opened.use(disk);
  const options = [...state.options ?? [], ...disk === undefined ? [] : ["--dir", disk.path]];
  const server = opened.use(await RedisServer.start(options));
  const witnesses = await byAllClients(async (kind) => {
    const prefix = `by-${kind.replace(/\W/g, "")}`;
    return opened.use(await Witness.open((options) => openBroker(server.url, { ...options, prefix }, kind)));
  });
  await byAllClients((_, index) => witnesses[index]!.begin());
  const leave = await state.enter(server, disk);
  try {
    await byAllClients((_, index) => witnesses[index]!.endure(state));
  } finally {
    await leave();
  }
  await byAllClients((_, index) => witnesses[index]!.recover());
}

const nameOf = (title: string) =>
  `publish() and subscribe() lose and repeat nothing, by any client, when a server ${title}`;
const waiting = STATES.filter(({ mostlyWaits }) => mostlyWaits === true);

testFault(
  nameOf(waiting.map(({ title }) => title).join("; or ")),
  async () => void await concurrently(Object.fromEntries(waiting.map((state) => [state.title, () => outlast(state)]))),
);

for (const state of STATES.filter((state) => !waiting.includes(state))) {
  testFault(nameOf(state.title), () => outlast(state), state.ignore);
}
