/** Sends `count` events, with `inFlight` in flight: each reply makes room for the next event. */
export async function rolling(count: number, inFlight: number, send: (index: number) => Promise<unknown>) {
  let next = 0;
  const lane = async () => {
    while (next < count) await send(next++);
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
}

/** Sends `count` events in windows of `size`, and waits for all replies of a window before the next one. */
export async function windows(count: number, size: number, send: (index: number) => Promise<unknown>) {
  for (let next = 0; next < count;) {
    const window = Array.from({ length: Math.min(size, count - next) }, () => send(next++));
    await Promise.all(window);
  }
}

/** Sends `count` events at a steady rate, without waiting for the replies to earlier ones. */
export async function paced(count: number, perSecond: number, send: (index: number) => Promise<unknown>) {
  const start = performance.now();
  const answers: Promise<unknown>[] = [];
  for (let next = 0; next < count;) {
    const due = Math.min(count, Math.floor((performance.now() - start) / 1_000 * perSecond) + 1);
    while (next < due) answers.push(send(next++));
    await new Promise((resolve) =>
      setTimeout(resolve, Math.max(0, start + next / perSecond * 1_000 - performance.now()))
    );
  }
  await Promise.all(answers);
}
