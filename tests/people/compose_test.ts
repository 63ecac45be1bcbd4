import { assert, assertEquals, assertMatch } from "@std/assert";
import { DCLinter } from "npm:dclint@^3";
import { parse } from "npm:yaml@^2";
import { findServer, RedisServer } from "../redis/_server.ts";
import { root } from "../structure/_imports.ts";

const file = new URL("compose.yaml", root);
const compose = parse(Deno.readTextFileSync(file));
const { redis } = compose.services;

/** Replaces REDIS_PASSWORD in a text as Compose does. */
function interpolated(text: string, password = ""): string {
  const result = text.replaceAll("${REDIS_PASSWORD:-}", password);
  assert(!result.includes("$"), `${text}: only REDIS_PASSWORD may be interpolated`);
  return result;
}

Deno.test("compose.yaml follows the Compose specification and passes the linter", () => {
  const config: ConstructorParameters<typeof DCLinter>[0] = {
    rules: { "require-quotes-in-ports": [1, { quoteType: "double" }] },
    quiet: false,
    debug: false,
    exclude: [],
  };
  const results = new DCLinter(config).lintFiles([file.pathname], false);
  const messages = results.flatMap(({ messages }) => messages.map(({ line, message }) => `${line}: ${message}`));
  assertEquals([results.length, messages], [1, []]);
});

Deno.test("compose.yaml has the Redis service that README describes", () => {
  assertEquals([redis.image, redis.container_name], ["redis:7-alpine", "event_broker_redis"]);
  assertEquals(redis.ports, ["127.0.0.1:6379:6379"]);
  const [volume, directory] = redis.volumes[0].split(":");
  assert(volume in compose.volumes, "the volume has a name");
  assertEquals(directory, "/data");
  const command = redis.command.join(" ");
  for (const option of ["--appendonly yes", "--appendfsync everysec", "--requirepass ${REDIS_PASSWORD:-}"]) {
    assert(command.includes(option), option);
  }
});

Deno.test("compose.yaml starts Prometheus and Grafana only with the profile monitoring, for this machine", () => {
  const { redis: _, ...others } = compose.services;
  assertEquals(Object.keys(others), ["grafana", "prometheus"]);
  for (const { image, ports, profiles } of Object.values(others) as Record<string, readonly string[]>[]) {
    assertEquals(profiles, ["monitoring"]);
    assertMatch(String(image), /:v?\d+\.\d+\.\d+$/);
    for (const port of ports!) assertMatch(port, /^127\.0\.0\.1:/);
  }
});

Deno.test("compose.yaml gives Prometheus and Grafana files that exist, at the paths that they name", () => {
  const { prometheus, grafana } = compose.services;
  const mounts = (volumes: readonly string[]) =>
    new Map(volumes.map((volume) => volume.split(":") as [string, string]).map(([from, to]) => [to, from]));
  const [forPrometheus, forGrafana] = [mounts(prometheus.volumes), mounts(grafana.volumes)];
  for (const from of [...forPrometheus.values(), ...forGrafana.values()]) {
    if (from.startsWith(".")) assert(Deno.statSync(new URL(from, root)).isFile, from);
    else assert(from in compose.volumes, from);
  }
  const read = (mounted: ReadonlyMap<string, string>, path: string) =>
    parse(Deno.readTextFileSync(new URL(mounted.get(path) ?? `${path} is not mounted`, root)));

  const { rule_files, scrape_configs } = read(forPrometheus, "/etc/prometheus/prometheus.yml");
  for (const file of rule_files) assert(forPrometheus.has(`/etc/prometheus/${file}`), file);
  const hosts = new Set(
    scrape_configs.flatMap(({ static_configs }: { static_configs: { targets: string[] }[] }) =>
      static_configs.flatMap(({ targets }) => targets.map((target) => target.split(":")[0]))
    ),
  );
  assertEquals([...hosts], prometheus.extra_hosts.map((host: string) => host.split(":")[0]));

  const [source] = read(forGrafana, "/etc/grafana/provisioning/datasources/tidings.yml").datasources;
  assertEquals([source.url, source.isDefault], ["http://prometheus:9090", true]);
  const [provider] = read(forGrafana, "/etc/grafana/provisioning/dashboards/tidings.yml").providers;
  const home = grafana.environment.GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH;
  assertEquals(home, `${provider.options.path}/tidings.json`);
  assert(forGrafana.has(home), "the dashboard is mounted");
});

for (const password of [undefined, "se cret"]) {
  const what = password === undefined ? "without a password" : "with a password";
  Deno.test(`compose.yaml's command and health check work ${what}`, async () => {
    const [program, ...options] = redis.command.map((word: string) => interpolated(word, password));
    assertEquals(program, "redis-server");
    await using server = await RedisServer.start(options);

    /** Runs redis-cli on the port of the server. In the container the port is the default. */
    const cli = async (words: readonly string[], auth: string) => {
      const { success, stdout } = await new Deno.Command(findServer().replace(/server([^/\\]*)$/, "cli$1"), {
        args: ["-p", String(server.port), ...words],
        env: { REDISCLI_AUTH: auth },
      }).output();
      return [success, new TextDecoder().decode(stdout).trim()];
    };
    const [cmd, redisCli, ...check] = redis.healthcheck.test;
    assertEquals([cmd, redisCli], ["CMD", "redis-cli"]);
    const auth = interpolated(redis.environment.REDISCLI_AUTH, password);
    assertEquals(await cli(check, auth), [true, "PONG"]);
    if (password !== undefined) assertEquals((await cli(check, "wrong"))[0], false, "a wrong password is unhealthy");

    const settings = { appendonly: "yes", appendfsync: "everysec", save: "", "maxmemory-policy": "noeviction" };
    for (const [name, value] of Object.entries(settings)) {
      const [, reply] = await cli(["CONFIG", "GET", name], auth);
      assertEquals(reply, `${name}\n${value}`.trim());
    }
    await server.kill();
    assertEquals((await cli(check, auth))[0], false, "a dead server is unhealthy");
  });
}
