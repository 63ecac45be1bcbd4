/**
 * Parses the document on standard input with the package that the argument names. It runs as a separate process, because
 * the parser's types include those of Node, which would disturb the project's type check.
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
