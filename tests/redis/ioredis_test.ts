import { testContract } from "./_contract.ts";

testContract("ioredis");
