import { SharedWatched, testWatchedContract, WAYS } from "./_watched.ts";

const shared = new SharedWatched();
for (const way of Object.keys(WAYS)) testWatchedContract(shared, way);
