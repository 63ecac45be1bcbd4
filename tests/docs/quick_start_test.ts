import { runPage } from "./_run_page.ts";

/** Commands that are not run here, and why. */
const NOT_HERE: Readonly<Record<string, string>> = {
  "git clone https://github.com/tidings/broker.git": "the test runs in a checkout",
  "cd broker": "the test runs in a checkout",
  "npx --yes deno run --import-map=offline/imports.json --lock=offline/demo.lock -A quick/publish.ts":
    "the test resolves imports as this process does",
  "npx --yes deno task demo": "tests/examples runs it",
  "docker compose up -d redis": "it takes a Docker daemon; the server of the test stands for it",
  "redis-server --port 6379 --appendonly yes": "the server of the test, on a free port, stands for it",
};

Deno.test("docs/QUICK_START.md works as it stands, on SQLite and on Redis", (test) => {
  return runPage(test, "docs/QUICK_START.md", NOT_HERE);
});
