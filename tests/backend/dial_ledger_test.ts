import assert from "node:assert/strict";
import fc from "fast-check";
import { type Dial, DialLedger } from "../../lib/backend/dial_ledger.ts";

Deno.test("a flag belongs to the next stream that ends without a byte", () => {
  const ledger = new DialLedger();
  const [first, second, third] = [ledger.begin(0), ledger.begin(10), ledger.begin(20)];
  ledger.answered(first);
  assert.equal(ledger.waiting, 2);
  ledger.flagged(30);
  assert.ok(ledger.doubtful(30));
  assert.equal(ledger.ended(second, 40), 30, "milliseconds since its SYN");
  assert.ok(!ledger.doubtful(40));
  assert.equal(ledger.ended(third, 50), undefined, "it was connected, and closed at once");
  assert.equal(ledger.waiting, 0);
});

Deno.test("a stream that says nothing was connected if a later one was", () => {
  const ledger = new DialLedger();
  const [silent, talker, failing] = [ledger.begin(0), ledger.begin(1), ledger.begin(2)];
  ledger.answered(talker);
  assert.equal(ledger.waiting, 1);
  ledger.flagged(10);
  assert.equal(ledger.ended(silent, 11), undefined, "it has been closed; the flag is not its");
  assert.equal(ledger.ended(failing, 12), 10);
});

Deno.test("a dial that waited for one before it is not charged for that time", () => {
  const ledger = new DialLedger();
  const [first, second] = [ledger.begin(0), ledger.begin(5)];
  ledger.flagged(20_000);
  assert.equal(ledger.ended(first, 20_010), 20_010);
  ledger.flagged(20_020);
  assert.equal(ledger.ended(second, 20_030), 20);
});

Deno.test("a flag whose stream was closed here is forgotten and blames nobody", () => {
  const ledger = new DialLedger();
  const [gone, live] = [ledger.begin(0), ledger.begin(1)];
  ledger.abandoned(gone);
  assert.equal(ledger.waiting, 2, "the agent may still be at it");
  ledger.flagged(100);
  assert.ok(ledger.doubtful(2099));
  assert.ok(!ledger.doubtful(2100));
  assert.equal(ledger.waiting, 1);
  assert.equal(ledger.ended(live, 2200), undefined);
});

Deno.test("streams that were closed here count as waiting until a later one is heard of", () => {
  const ledger = new DialLedger();
  const dials = [ledger.begin(0), ledger.begin(0), ledger.begin(0), ledger.begin(0)] as const;
  ledger.abandoned(dials[0]);
  ledger.abandoned(dials[3]);
  assert.equal(ledger.waiting, 4);
  ledger.answered(dials[2]);
  assert.equal(ledger.waiting, 1, "one whose turn may not have come");
  ledger.abandoned(dials[2]);
  assert.equal(ledger.waiting, 1, "what was answered is no dial any more");
});

/** What the agent makes of a stream, and how much later its word of it comes by the slow way. */
interface Fate {
  readonly outcome: "fails" | "answers" | "is silent";
  readonly delay: number;
}

Deno.test("every failure finds its stream, whatever the flags overtake", () => {
  const fates = fc.array(
    fc.record<Fate>({
      outcome: fc.constantFrom("fails", "answers", "is silent"),
      delay: fc.integer({ min: 0, max: 5 }),
    }),
    { maxLength: 30 },
  );
  fc.assert(fc.property(fates, (fates) => {
    const ledger = new DialLedger();
    const dials: Dial[] = fates.map(() => ledger.begin(0));
    // Flags come at once; frames keep their order among themselves and come later.
    const events: { at: number; work: () => void }[] = [];
    const failed: number[] = [];
    let slow = 0;
    fates.forEach(({ outcome, delay }, index) => {
      slow = Math.max(slow, index + delay);
      const dial = dials[index]!;
      if (outcome === "fails") events.push({ at: index, work: () => ledger.flagged(index) });
      if (outcome === "answers") events.push({ at: slow, work: () => ledger.answered(dial) });
      if (outcome === "fails") {
        events.push({
          at: slow,
          work: () => {
            if (ledger.ended(dial, slow) !== undefined) failed.push(index);
          },
        });
      }
    });
    for (const { work } of events.sort((a, b) => a.at - b.at)) work();
    const expected = fates.flatMap(({ outcome }, index) => outcome === "fails" ? [index] : []);
    assert.deepEqual(failed, expected);
    assert.ok(!ledger.doubtful(slow));
    const heard = fates.findLastIndex(({ outcome }) => outcome !== "is silent");
    assert.equal(ledger.waiting, fates.length - 1 - heard);
  }));
});
