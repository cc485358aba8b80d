import { describe, expect, it } from 'vitest';
import { KnownRun, KnownRuns } from './known-runs.ts';

describe('what is known of a run', () => {
  it('gives every reader a value of his own', () => {
    const known = new KnownRun();
    known.addOutput('read', [1, 2]);
    const expected = { read: { status: 'succeeded', output: [1, 2], error: null } };
    const first = known.resultsOf(['read']);
    expect(first).toEqual(expected);
    for (const result of Object.values(first ?? {})) if (Array.isArray(result.output)) result.output.push(3);
    expect(known.resultsOf(['read'])).toEqual(expected);
  });

  it('answers all or nothing', () => {
    const known = new KnownRun();
    known.addOutput('read', 1);
    expect(known.resultsOf(['read', 'other'])).toBeNull();
    expect(known.resultsOf([])).toEqual({});
  });

  it('knows an item that is null from one it does not know', () => {
    const known = new KnownRun();
    known.addItems(2, [null, 'b']);
    expect(known.itemOf(2, 0)).toEqual({ value: null, index: 0 });
    expect(known.itemOf(2, 2)).toBeNull();
    expect(known.itemOf(1, 0)).toBeNull();
  });

  it('forgets what would take too much room', () => {
    const known = new KnownRun();
    known.addOutput('large', 'x'.repeat(200_000));
    known.addOutput('small', 'x');
    expect(known.resultsOf(['large'])).toBeNull();
    expect(known.resultsOf(['small'])).not.toBeNull();
  });

  it('is of one claim: another generation starts from nothing', () => {
    const runs = new KnownRuns();
    const claim = { runId: 'run_1', workspaceId: 'ws_1', generation: 1, chain: 'a' };
    runs.of(claim).addOutput('read', 1);
    expect(runs.of(claim).resultsOf(['read'])).not.toBeNull();
    expect(runs.of({ ...claim, generation: 2 }).resultsOf(['read'])).toBeNull();
    expect(runs.of({ ...claim, chain: 'b' }).resultsOf(['read'])).toBeNull();
  });
});
