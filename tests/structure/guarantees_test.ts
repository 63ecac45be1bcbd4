import { assert, assertEquals } from "@std/assert";
import { filesByGuarantee, guaranteesPage } from "./_guarantees_page.ts";
import { root } from "./_imports.ts";
import { GUARANTEES, PROMISES } from "./_promises.ts";

Deno.test("docs/GUARANTEES.md is generated from the tests: run `deno task guarantees` after a change", () => {
  assertEquals(Deno.readTextFileSync(new URL("docs/GUARANTEES.md", root)), guaranteesPage());
});

Deno.test("every guarantee has a test, and every test names known guarantees", () => {
  const files = filesByGuarantee();
  const numbers = Object.keys(GUARANTEES).map(Number);
  assertEquals([...files.keys()].toSorted((a, b) => a - b), numbers);
  for (const [number, paths] of files) {
    for (const path of paths) {
      const source = Deno.readTextFileSync(new URL(path, root));
      assert(
        /\bcontract\(|\bDeno\.test\(|\btest\w*\(|\bnumbers: /.test(source),
        `${path} holds no tests of guarantee ${number}`,
      );
    }
  }
  for (const { promise, numbers: its } of PROMISES) {
    assert(its.length > 0 && its.every((number) => numbers.includes(number)), promise);
  }
});
