import { testStoreContract } from "../_contract.ts";

testStoreContract("ioredis");
