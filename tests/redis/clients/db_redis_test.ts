import { testStoreContract } from "../_contract.ts";

testStoreContract("@db/redis");
