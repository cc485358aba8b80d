import { expect, test } from 'vitest';
import { formatDeltaNotice, parseDeltaNotice } from './notice.ts';

const ids = (count: number): Set<string> => new Set(Array.from({ length: count }, (_, index) => `run_${String(index).padStart(36, '0')}`));

test('a notice names its workspace and runs, or says that they are too many, within what Postgres takes', () => {
  for (const count of [1, 150]) {
    const text = formatDeltaNotice(`ws_${'0'.repeat(36)}`, ids(count));
    expect(Buffer.byteLength(text)).toBeLessThan(8_000);
    expect(parseDeltaNotice(text)?.runIds).toEqual([...ids(count)]);
  }
  expect(parseDeltaNotice(formatDeltaNotice('ws_1', ids(151)))).toEqual({ workspaceId: 'ws_1', runIds: null });
});

test('what is no notice is none: anybody who is signed in to the database can send one', () => {
  for (const text of ['', '{', '{}', '[]', '{"workspaceId":1,"runIds":null}', '{"workspaceId":"ws_1","runIds":"run_1"}'])
    expect(parseDeltaNotice(text)).toBeNull();
});
