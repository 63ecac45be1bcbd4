import { runPage } from "./_run_page.ts";

/** Commands that are not run here, each with the reason. */
const NOT_HERE: Readonly<Record<string, string>> = {
  "git clone https://github.com/tidings/broker.git": "the test runs in a checkout",
  "cd broker": "the test runs in a checkout",
  "npx --yes deno run --import-map=offline/imports.json --lock=offline/demo.lock -A quick/publish.ts":
    "the test resolves imports as this process does",
  "npx --yes deno task demo": "tests/examples runs it",
  "docker compose up -d redis": "it needs a Docker daemon; the test has a server of its own",
  "redis-server --port 6379 --appendonly yes": "the test has a server of its own, on a free port",
};

Deno.test("docs/QUICK_START.md: its programs and commands print what the page shows, on SQLite and on Redis", (test) => {
  return runPage(test, "docs/QUICK_START.md", NOT_HERE);
});
