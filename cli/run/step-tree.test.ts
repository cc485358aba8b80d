import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import pc from 'picocolors';
import type { StepStatus } from '#schemas/run.ts';
import { eventMaker } from '#tests/kai/shapes.ts';
import { applyEvent, applyItemTotal, createStepTree, endedItems, openedItems, splitPath, type StepTree } from './step-tree.ts';
import { describeItems, renderTree } from './tree-view.ts';

const document = { steps: { read: { tool: 'fs.read' }, explain: { llm: {}, forEach: '${[1]}' }, report: { artifact: {} } } };

const view = { title: 'triage@1', colours: pc.createColors(false), columns: 80, rows: null, now: Date.parse('2026-01-01T12:00:10.000Z') };

const treeAfter = (...events: Parameters<typeof applyEvent>[1][]): StepTree => {
  const tree = createStepTree(document, 'queued');
  for (const happened of events) applyEvent(tree, happened);
  return tree;
};

test('a path tells its item', () => {
  expect(splitPath('explain[12]')).toEqual({ path: 'explain', item: 12, round: null });
  expect(splitPath('call/explain[12]')).toEqual({ path: 'call/explain', item: 12, round: null });
  expect(splitPath('call[1]/explain')).toEqual({ path: 'call[1]/explain', item: null, round: null });
  expect(splitPath('poll#3')).toEqual({ path: 'poll', item: null, round: 3 });
  expect(splitPath('each[2]#3')).toEqual({ path: 'each', item: 2, round: 3 });
});

test('the rounds of a repeat are one line', () => {
  const event = eventMaker();
  const tree = createStepTree({ steps: { poll: { tool: 'http.fetch', repeat: {} } } }, 'running');
  const told: string[] = [];
  for (const [type, data] of [
    ['step.started', { stepPath: 'poll', kind: 'tool', attempt: 1 }],
    ['step.started', { stepPath: 'poll#0', kind: 'tool', attempt: 1 }],
    ['step.succeeded', { stepPath: 'poll#0', kind: 'tool', attempt: 1 }],
    ['step.retrying', { stepPath: 'poll#1', kind: 'tool', attempt: 1, error: { code: 'gone', message: 'No answer' } }],
    ['step.started', { stepPath: 'poll#1', kind: 'tool', attempt: 2 }],
    ['step.succeeded', { stepPath: 'poll', kind: 'tool', attempt: 1 }],
  ] as const) {
    applyEvent(tree, event(type, data));
    const line = tree.steps.get('poll');
    told.push(`${line?.status} ${line?.round} ${line?.text}`);
  }
  expect(told).toEqual(['running null null', 'running 0 null', 'running 0 null', 'retrying 1 No answer', 'running 1 null', 'succeeded 1 null']);
  expect(renderTree(tree, view)).toMatch(/✓ poll {2}http.fetch {2}round 2, /);
  expect([...tree.steps.keys()]).toEqual(['poll']);
});

test('an undo is a line of its own, those of items and rounds are one', () => {
  const event = eventMaker();
  const undo = { tool: 'fs.write' };
  const tree = createStepTree({ steps: { pay: { tool: 'http.send', undo }, each: { tool: 'http.send', forEach: [1, 2], undo } } }, 'running');
  const told: string[] = [];
  for (const [type, stepPath] of [
    ['step.succeeded', 'pay'],
    ['step.started', 'each[1]~undo'],
    ['step.succeeded', 'each[1]~undo'],
    ['step.started', 'each[0]~undo'],
    ['step.failed', 'each[0]~undo'],
    ['step.started', 'pay~undo'],
    ['step.succeeded', 'pay~undo'],
    ['step.compensated', 'pay'],
  ] as const) {
    applyEvent(tree, event(type, { stepPath, kind: 'tool', attempt: 1 }));
    const line = tree.steps.get(splitPath(stepPath).path);
    told.push(`${line?.path} ${line?.kind} ${line?.status}`);
  }
  expect(told).toEqual([
    'pay http.send succeeded',
    'each~undo fs.write running',
    'each~undo fs.write succeeded',
    'each~undo fs.write running',
    'each~undo fs.write failed',
    'pay~undo fs.write running',
    'pay~undo fs.write succeeded',
    'pay http.send compensated',
  ]);
  expect(renderTree(tree, view)).toMatch(/✗ each~undo {2}fs.write {3}2 done, 1 failed, /);
});

