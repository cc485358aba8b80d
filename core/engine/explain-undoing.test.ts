import { describe, expect, it } from 'vitest';
import { explainUndoing, type NextUndoFacts, type UndoingFacts } from './explain-undoing.ts';

const facts: UndoingFacts = { ending: 'failed', since: '2031-01-01T00:00:00.000Z', undone: 1, left: 2, subRunId: null, next: null };
const next: NextUndoFacts = { path: 'pay[2]~undo', status: 'pending', attempt: 0, startedAt: null, waitingFor: null, timeoutMs: 1_000 };

describe('a run that undoes what it did', () => {
  it('says how far it is, and how to stop that', () => {
    expect(explainUndoing('run_1', 'running', facts)).toEqual([
      {
        stepPath: null,
        status: 'running',
        blockedBy: { kind: 'ending', ref: null, text: 'The run has failed and undoes what it did: 1 of 3 steps are undone.' },
        since: facts.since,
        until: null,
        unblocks: expect.any(String),
        command: 'kai run cancel run_1 --no-undo --reason R',
      },
    ]);
    expect(explainUndoing('run_1', 'running', { ...facts, ending: 'timed_out' })[0]?.blockedBy.text).toContain('has run out of time');
  });

  it.each([
    ['uncertain', 'approval', "kai run resolve run_1 'pay[2]~undo' happened|did-not --reason R"],
    ['retrying', 'retry', "kai run skip run_1 'pay[2]~undo' --reason R"],
    ['running', 'work', 'kai run logs run_1'],
    ['pending', 'engine', 'kai status'],
  ] as const)('says of an undo that is %s what helps', (status, kind, command) => {
    const reasons = explainUndoing('run_1', 'running', { ...facts, next: { ...next, status } });
    expect(reasons).toHaveLength(2);
    expect(reasons[1]).toMatchObject({ stepPath: 'pay[2]~undo', status, blockedBy: { kind }, command });
  });

  it('says when an attempt and a pause end', () => {
    const started = { ...next, startedAt: '2031-01-01T00:00:00.000Z' };
    const [, works] = explainUndoing('run_1', 'running', { ...facts, next: { ...started, status: 'running' } });
    expect(works?.until).toBe('2031-01-01T00:00:01.000Z');
    const waitingFor = { ref: 'pay[2]~undo', until: '2031-01-01T00:05:00.000Z', text: 'Attempt 1 failed.' };
    const [, rests] = explainUndoing('run_1', 'waiting', { ...facts, next: { ...started, status: 'retrying', waitingFor } });
    expect([rests?.until, rests?.blockedBy.text]).toEqual([waitingFor.until, waitingFor.text]);
  });

  it('waits for a run that its steps have started before anything else', () => {
    const reasons = explainUndoing('run_1', 'waiting', { ...facts, subRunId: 'run_2', next });
    expect(reasons.map(({ blockedBy, command }) => [blockedBy.kind, command])).toEqual([
      ['ending', 'kai run cancel run_1 --no-undo --reason R'],
      ['run', 'kai run why run_2'],
    ]);
  });
});
