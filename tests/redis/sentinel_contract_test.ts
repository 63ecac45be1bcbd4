import { SharedWatched, testWatchedContract } from "./_watched.ts";

testWatchedContract(new SharedWatched(), "a URL and node-redis");
