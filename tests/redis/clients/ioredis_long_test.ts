import { testBrokerContract } from "../_contract.ts";

testBrokerContract("ioredis");
