import { SharedWatched, testWatchedContract, WAYS } from "./_watched.ts";

const shared = new SharedWatched();
for (const way of Object.keys(WAYS)) {
  // The gate runs this one.
  if (way !== "a URL and node-redis") testWatchedContract(shared, way);
}
