import { assert, assertEquals, assertInstanceOf, assertNotEquals } from "@std/assert";
import { connect, defineEvent, UndecodableError } from "@tidings/broker";
import { FieldEncryption, InMemoryKeyStore, Shredded } from "@tidings/broker/encryption";
import { until } from "../../src/testing/_broker_bench.ts";
import { bytesIn, holds } from "./_bytes.ts";
import { BidderRegistered, DURABLE, openBroker, type Place, PLACES, registration } from "./_bench.ts";

const SECRET = "secret-4711-never-in-the-clear";

function testStores(places: typeof PLACES, title: string, body: (place: Place) => Promise<void>): void {
  for (const [name, open] of Object.entries(places)) {
    Deno.test(`${name}: ${title}`, async () => {
      await using place = await open();
      await body(place);
    });
  }
}

const once = { maxAttempts: 1 };

testStores(
  PLACES,
  "handlers, history and live listeners receive decrypted details, with several subjects in one batch",
  async (place) => {
    const encryption = new FieldEncryption({ keys: new InMemoryKeyStore() });
    await using broker = await openBroker(place, { encryption });
    const heard: unknown[] = [];
    broker.addEventListener("BidderRegistered", ({ detail }) => heard.push(detail));
    const events = Array.from({ length: 30 }, (_, n) => registration(`bidder-${n % 5}`, `${SECRET}-${n}`));
    const details = events.map(({ detail }) => detail);
    // All events are published at once, before any key exists: those of one subject get the same key.
    await Promise.all([broker.publish(events.slice(0, 15)), ...events.slice(15).map((event) => broker.publish(event))]);
    const handled: unknown[] = [];
    await broker.subscribe(BidderRegistered, ({ detail }) => void handled.push(detail), { group: "mail" });
    await until(
      () => handled.length === 30 && heard.length === 30,
      "30 events are handled and heard",
    );
    assertEquals(handled, details);
    assertEquals(heard, details);
    assertEquals(await Array.fromAsync(broker.history(BidderRegistered), ({ detail }) => detail), details);
    const pulled: unknown[] = [];
    for await (const delivery of broker.consume(BidderRegistered, { group: "pull" })) {
      await delivery.ack();
      if (pulled.push(delivery.event.detail) === 30) break;
    }
    assertEquals(pulled, details);
  },
);

testStores(
  PLACES,
  "a dead letter has encrypted fields and a decrypted event, and can be redriven",
  async (place) => {
    const encryption = new FieldEncryption({ keys: new InMemoryKeyStore() });
    await using broker = await openBroker(place, { encryption });
    const sent = registration("bidder-1", SECRET);
    await broker.publish(sent);
    const handled: unknown[] = [];
    let works = false;
    await broker.subscribe(BidderRegistered, ({ detail }) => {
      if (!works) throw new Error("The mail server is unreachable");
      handled.push(detail);
    }, { group: "mail", retry: once });
    await until(
      async () => (await broker.info(BidderRegistered)).groups[0]?.deadLetters === 1,
      "the event is a dead letter",
    );
    const [letter] = await Array.fromAsync(broker.deadLetters(BidderRegistered, { group: "mail" }));
    assertEquals(letter!.event?.detail, sent.detail);
    assert(!JSON.stringify(letter!.raw).includes(SECRET));
    assert(letter!.raw.payload!.includes('"$enc"'));
    works = true;
    assertEquals(await broker.redrive(BidderRegistered, { group: "mail" }), 1);
    await until(() => handled.length === 1, "the event is handled");
    assertEquals(handled, [sent.detail]);
  },
);

