import { assertEquals } from "@std/assert";
import { defineEvent, EventBroker } from "../../mod.ts";
import { InMemoryStore } from "../../src/memory/mod.ts";
import { type GroupMember, type MemberOptions, StoreError } from "../../src/store/mod.ts";

class Counted extends defineEvent("Counted")<{ n: number }> {}

/** A store whose groups were all deleted: every call of a member rejects. */
class DeletedGroups extends InMemoryStore {
  override async member(stream: string, group: string, options: MemberOptions): Promise<GroupMember> {
    const member = await super.member(stream, group, options);
    const gone = async (): Promise<never> => {
      await new Promise((resolve) => setTimeout(resolve));
      throw new StoreError("group-deleted", `Cannot use group "${group}": it was deleted`);
    };
    return {
      consumer: member.consumer,
      claim: gone,
      renew: gone,
      settle: gone,
      held: gone,
      control: gone,
      keep: gone,
      kept: gone,
      leave: gone,
    };
  }
}

Deno.test("subscribe() reports once that its group was deleted", async () => {
  await using broker = new EventBroker(new DeletedGroups(), { events: [Counted] });
  const subscription = await broker.subscribe(Counted, () => {}, { group: "group", lease: 100 });
  const told: unknown[] = [];
  subscription.addEventListener("error", ({ error }) => told.push(error));
  const error = await subscription.closed.catch((error) => error);
  await subscription.close();
  assertEquals(told, [error]);
});
