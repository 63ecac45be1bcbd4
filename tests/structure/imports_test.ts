import { assert, assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { type Import, importMap, importsOf, isRelative, modulesIn, pathOf, root } from "./_imports.ts";

interface Rule {
  /** Layers it may import, types included. */
  layers: readonly string[];
  /** Layers it may load when asked for. */
  dynamic?: readonly string[];
  /** Packages and builtins it may import, beside `@standard-schema/spec`, which is types alone. */
  packages?: RegExp;
}

/** Imports point one way. A layer is a directory of src/, or a file directly in it. */
const RULES: Record<string, Rule> = {
  events: { layers: [], packages: /^@std\/uuid\/v7$/ },
  store: { layers: [], packages: /^@std\/uuid\/v7$/ },
  broker: { layers: ["events", "store"], packages: /^(@std\/uuid\/v7|croner)$/ },
  memory: { layers: ["store"] },
  sqlite: { layers: ["store"], packages: /^node:/ },
  encryption: { layers: ["events", "broker"], packages: /^(@std\/encoding\/base64url|node:sqlite)$/ },
  in_memory_broker: { layers: ["events", "broker", "memory"] },
  redis_options: { layers: ["events"] },
  connect: { layers: ["events", "store", "broker", "memory", "redis_options"], dynamic: ["sqlite", "redis"] },
  redis_broker: { layers: ["events", "store", "broker", "redis_options"], dynamic: ["redis"] },
  node_redis: { layers: ["events", "broker", "redis_broker"] },
  ioredis: { layers: ["events", "broker", "redis_broker"] },
  redis: { layers: ["store", "redis_options"], packages: /^(@db\/redis|redis|ioredis)$/ },
  contracts: { layers: ["events"], packages: /^(@std\/cli\/parse-args|npm:@valibot\/to-json-schema@.+|node:.+)$/ },
  telemetry: { layers: ["events", "broker"], packages: /^@opentelemetry\/(api|sdk-metrics|exporter-prometheus)$/ },
  testing: {
    layers: ["events", "store", "broker", "memory", "sqlite"],
    packages: /^(@std\/assert|fast-check|node:.+)$/,
  },
};

const layerOf = (path: string): string => path.match(/^src\/(\w+)/)?.[1] ?? path;

Deno.test("src/ imports one way, from layer to layer", () => {
  const faults: string[] = [];
  for (const file of modulesIn("src")) {
    const layer = layerOf(pathOf(file));
    const rule = RULES[layer];
    if (rule === undefined) {
      faults.push(`${pathOf(file)}: layer "${layer}" has no rule, add one`);
      continue;
    }
    for (const { specifier, kind } of importsOf(file)) {
      const target = isRelative(specifier) ? layerOf(pathOf(new URL(specifier, file))) : undefined;
      const allowed = target === undefined
        ? specifier === "@standard-schema/spec" && kind === "type" || rule.packages?.test(specifier)
        : target === layer || rule.layers.includes(target) || (kind === "dynamic" && rule.dynamic?.includes(target));
      if (!allowed) faults.push(`${pathOf(file)} imports ${specifier} (${kind})`);
    }
  }
  assertEquals(faults, []);
});

Deno.test("modules that a broker loads on demand are loaded outside of the contexts of handlers", () => {
  const faults: string[] = [];
  for (const file of modulesIn("src")) {
    // The command line has no handlers, and a store of the tests none either.
    if (/^src\/(contracts|testing)\//.test(pathOf(file))) continue;
    for (const line of Deno.readTextFileSync(file).split("\n")) {
      if (/^\s*(\*|\/\/)/.test(line) || !/(?<!typeof )\bimport\(/.test(line)) continue;
      if (!/load\(\(\) => import\b/.test(line)) faults.push(`${pathOf(file)}: ${line.trim()}`);
    }
  }
  assertEquals(faults, []);
});

/** Files that may import each other for types. Every other cycle is a fault. */
const TYPE_CIRCLES: readonly (readonly string[])[] = [
  // A stream and its groups are one structure in memory.
  ["src/memory/_group.ts", "src/memory/_letters.ts", "src/memory/_stream.ts"],
  // The store port: a store hands out members and admins, whose types refer to entries.
  [
    "src/store/event_store.ts",
    "src/store/group_member.ts",
    "src/store/revisions.ts",
    "src/store/schedule.ts",
    "src/store/stream_admin.ts",
  ],
];

/** Groups of files that import each other, directly or through others in the group; each group and the list are sorted. */
function circlesOf(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const reach = new Map([...graph.keys()].map((path) => [path, reachableFrom(graph, path)]));
  const circles = new Map<string, string[]>();
  for (const [path, reached] of reach) {
    if (!reached.has(path)) continue;
    const circle = [...reached].filter((other) => reach.get(other)?.has(path)).sort();
    circles.set(circle[0]!, circle);
  }
  return [...circles.values()].sort();
}

function reachableFrom(graph: ReadonlyMap<string, readonly string[]>, from: string): Set<string> {
  const reached = new Set<string>();
  const next = [...graph.get(from) ?? []];
  for (let path = next.pop(); path !== undefined; path = next.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    next.push(...graph.get(path) ?? []);
  }
  return reached;
}

function importGraph(directory: string, kinds: readonly Import["kind"][]): Map<string, string[]> {
  const targetsOf = (file: URL) =>
    importsOf(file)
      .filter(({ specifier, kind }) => kinds.includes(kind) && isRelative(specifier))
      .map(({ specifier }) => pathOf(new URL(specifier, file)));
  return new Map([...modulesIn(directory)].map((file) => [pathOf(file), targetsOf(file)]));
}

Deno.test("src/ has no import cycle", () => {
  assertEquals(circlesOf(importGraph("src", ["static"])), []);
});

Deno.test("src/ has no cycle of type-only imports, except the listed ones", () => {
  assertEquals(circlesOf(importGraph("src", ["static", "type"])), TYPE_CIRCLES.map((circle) => [...circle]).sort());
});

Deno.test("circlesOf() finds each group of files that import each other", () => {
  const graph = new Map([["a", ["b"]], ["b", ["c", "e"]], ["c", ["a"]], ["d", ["a", "d"]], ["e", []]]);
  assertEquals(circlesOf(graph), [["a", "b", "c"], ["d"]]);
});

interface Rooms {
  /** Each room, and the other rooms that it may import, types included. Every room may import files at the top. */
  rooms: Record<string, readonly string[]>;
  /** Files at the top that may import rooms. No room may import them. */
  users: readonly string[];
}

/** The rooms of a layer are its folders. */
const ROOMS: Record<string, Rooms> = {
  broker: {
    rooms: {
      observing: [],
      codec: [],
      partitions: ["codec"],
      publishing: ["codec", "partitions", "observing"],
      "consuming/assignment": [],
      "consuming/flow": ["partitions"],
      "consuming/jobs": ["codec", "observing", "consuming/flow"],
      "consuming/windows": ["consuming/jobs"],
      "consuming/order": ["codec", "partitions", "consuming/jobs"],
      consuming: [
        "codec",
        "partitions",
        "observing",
        "consuming/assignment",
        "consuming/flow",
        "consuming/jobs",
        "consuming/order",
        "consuming/windows",
      ],
      "consuming/pulling": ["consuming", "consuming/jobs", "observing"],
      "consuming/batches": ["consuming/jobs", "observing"],
      reading: ["codec", "partitions"],
      scheduling: ["codec", "partitions", "publishing"],
      repeating: ["codec", "partitions", "publishing", "scheduling", "operating"],
      operating: ["codec", "partitions", "consuming/assignment", "consuming/flow", "observing", "scheduling"],
    },
    users: ["_engine.ts", "event_broker.ts", "mod.ts"],
  },
  sqlite: {
    rooms: {
      connection: [],
      entries: ["connection"],
      consuming: ["entries", "connection"],
      operating: ["consuming", "entries", "connection"],
    },
    users: ["mod.ts", "sqlite_store.ts"],
  },
  redis: {
    rooms: {
      connection: [],
      "connection/cluster": ["connection"],
      "connection/sentinel": ["connection"],
      clients: ["connection"],
      "scripts/parts": [],
      "scripts/entries": ["scripts/parts", "connection"],
      "scripts/consuming": ["scripts/parts", "connection"],
      "scripts/operating": ["scripts/parts", "connection"],
      "scripts/scheduling": ["scripts/parts", "scripts/entries", "connection"],
      entries: ["scripts/entries", "scripts/scheduling", "connection"],
      consuming: ["scripts/consuming", "connection"],
      operating: ["consuming", "scripts/operating", "connection"],
    },
    users: ["mod.ts", "open.ts", "redis_store.ts"],
  },
};

/** The room that a file is in: "" at the top of the layer, undefined outside the layer. */
function roomOf(path: string, layer: string): string | undefined {
  const [, room = ""] = path.match(`^src/${layer}/(?:(.+)/)?[^/]+$`) ?? [];
  return layerOf(path) === layer ? room : undefined;
}

for (const [layer, { rooms, users }] of Object.entries(ROOMS)) {
  Deno.test(`rooms of src/${layer} import only the rooms below them`, () => {
    const isUser = (path: string) => users.some((user) => path === `src/${layer}/${user}`);
    const faults: string[] = [];
    for (const [path, targets] of importGraph(`src/${layer}`, ["static", "type", "dynamic"])) {
      const room = roomOf(path, layer)!;
      if (room !== "" && rooms[room] === undefined) faults.push(`${path}: room "${room}" has no rule, add one`);
      if (isUser(path)) continue;
      for (const target of targets) {
        const other = roomOf(target, layer);
        if (other === undefined) continue;
        // The files at the top are for every room, but not those that put the rooms together.
        const allowed = other === "" ? !isUser(target) : other === room || rooms[room]?.includes(other);
        if (!allowed) faults.push(`${path} imports ${target}`);
      }
    }
    assertEquals(faults, []);
  });

  Deno.test(`layers outside src/${layer} import no room of it`, () => {
    const faults: string[] = [];
    for (const [path, targets] of importGraph("src", ["static", "type", "dynamic"])) {
      if (layerOf(path) === layer) continue;
      for (const target of targets) if (roomOf(target, layer)) faults.push(`${path} imports ${target}`);
    }
    assertEquals(faults, []);
  });
}

/** Names by which examples import the project. */
const PUBLIC_NAMES = /^@tidings\/broker(\/telemetry(\/prometheus)?)?$/;
const isOpenTelemetry = (specifier: string) => /^(npm:)?@opentelemetry\//.test(specifier);

Deno.test("examples import the project by its public name", () => {
  const faults: string[] = [];
  for (const file of modulesIn("examples")) {
    for (const { specifier } of importsOf(file)) {
      const allowed = isRelative(specifier)
        ? pathOf(new URL(specifier, file)).startsWith("examples/")
        : PUBLIC_NAMES.test(specifier) || /^(@std\/|zod$|node:)/.test(specifier) || isOpenTelemetry(specifier);
      if (!allowed) faults.push(`${pathOf(file)} imports ${specifier}`);
    }
  }
  assertEquals(faults, []);
});

Deno.test("packages are imported by names that deno.json maps, or from npm in one version", () => {
  const names = importMap("deno.json");
  const faults: string[] = [];
  const inline = new Map<string, string>();
  for (const directory of ["src", "examples", "tests", "bench"]) {
    for (const file of modulesIn(directory)) {
      for (const { specifier } of importsOf(file)) {
        if (isRelative(specifier) || specifier in names || specifier.startsWith("node:")) continue;
        // Packages of single tests are named where they are used.
        const [, npm, version] = /^npm:(@?[^@]+)@([^/]+)/.exec(specifier) ?? [];
        const other = npm === undefined ? undefined : inline.get(npm);
        if (npm === undefined || version === undefined || other !== undefined && other !== version) {
          faults.push(`${pathOf(file)} imports ${specifier}${other === undefined ? "" : `, other files @${other}`}`);
        } else inline.set(npm, version);
      }
    }
  }
  assertEquals(faults, []);
});

Deno.test("the stand-in import map maps the names of deno.json", () => {
  const [names, standIns] = [importMap("deno.json"), importMap("offline/imports.json")];
  assertEquals(Object.keys(standIns).sort(), Object.keys(names).sort());
  for (const [name, target] of Object.entries(names)) {
    const standIn = standIns[name]!;
    // Only packages of JSR need a stand-in; other names have the same target in both.
    if (target.startsWith("npm:")) assertEquals(standIn, target);
    if (target.startsWith("./")) assertEquals(new URL(standIn, new URL("offline/", root)), new URL(target, root));
  }
});

const EXAMPLE_LOCKS = ["offline/demo.lock", "offline/neighbours.lock", "offline/observed.lock"];

Deno.test("lock files fit deno.json, and those of examples have few packages, in the project's versions", () => {
  const packagesOf = (file: string): Map<string, string> => {
    const { npm } = JSON.parse(Deno.readTextFileSync(new URL(file, root))) as {
      npm: Record<string, { integrity: string }>;
    };
    // After "_" a name lists the peers of the package; the examples have fewer of them.
    return new Map(Object.entries(npm).map(([name, { integrity }]) => [name.replace(/_.*/, ""), integrity]));
  };
  const all = packagesOf("offline/deno.lock");
  for (const file of EXAMPLE_LOCKS) {
    const some = packagesOf(file);
    for (const [name, integrity] of some) assertEquals(all.get(name), integrity, `${name} in ${file}`);
    assert(some.size < 30, `${file} has ${some.size} packages`);
  }
  // Deno writes the packages of deno.json into each lock file, and would change one that does not fit.
  const workspaceOf = (file: string) => JSON.parse(Deno.readTextFileSync(new URL(file, root))).workspace;
  for (const file of [...EXAMPLE_LOCKS, "bench/deno.lock"]) {
    assertEquals(workspaceOf(file), workspaceOf("offline/deno.lock"), file);
  }
});

Deno.test("a task downloads no package before it runs", async () => {
  const cache = await Deno.makeTempDir({ prefix: "tidings-" });
  try {
    // Deno installs the npm packages of "imports" in deno.json before each task, but not those of "scopes".
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["task", "--quiet", "--eval", "echo done"],
      cwd: fileURLToPath(root),
      env: { DENO_DIR: cache, NPM_CONFIG_REGISTRY: "http://127.0.0.1:9/" },
    }).output();
    const text = new TextDecoder();
    assertEquals([code, text.decode(stdout), text.decode(stderr)], [0, "done\n", ""]);
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
});