testStores(
  PLACES,
  "events and dead letters of a deleted subject contain Shredded, those of other subjects do not",
  async (place) => {
    const encryption = new FieldEncryption({ keys: new InMemoryKeyStore() });
    await using broker = await openBroker(place, { encryption });
    await broker.publish([registration("bidder-1", SECRET), registration("bidder-2", SECRET)]);
    await broker.subscribe(BidderRegistered, () => {
      throw new Error("The mail server is unreachable");
    }, { group: "failing", retry: once });
    await until(
      async () => (await broker.info(BidderRegistered)).groups[0]?.deadLetters === 2,
      "both events are dead letters",
    );
    await encryption.delete("bidder-1");
    const handled: BidderRegistered[] = [];
    await broker.subscribe(BidderRegistered, (event) => void handled.push(event), { group: "mail" });
    await until(() => handled.length === 2, "both events are handled");
    const letters = await Array.fromAsync(broker.deadLetters(BidderRegistered, { group: "failing" }));
    for (const [shredded, other] of [handled, letters.map(({ event }) => event!)]) {
      assertInstanceOf(shredded!.detail.email, Shredded);
      assert(shredded!.detail.cards.every(({ token }) => token instanceof Shredded));
      assertEquals(shredded!.detail.cards.map(({ last }) => last), ["11", "22"]);
      assertEquals(other!.detail.email, SECRET);
    }
  },
);

testStores(
  PLACES,
  "old entries stay readable after rotate(), and new ones are encrypted with the new key",
  async (place) => {
    const encryption = new FieldEncryption({ keys: new InMemoryKeyStore() });
    await using broker = await openBroker(place, { encryption });
    await broker.publish(registration("bidder-1", `${SECRET}-old`));
    const id = await encryption.rotate("bidder-1");
    await broker.publish(registration("bidder-1", `${SECRET}-new`));
    const emails = await Array.fromAsync(broker.history(BidderRegistered), ({ detail }) => detail.email);
    assertEquals(emails, [`${SECRET}-old`, `${SECRET}-new`]);
    // A class without encryption reads the ciphertexts.
    class Raw extends defineEvent("BidderRegistered")<{ email: { $enc: string } }> {}
    await using other = await connect(place.url, { events: [Raw] });
    const [old, fresh] = await Array.fromAsync(other.history(Raw), ({ detail }) => detail.email.$enc.split(".")[0]);
    assertEquals(fresh, id);
    assertNotEquals(old, id);
  },
);

testStores(
  PLACES,
  "an unreachable key store makes attempts fail until it is back, and publish() reject without storing",
  async (place) => {
    const keys = new InMemoryKeyStore();
    let unreachable = false;
    const through = <T>(answer: () => Promise<T>) =>
      unreachable ? Promise.reject(new Error("The key store is unreachable")) : answer();
    const encryption = new FieldEncryption({
      cacheFor: 0,
      keys: {
        current: (subject) => through(() => keys.current(subject)),
        find: (subject, id) => through(() => keys.find(subject, id)),
        rotate: (subject) => keys.rotate(subject),
        delete: (subject) => keys.delete(subject),
      },
    });
    await using broker = await openBroker(place, { encryption });
    const sent = registration("bidder-1", SECRET);
    await broker.publish(sent);
    unreachable = true;
    const refused = registration("bidder-1", "x");
    const error = await broker.publish(refused).then(() => undefined, (error: Error) => error);
    assert(error?.message.includes("The key store is unreachable"), error?.message);
    assertEquals((await broker.info(BidderRegistered)).length, 1);
    const handled: [unknown, number][] = [];
    const subscription = await broker.subscribe(
      BidderRegistered,
      ({ detail }, { attempt }) => void handled.push([detail, attempt]),
      { group: "mail", retry: { minTimeout: 20, maxTimeout: 20, maxAttempts: 1_000 } },
    );
    await new Promise((resolve) => subscription.addEventListener("retry", resolve, { once: true }));
    unreachable = false;
    await until(() => handled.length === 1, "the event is handled");
    assertEquals(handled[0]![0], sent.detail);
    assert(handled[0]![1] > 1);
    // The same object can be published once the key store is back.
    await broker.publish(refused);
    assertEquals((await broker.info(BidderRegistered)).length, 2);
    await until(() => handled.length === 2, "the second event is handled");
  },
);

