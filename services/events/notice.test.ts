import { expect, it } from 'vitest';
import { formatNotice, parseNotice } from './notice.ts';
import { formatPosition, parsePosition } from './position.ts';

it('names the runs and workspaces of a batch while they fit into a notice of Postgres', () => {
  const ids = (count: number) => new Set(Array.from({ length: count }, (_, index) => `run_${String(index).padStart(36, '0')}`));
  expect(parseNotice(formatNotice(7, ids(2), ids(1)))).toEqual({ lastSeq: 7, runIds: [...ids(2)], workspaceIds: [...ids(1)] });
  expect(formatNotice(Number.MAX_SAFE_INTEGER, ids(150), ids(20)).length).toBeLessThan(8_000);
  expect(parseNotice(formatNotice(7, ids(151), ids(21)))).toEqual({ lastSeq: 7, runIds: null, workspaceIds: null });
});

it('hears nothing in what is no notice', () => {
  for (const text of ['', 'hello', '{}', '[]', '{"lastSeq":"1","runIds":[]}', '{"lastSeq":1}']) expect(parseNotice(text)).toBeNull();
});

it('reads the positions that it writes, and no others', () => {
  expect(parsePosition(formatPosition({ epoch: '01ab', seq: 12 }))).toEqual({ epoch: '01ab', seq: 12 });
  for (const text of ['', '12', '01ab-', '-12', '01ab-012', '01AB-1', '01ab-1.5', '01ab-99999999999999999', ' 01ab-1']) expect(parsePosition(text)).toBeNull();
});
