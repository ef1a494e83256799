import assert from "node:assert/strict";
import fc from "fast-check";
import { Bag, type Place } from "../../lib/core/mod.ts";

Deno.test("a bag holds what was put in and not taken out, whatever the order", () => {
  const step = fc.oneof(fc.constant("add" as const), fc.nat());
  fc.assert(fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
    const bag = new Bag<number>();
    const places: Place<number>[] = [];
    const held = new Set<number>();
    for (const [number, step] of steps.entries()) {
      if (step === "add") {
        places.push(bag.add(number));
        held.add(number);
      } else if (places.length > 0) {
        const place = places[step % places.length]!; // perhaps one that is out already
        bag.remove(place);
        held.delete(place.item);
      }
      assert.equal(bag.size, held.size);
      assert.deepEqual(new Set(bag.items()), held);
    }
  }));
});

Deno.test("the items of a bag may take themselves out while they are looked at", () => {
  const bag = new Bag<string>();
  const places = ["a", "b", "c"].map((item) => bag.add(item));
  const seen: string[] = [];
  for (const item of bag.items()) {
    seen.push(item);
    bag.remove(places.find((place) => place.item === item)!);
  }
  assert.deepEqual(seen, ["a", "b", "c"]);
  assert.equal(bag.size, 0);
});
