import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newId } from '#services/ids.ts';
import { createPayloadCodec } from '#services/temporal/codec.ts';
import { openPayload } from '#services/temporal/protocol-json.ts';
import type { HistoryRequest } from '#services/runs/history.ts';
import { readHistory } from '#services/runs/history.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';
import { deleteExecutions } from '#tests/rig/lost-store.ts';
import { historiesOf } from '#tests/rig/replay.ts';
import { createTestPayloadSealing } from '#tests/rig/test-payload-key.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine();
});
afterAll(() => engine.close());

const plan = `
plan: two-steps
steps:
  first: { transform: 1 }
  pause: { wait: { forMs: 50 }, needs: [first] }
  last: { transform: "\${steps.first.output + 1}", needs: [pause, listed] }
  listed: { tool: fs.list, with: { path: "." }, needs: [pause] }
output: "\${steps.last.output}"
`;

/** The run's end stands in its row a moment before Temporal has closed the workflow. */
const runAndClose = async (): Promise<string> => {
  const { id } = await engine.run(plan);
  await expect.poll(async () => (await history(id, { limit: 1 })).items[0]?.type, { timeout: 30_000 }).toBe('EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED');
  return id;
};

/** What Temporal's own tools show beside the types of a run's events, those of its children included. */
async function summariesOf(runId: string): Promise<string[]> {
  const codec = createPayloadCodec({ sealing: createTestPayloadSealing(), namespace: engine.namespace, refuse: 'throw' });
  const found: string[] = [];
  for await (const { workflowId, history: kept } of historiesOf(engine, [runId])) {
    for (const { userMetadata, startChildWorkflowExecutionInitiatedEventAttributes: child } of kept.events ?? []) {
      const sealed = userMetadata?.summary;
      if (sealed === null || sealed === undefined) continue;
      const summary = await openPayload(sealed, child?.workflowId ?? workflowId, codec);
      if (typeof summary !== 'string') throw new Error(`A summary is no text: ${JSON.stringify(summary)}`);
      found.push(summary);
    }
  }
  return found;
}

const history = (runId: string, more: Partial<HistoryRequest> = {}) =>
  readHistory(engine.rig.database, engine.workflows.history, {
    workspaceId: engine.workspaceId,
    runId,
    type: null,
    stepPath: null,
    cursor: null,
    limit: 200,
    ...more,
  });

describe('what Temporal keeps of a run', () => {
  it('comes the newest first, opened, with the steps each event is about', async () => {
    const id = await runAndClose();
    const { state, items, nextCursor } = await history(id);
    expect([state, nextCursor]).toEqual(['kept', null]);
    expect(items.map((event) => event.id)).toEqual(items.map((_, index) => items.length - index));
    expect(items.at(-1)).toMatchObject({ type: 'EVENT_TYPE_WORKFLOW_EXECUTION_STARTED', attributes: { input: { payloads: [{ runId: id }] } } });
    const ofLast = await history(id, { stepPath: 'listed' });
    expect(ofLast.items.map((event) => event.type)).toEqual([
      'EVENT_TYPE_ACTIVITY_TASK_COMPLETED',
      'EVENT_TYPE_ACTIVITY_TASK_STARTED',
      'EVENT_TYPE_ACTIVITY_TASK_SCHEDULED',
    ]);
    expect(new Set(ofLast.items.slice(0, 2).map((event) => event.group))).toEqual(new Set([ofLast.items[2]?.id]));
    // A quick unit is done in the workflow's own task, of which Temporal keeps a marker.
    expect((await history(id, { stepPath: 'last' })).items.map((event) => event.type)).toEqual(['EVENT_TYPE_MARKER_RECORDED']);
    const started = await history(id, { type: 'workflow_execution_started' });
    expect(started.items).toHaveLength(1);
  });

  it('comes in pages that leave nothing out', async () => {
    const id = await runAndClose();
    const whole = (await history(id)).items.map((event) => event.id);
    const paged: number[] = [];
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page = await history(id, { limit: 5, cursor: cursor ?? null });
      expect(page.items.length).toBeLessThanOrEqual(5);
      paged.push(...page.items.map((event) => event.id));
      cursor = page.nextCursor;
    }
    expect(paged).toEqual(whole);
  });

  it('goes on into the executions that the newest one continued', async () => {
    const { id } = await engine.run(`
plan: long-way
fuse: none
steps:
  each: { transform: "\${item}", forEach: "\${range(260)}", concurrency: 40 }
  last: { transform: 1, needs: [each] }
`);
    const executions = new Set<string>();
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page = await history(id, { cursor: cursor ?? null });
      for (const event of page.items) executions.add(event.execution);
      cursor = page.nextCursor;
      if (cursor === null) expect(page.items.at(-1)?.id).toBe(1);
    }
    expect(executions.size).toBe(2);
  });

  it('says to Temporal’s own tools which steps each activity is about, sealed as all else', async () => {
    const { id } = await engine.run(`
plan: labelled
steps:
  one: { transform: 1 }
  two: { transform: "\${steps.one.output + 1}" }
  look: { tool: fs.list, with: { path: "." }, needs: [two] }
  each: { tool: fs.list, with: { path: "." }, forEach: "\${range(2)}", needs: [look] }
  pause: { wait: { forMs: 20 }, needs: [each] }
  many: { transform: "\${item}", forEach: "\${range(501)}", concurrency: 60, needs: [pause] }
`);
    await expect.poll(async () => (await engine.workflows.describe(id))?.status, { timeout: 30_000 }).toBe('completed');
    const shown = await summariesOf(id);
    const once = ['one, two · transform', 'look · tool', 'each[0] · tool', 'each[1] · tool'];
    for (const text of once) expect(shown.filter((summary) => summary === text)).toEqual([text]);
    for (const text of ['each · tool', 'pause · wait']) expect(shown).toContain(text);
    // A slice of a large forEach is a workflow of its own: its run says so, it says so itself, and the batch in it.
    expect(shown.filter((summary) => /^many\[0…\d+\] · transform$/.test(summary))).toHaveLength(3);
  });

  it('finds the batch that an item was done in', async () => {
    const { id } = await engine.run('plan: batched\nsteps:\n  each: { transform: "${item}", forEach: "${range(30)}" }\n');
    const found = (await history(id, { stepPath: 'each[29]' })).items;
    expect(found.map(({ type, steps }) => [type, steps])).toEqual([[expect.stringContaining('MARKER_RECORDED'), ['each']]]);
    expect((await history(id, { stepPath: 'each[30]' })).items).toEqual([]);
  });

  it('is told as expired once Temporal keeps it no longer', async () => {
    const id = await runAndClose();
    engine.runIds.splice(engine.runIds.indexOf(id), 1);
    await deleteExecutions(engine, id);
    await expect.poll(async () => (await history(id)).state, { timeout: 30_000 }).toBe('expired');
    expect((await history(id)).text).toMatch(/^History expired/);
  });

  it('is told as not begun for a run that nothing started', async () => {
    const id = await engine.start(await engine.save(plan), {}, { startAt: new Date(Date.now() + 3_600_000).toISOString() });
    expect((await history(id)).state).toBe('not_started');
    engine.runIds.splice(engine.runIds.indexOf(id), 1);
  });

  it('is not there for another workspace', async () => {
    const id = await runAndClose();
    await expect(history(id, { workspaceId: newId('workspace') })).rejects.toMatchObject({ code: 'run_not_found' });
  });
});
