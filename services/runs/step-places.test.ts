import { expect, it } from 'vitest';
import type { JsonObject } from '#schemas/json.ts';
import { itemsIn, placesIn } from './step-places.ts';

const marker = (result: JsonObject): JsonObject => ({ details: { result: { payloads: [result] } } });

it('finds the step of an activity in its input, and those of a quick unit in its marker', () => {
  expect(placesIn({ input: { payloads: [{ step: 2, item: 7 }] } })).toEqual([{ step: 2, item: 7 }]);
  expect(placesIn(marker({ outcomes: 'ss', steps: [3, 4] }))).toEqual([
    { step: 3, item: null },
    { step: 4, item: null },
  ]);
  expect(placesIn({})).toEqual([]);
});

it('finds the items of a batch in its marker, the last one included', () => {
  const batch = marker({ outcomes: 'sss', step: 1, from: 200, to: 202 });
  expect(placesIn(batch)).toEqual([{ step: 1, item: null }]);
  expect(itemsIn(batch)).toEqual([200, 201, 202].map((item) => ({ step: 1, item })));
  expect(itemsIn({ input: { payloads: [{ step: 2, item: 7 }] } })).toEqual([]);
});