testStores(
  PLACES,
  "an entry with a moved ciphertext is an undecodable dead letter, and other entries are handled",
  async (place) => {
    const encryption = new FieldEncryption({ keys: new InMemoryKeyStore() });
    await using broker = await openBroker(place, { encryption });
    await broker.publish(registration("bidder-1", SECRET));
    class Raw extends defineEvent("BidderRegistered")<{ email: unknown; cards: { token: unknown }[] }> {}
    await using other = await connect(place.url, { events: [Raw] });
    const [stored] = await Array.fromAsync(other.history(Raw));
    const { email, cards } = stored!.detail;
    await other.publish(new Raw({ email: cards[0]!.token, cards: [{ token: email }] }, { subject: "bidder-1" }));
    // Another subject has no key of that id, as if it had been deleted.
    await other.publish(new Raw(stored!.detail, { subject: "bidder-2" }));
    const emails: unknown[] = [];
    await broker.subscribe(BidderRegistered, ({ detail }) => void emails.push(detail.email), { group: "mail" });
    await until(() => emails.length === 2, "the other entries are handled");
    await until(
      async () => (await broker.info(BidderRegistered)).groups[0]?.deadLetters === 1,
      "the event is a dead letter",
    );
    assertEquals(emails[0], SECRET);
    assertInstanceOf(emails[1], Shredded);
    const [letter] = await Array.fromAsync(broker.deadLetters(BidderRegistered, { group: "mail" }));
    assertEquals(letter!.reason, "undecodable");
    assertInstanceOf(letter!.undecodable, UndecodableError);
  },
);

testStores(
  PLACES,
  "an upcaster receives the decrypted detail and may move fields; a later version need not encrypt",
  async (place) => {
    const encryption = new FieldEncryption({ keys: new InMemoryKeyStore() });
    const sent = registration("bidder-1", SECRET);
    await using broker = await openBroker(place, { encryption });
    await broker.publish(sent);
    class Later extends defineEvent("BidderRegistered", {
      version: 2,
      upcast: { 1: ({ email, ...rest }) => ({ ...rest, contact: { email } }) },
    })<{ contact: { email: string | Shredded } }> {}
    await using later = await connect(place.url, { events: [Later], encryption });
    const [read] = await Array.fromAsync(later.history(Later));
    assertEquals(read!.detail.contact.email, SECRET);
    await encryption.delete("bidder-1");
    const [shredded] = await Array.fromAsync(later.history(Later));
    assertInstanceOf(shredded!.detail.contact.email, Shredded);
  },
);

testStores(
  DURABLE,
  "files and dead letters hold no sensitive value, and deleting a key shreds backups too",
  async (place) => {
    const encryption = new FieldEncryption({ keys: new InMemoryKeyStore() });
    const publishing = await openBroker(place, { encryption });
    await publishing.publish([registration("bidder-1", SECRET), registration("bidder-2", "other")]);
    await publishing.subscribe(BidderRegistered, () => {
      throw new Error("The mail server is unreachable");
    }, { group: "failing", retry: once });
    const given = async () => (await publishing.info(BidderRegistered)).groups[0]?.deadLetters === 2;
    await until(given, "both events are dead letters");
    const files = await bytesIn(place.folder!);
    assertEquals(holds(files, SECRET), false);
    // A value that is not sensitive is found, so the search works.
    assertEquals(holds(files, '"country":"SE"'), true);
    const shown = await place.server?.cli("XRANGE", "events:BidderRegistered", "-", "+");
    assert(shown === undefined || shown.includes('{"$enc":"') && !shown.includes(SECRET));
    await using before = await place.backup();
    await publishing.close();
    await encryption.delete("bidder-1");
    await using restored = await openBroker(before, { encryption });
    const emails = await Array.fromAsync(restored.history(BidderRegistered), ({ detail }) => detail.email);
    assertInstanceOf(emails[0], Shredded);
    assertEquals(emails[1], "other");
    const letters = await Array.fromAsync(restored.deadLetters(BidderRegistered, { group: "failing" }));
    assertEquals(letters.map(({ event }) => event!.detail.email instanceof Shredded), [true, false]);
  },
);