describe('the tree', () => {
  test('begins with the plan and follows the events', () => {
    const event = eventMaker();
    const tree = treeAfter(
      event('run.started'),
      event('step.started', { stepPath: 'read', kind: 'tool', attempt: 1 }),
      event('step.succeeded', { stepPath: 'read', kind: 'tool', attempt: 1 }),
    );
    expect([...tree.steps.values()].map((line) => [line.path, line.kind, line.status])).toEqual([
      ['read', 'fs.read', 'succeeded'],
      ['explain', 'llm', 'pending'],
      ['report', 'artifact', 'pending'],
    ]);
    expect(renderTree(tree, view)).toBe('triage@1  running  1 of 3 steps\n  ✓ read     fs.read   0.10 s\n  · explain  llm\n  · report   artifact');
  });

  test('a failure shows its error, a retry its attempt, a wait what is waited for', () => {
    const event = eventMaker();
    const waitingFor = { kind: 'approval', ref: null, until: null, text: 'report waits for role:approver' };
    const tree = treeAfter(
      event('step.started', { stepPath: 'read', attempt: 2 }),
      event('step.failed', { stepPath: 'read', attempt: 2, error: { code: 'gone', message: 'No such\nfile' } }),
      event('run.waiting', { waitingFor }),
    );
    const shown = renderTree(tree, view);
    expect(shown).toContain('✗ read     fs.read   0.10 s, attempt 2, No such ⏎ file');
    expect(shown).toContain('report waits for role:approver');
  });

  test('steps that the plan does not name are shown all the same', () => {
    const event = eventMaker();
    expect([...treeAfter(event('step.started', { stepPath: 'later', kind: 'vote' })).steps.keys()]).toEqual(['read', 'explain', 'report', 'later']);
  });

  test('more steps than rows: the finished ones are counted, what happens now is shown', () => {
    const steps = Object.fromEntries(Array.from({ length: 2_000 }, (_, index) => [`s${index}`, { tool: 'x' }]));
    const tree = createStepTree({ steps }, 'running');
    const event = eventMaker();
    for (let index = 0; index < 1_000; index += 1) applyEvent(tree, event('step.succeeded', { stepPath: `s${index}` }));
    applyEvent(tree, event('step.started', { stepPath: 's1000' }));
    const lines = renderTree(tree, { ...view, rows: 10 }).split('\n');
    expect(lines).toHaveLength(13);
    expect(lines[1]).toContain('998 finished');
    expect(lines.join('\n')).toContain('● s1000');
    expect(lines.at(-1)).toContain('992 more');
  });

  test('no line is wider than the terminal', () => {
    const event = eventMaker();
    const tree = treeAfter(
      event('step.failed', { stepPath: 'read', error: { code: 'x', message: 'long '.repeat(100) } }),
      event('run.waiting', { waitingFor: { text: 'wide '.repeat(100) } }),
    );
    for (const line of renderTree(tree, { ...view, columns: 60 }).split('\n')) expect(line.length).toBeLessThanOrEqual(60);
  });
});

const statuses = ['started', 'retrying', 'succeeded', 'failed', 'skipped', 'uncertain'] as const;
const statusOf: Record<(typeof statuses)[number], StepStatus> = {
  started: 'running',
  retrying: 'retrying',
  succeeded: 'succeeded',
  failed: 'failed',
  skipped: 'skipped',
  uncertain: 'uncertain',
};

test('the counts of a forEach are those of the last news of each item, whatever the order', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(20), fc.constantFrom(...statuses)), { maxLength: 200 }), (news) => {
      const event = eventMaker();
      const tree = treeAfter(...news.map(([item, verb]) => event(`step.${verb}`, { stepPath: `explain[${item}]` })));
      const last = new Map(news.map(([item, verb]) => [item, statusOf[verb]]));
      const items = tree.steps.get('explain')?.items;
      for (const status of new Set(Object.values(statusOf))) {
        expect(items?.counts[status] ?? 0).toBe([...last.values()].filter((other) => other === status).length);
      }
      if (items !== null && items !== undefined)
        expect(endedItems(items)).toBe([...last.values()].filter((status) => status !== 'running' && status !== 'retrying').length);
    }),
  );
});

test('counts are read with their total once it is known', () => {
  const event = eventMaker();
  const opened = event('step.started', { stepPath: 'explain' });
  const tree = treeAfter(opened, event('step.succeeded', { stepPath: 'explain[0]' }), event('step.started', { stepPath: 'explain[1]' }));
  expect(openedItems(tree, opened)).toBe('explain');
  applyItemTotal(tree, {
    path: 'explain',
    kind: 'llm',
    status: 'running',
    attempt: 1,
    startedAt: null,
    finishedAt: null,
    waitingFor: null,
    error: null,
    costMicros: 0,
    metadata: { items: 10_000 },
  });
  expect(openedItems(tree, opened)).toBeNull();
  const items = tree.steps.get('explain')?.items;
  expect(items === null || items === undefined ? '' : describeItems(items)).toBe('1 of 10,000 done, 1 running');
});
