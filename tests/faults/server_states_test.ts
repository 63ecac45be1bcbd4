// Guarantees 15, 30: what a server refuses for a while is done when the while is over, once, and counts against nobody.

import { openBroker } from "../redis/_bench.ts";
import { RedisServer } from "../redis/_server.ts";
import { atOnce, byAllClients } from "./_at_once.ts";
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

const [waits, works] = [STATES.filter(isWaitedFor), STATES.filter((state) => !isWaitedFor(state))];

function isWaitedFor({ mostlyWaits = false }: State): boolean {
  return mostlyWaits;
}

testFault(
  `a server that ${waits.map(({ title }) => title).join("; or ")} loses, doubles and counts nothing, by any client`,
  async () => void await atOnce(Object.fromEntries(waits.map((state) => [state.title, () => outlast(state)]))),
);

for (const state of works) {
  testFault(
    `a server that ${state.title} loses, doubles and counts nothing, by any client`,
    () => outlast(state),
    state.ignore,
  );
}
