/**
 * Publishes one event to the broker of a URL, and prints a line at once. With `nothing:` it loads no broker, to measure the
 * start of Deno alone.
 *
 * @module
 */
const [url] = Deno.args;
if (url === "nothing:") console.log("started");
else {
  const { connect, defineEvent } = await import("@tidings/broker");
  class Started extends defineEvent("Started")<{ n: number }> {}
  const broker = await connect(url!, { events: [Started] });
  await broker.publish(new Started({ n: 1 }));
  console.log("published");
  await broker.close();
}
