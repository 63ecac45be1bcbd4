/**
 * A process of its own, given the parser's package and a document on its input: the parser's types bring Node's, which
 * the project's type check is not to meet.
 *
 * @module
 */
const [name] = Deno.args;
const { Parser } = await import(name!);
const { document, diagnostics } = await new Parser().parse(await new Response(Deno.stdin.readable).text());
const faults = diagnostics.filter(({ severity }: { severity: number }) => severity <= 1);
const addresses = document?.allChannels().all().map((channel: { address(): string }) => channel.address());
const correlation = document?.allMessages().all()[0]?.correlationId()?.location();
console.log(JSON.stringify({ faults, addresses, correlation }));
