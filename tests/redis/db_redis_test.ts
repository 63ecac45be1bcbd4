import { testContract } from "./_contract.ts";

testContract("@db/redis");
