import { testContract } from "../_contract.ts";

testContract("node-redis");
