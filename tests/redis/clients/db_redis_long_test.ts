import { testBrokerContract } from "../_contract.ts";

testBrokerContract("@db/redis");
