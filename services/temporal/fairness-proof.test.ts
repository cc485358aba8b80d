import { describe, expect, it } from 'vitest';
import { judge } from './fairness-proof.ts';

const busy = Array<'busy'>(24).fill('busy');

describe('the order in which tasks were handed out', () => {
  it('is neither fair nor by priority when it is that in which they came', () => {
    expect(judge([...busy, 'other', 'other', 'other', 'urgent'])).toEqual({ fair: false, byPriority: false });
  });

  it('is fair when those of the other owner come between, and by priority when the urgent one comes first', () => {
    expect(judge(['urgent', 'busy', 'other', 'busy', 'other', 'busy', 'other', ...busy.slice(3)])).toEqual({ fair: true, byPriority: true });
  });

  it('is by priority alone where only that is at work', () => {
    expect(judge(['urgent', ...busy, 'other', 'other', 'other'])).toEqual({ fair: false, byPriority: true });
  });
});
